"""A whole throughput run on the processor, with networks as small as they get."""

import csv
from dataclasses import replace

import pytest

from bench.errors import InputError, UsageError
from bench.inference.clock import DeviceClock
from bench.throughput.build import Wanted
from bench.throughput.run import Options, plan, throughput

WANTED = Wanted(
    methods=("stargan", "cosine_noise", "face_mixing"),
    matchers=("arcface", "intel_reid"),
    attackers=("mlp",),
    metrics=("psnr",),
    preset="check",
    side=64,
)


def _options(folder, **changes) -> Options:
    plain = Options(WANTED, batches=(2,), paths=("eager", "flat"), seconds=0.001, out=folder)
    return replace(plain, **changes)


def _rows(folder) -> list[dict[str, str]]:
    with (folder / "throughput.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("throughput")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BENCH_WEIGHTS", raising=False)
        throughput(_options(folder), said.append)
    return folder, _rows(folder), said


def test_every_component_has_rows(done):
    _, rows, said = done
    assert {(r["kind"], r["name"]) for r in rows} == {
        *(("method", name) for name in WANTED.methods),
        *(("matcher", name) for name in WANTED.matchers),
        ("attacker", "mlp"),
        ("metric", "psnr"),
    }
    assert len(said) == len(rows) + 1


def test_measured_rows_are_complete(done):
    measured = [r for r in done[1] if r["status"] == "ok"]
    for row in measured:
        assert float(row["per_second_low"]) <= float(row["per_second"]) <= float(row["per_second_high"])
        assert 0 < float(row["latency_p50_ms"]) <= float(row["latency_p95_ms"])
        assert int(row["calls"]) >= 3
        for column in ("torch", "processor", "threads", "precision", "batch", "device", "gemm_fp32_tflops"):
            assert row[column], column
        if row["path"] not in ("peer", "library"):
            assert row["deviation"], row
            assert float(row["speedup"]) > 0


def test_a_generator_is_held_against_the_ceilings(done):
    rows = {(r["path"], r["precision"], r["batch"]): r for r in done[1] if r["name"] == "stargan"}
    assert set(rows) == {
        ("peer", "fp32", "1"),
        *((path, p, b) for path in ("eager", "flat") for p in ("fp32", "bf16") for b in ("2",)),
    }
    row = rows["flat", "bf16", "2"]
    assert row["weights"] == "untrained"
    assert row["unit"] == "bf16"
    assert float(row["tflops"]) == pytest.approx(
        float(row["gflop"]) * float(row["per_second"]) / 1e3, rel=1e-4
    )
    share = float(row["tflops"]) / float(row["gemm_bf16_tflops"])
    assert float(row["share_gemm"]) == pytest.approx(share, rel=1e-4)
    assert float(row["share_floor"]) == pytest.approx(
        max(float(row["share_gemm"]), float(row["share_copy"])), rel=1e-4
    )
    assert float(rows["flat", "fp32", "2"]["deviation"]) < 0.01
    assert float(rows["eager", "fp32", "2"]["speedup"]) == pytest.approx(
        float(rows["eager", "fp32", "2"]["per_second"]) / float(rows["peer", "fp32", "1"]["per_second"]),
        rel=1e-4,
    )


def test_what_cannot_be_timed_says_why(done):
    by_name = {}
    for row in done[1]:
        by_name.setdefault(row["name"], []).append(row)
    (row,) = by_name["intel_reid"]
    assert row["status"] == "unavailable"
    assert "BENCH_WEIGHTS" in row["reason"]
    flat = [r for r in by_name["face_mixing"] if r["path"] == "flat"]
    assert {r["status"] for r in flat} == {"unavailable"}
    assert all("numpy" in r["reason"] for r in flat)
    assert {r["path"] for r in by_name["cosine_noise"]} == {"peer", "eager"}
    assert {r["path"] for r in by_name["mlp"]} == {"library"}


def test_the_figure_is_drawn(done):
    folder = done[0]
    assert (folder / "roofline.png").stat().st_size > 1000
    assert (folder / "roofline.svg").read_text().startswith("<?xml")


def test_ways_of_a_run_come_in_order_of_what_they_tell():
    tasks = plan(Options(WANTED, batches=(1, 2), compiled=("stargan",)))
    told = [(t.builder.named.name, t.path, t.precision, t.batch) for t in tasks]
    assert told[0] == ("stargan", "peer", "fp32", 1)
    assert told.index(("stargan", "compiled", "bf16", 2)) < told.index(("face_mixing", "peer", "fp32", 1))
    assert told.index(("psnr", "peer", "fp32", 1)) < told.index(("face_mixing", "flat", "fp32", 1))
    assert len(set(told)) == len(told)
    assert not any(path == "compiled" for name, path, *_ in told if name != "stargan")


class Impatient(DeviceClock):
    """A clock on which every look takes a second."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.time = 0.0

    def now(self) -> float:
        self.time += 1.0
        return self.time


def test_what_the_budget_leaves_out_is_listed(tmp_path):
    wanted = replace(WANTED, methods=("grey",), matchers=(), attackers=(), metrics=())
    options = _options(tmp_path, wanted=wanted, budget=80.0)
    throughput(options, lambda line: None, Impatient())
    rows = _rows(tmp_path)
    states = [r["status"] for r in rows]
    assert len(rows) == len(plan(options))
    assert states[0] == "ok"
    assert states[-1] == "left out"
    assert "--budget" in rows[-1]["reason"]
    assert not rows[-1]["per_second"]


def test_wrong_options_are_named(tmp_path):
    with pytest.raises(UsageError, match="flat"):
        throughput(_options(tmp_path, paths=("flatt",)), print)
    with pytest.raises(UsageError, match="stargan"):
        throughput(_options(tmp_path, wanted=replace(WANTED, methods=("starganx",))), print)
    with pytest.raises(UsageError, match="--batch"):
        throughput(_options(tmp_path, batches=(0,)), print)
    with pytest.raises(InputError, match="--device"):
        throughput(_options(tmp_path, wanted=replace(WANTED, device="tpu")), print)
