"""What the training loops share: the record of losses, checkpoints, optimisers, bytes on the device, bf16."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import distributed_work
import numpy as np
import pytest
import torch
from methods_tiny import tiny_faces
from torch import Tensor, nn

from bench import distributed
from bench.api import BenchError, Context, InputError
from bench.cells import Environment, Recent
from bench.config import RunConfig
from bench.engines.work import make_job
from bench.planning.build import build_fits
from bench.store import Store
from bench.training import (
    Checkpoint,
    LossRecord,
    Pixels,
    adam,
    descend,
    fit_network,
    precision_of,
    rows_of_step,
    seeded,
)

SLOWLY = 1e9
"""Seconds between two savings, of which there is then no need."""


def record(steps: int = 100, **context: Any) -> LossRecord:
    return LossRecord(Context(**context), steps, "tiny", every=SLOWLY)


def scalar(value: float) -> Tensor:
    return torch.tensor(value)


# -- the record ----------------------------------------------------------------------------------------


def test_losses_are_read_in_blocks_that_fit_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("bench.training.record.time.monotonic", lambda: now)
    told: list[float] = []
    found, due = record(report=lambda done, *_: told.append(done)), []
    for step in range(100):
        now += 1 / 16
        found.add({"a": scalar(step)})
        if found.due():
            due.append(step + 1)
            found.read()
    # The first step tells how long one takes, then eight make up half a second; the last is always read.
    assert due == [*range(1, 100, 8), 100]
    assert told[-1] == 100
    np.testing.assert_array_equal(found.column("a"), np.arange(100.0))


def test_nothing_is_read_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    found = record()
    found.add({"a": scalar(1)})
    found.read()
    monkeypatch.setattr(Tensor, "tolist", lambda self: pytest.fail("the device was waited for"))
    monkeypatch.setattr(Tensor, "item", lambda self: pytest.fail("the device was waited for"))
    for _ in range(5):
        found.add({"a": scalar(1)})
    assert found.done == 6


def test_divergence_names_the_step_and_the_loss_it_began_with() -> None:
    found = record()
    for values in ({"a": 1.0, "b": 1.0}, {"a": 2.0}, {"a": 3.0, "b": np.inf}, {"a": np.nan, "b": np.nan}):
        found.add({name: scalar(value) for name, value in values.items()})
    with pytest.raises(BenchError, match=r"training of tiny diverged at step 2 \(loss b\)"):
        found.read()
    assert found.names() == [], "nothing of a broken block is kept"


def test_a_record_survives_its_checkpoint() -> None:
    found, again = record(), record()
    for values in ({"a": 1.5}, {}, {"a": 2.5, "b": 0.5}):
        found.add({name: scalar(value) for name, value in values.items()})
    found.read()
    again.restore(found.arrays())
    assert again.done == 3
    assert again.curves(48) == found.curves(48) == {"a": [1.5, 2.5], "b": [0.5]}


def test_the_mean_over_processes_is_kept_and_none_hides_a_broken_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gathered(value: tuple[list[dict[str, float]], float]) -> list[Any]:
        return [value, ([{"a": 3.0, "b": 7.0}], 0.1)]

    monkeypatch.setattr("bench.training.record.gathered", gathered)
    found = record()
    found.add({"a": scalar(1.0)})
    found.read()
    assert found.curves(1) == {"a": [2.0], "b": [7.0]}
    found.add({"a": scalar(np.nan)})
    with pytest.raises(BenchError, match="diverged at step 1"):
        found.read()


def test_a_diverged_state_is_never_saved(tmp_path: Path) -> None:
    images = tiny_faces(8, 8).images
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    broken = iter([False, False, True])

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        value = module(pixels).square().mean()
        return value * float("inf") if next(broken) else value

    with pytest.raises(BenchError, match="diverged at step 2"):
        fit_network(
            network,
            images,
            loss,
            steps=9,
            batch=4,
            rate=0.1,
            seed=0,
            ctx=Context(workdir=tmp_path),
            save_seconds=0.0,
        )
    from safetensors.numpy import load

    (file,) = tmp_path.iterdir()
    stored = load(file.read_bytes()[: -hashlib.sha256().digest_size])
    assert stored["further/done"] == 2
    assert all(np.isfinite(values).all() for values in stored.values())


# -- checkpoints and optimisers ------------------------------------------------------------------------


def convolution() -> nn.Module:
    with seeded(1):
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def test_moments_come_back_in_the_order_in_memory_of_their_parameters(tmp_path: Path) -> None:
    """Fused kernels go through memory in its order: in another one they would mix up numbers."""

    def step(module: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
        inputs = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        descend(optimiser, module(inputs).square().mean())

    whole = convolution()
    optimiser = adam(whole.parameters(), 0.01)
    step(whole, optimiser, 1)
    Checkpoint(tmp_path, "c", [], {"m": whole}, {"o": optimiser}).save(dict)
    step(whole, optimiser, 2)
    again = convolution()
    optimiser = adam(again.parameters(), 0.01)
    Checkpoint(tmp_path, "c", [], {"m": again}, {"o": optimiser}).restore()
    step(again, optimiser, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "of another work", "of another training"])
def test_a_checkpoint_that_is_not_what_was_written_there_is_passed_over(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    mine = Checkpoint(folder, "c", [], {"m": convolution()}, {})
    mine.save(lambda: {"done": np.array(3)})
    assert mine.path is not None
    whole = mine.path.read_bytes()
    if damage == "flip":
        mine.path.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    elif damage in ("truncate", "empty"):
        mine.path.write_bytes(whole[: len(whole) // 2 if damage == "truncate" else 0])
    elif damage == "of another work":
        mine.path = tmp_path / "other" / mine.path.name
        mine.path.parent.mkdir()
        mine.path.write_bytes(whole)
    else:
        mine.path = mine.path.with_name("d.checkpoint")
        mine.path.write_bytes(whole)
    assert mine.restore() == {}
    assert "is damaged; this training begins anew" in capsys.readouterr().err
    mine.save(lambda: {"done": np.array(4)})
    assert mine.restore()["done"] == 4


def test_only_the_first_process_saves_and_a_checkpoint_knows_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Checkpoint(tmp_path, "c", [1], {}, {})
    for module in ("bench.distributed", "bench.training.checkpoint"):
        monkeypatch.setattr(f"{module}.here", lambda: (1, 2))
    second = Checkpoint(tmp_path, "c", [1], {}, {})
    second.save(dict)
    assert second.path != alone.path
    assert not list(tmp_path.iterdir())


def test_fused_adam_is_adam() -> None:
    mine, plain = convolution(), convolution()
    optimisers = (
        adam(mine.parameters(), 0.01, (0.5, 0.99)),
        torch.optim.Adam(plain.parameters(), 0.01, (0.5, 0.99)),
    )
    for seed in range(5):
        inputs = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        for module, optimiser in zip((mine, plain), optimisers, strict=True):
            descend(optimiser, module(inputs).square().mean())
    for found, expected in zip(mine.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


# -- data ----------------------------------------------------------------------------------------------


def test_pixels_stay_bytes_and_come_as_floats() -> None:
    images = tiny_faces(6, 8).images
    pixels, rows = Pixels(images, "cpu"), torch.tensor([4, 1])
    assert pixels._stored.dtype == torch.uint8
    expected = images[[4, 1]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_array_equal(pixels.batch(rows).numpy(), expected)
    assert Pixels(images, "cpu", 16).batch(rows).shape == (2, 3, 16, 16)


def test_the_order_of_the_data_is_a_function_of_seed_and_step() -> None:
    whole = np.concatenate([np.random.default_rng([7, 0, epoch]).permutation(10) for epoch in range(4)])
    for step in (3, 0, 9, 1):
        np.testing.assert_array_equal(rows_of_step(10, 4, 7, step), whole[4 * step : 4 * step + 4])


# -- precision -----------------------------------------------------------------------------------------


def final_loss(precision: str) -> float:
    faces = tiny_faces(64, 16)
    gender = torch.from_numpy(faces.labels["gender"].astype(np.int64))
    with seeded(3):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 2))

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(pixels), gender[rows])

    ctx = Context(precision=precision)
    found = fit_network(network, faces.images, loss, steps=60, batch=16, rate=3e-3, seed=2, ctx=ctx)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert found["final_loss"] < 0.6 * found["loss_curve"][0]
    return float(found["final_loss"])


def test_bf16_trains_a_classifier_as_well() -> None:
    assert final_loss("bf16") == pytest.approx(final_loss("fp32"), rel=0.1)


def test_bf16_trains_against_a_critic_with_gradient_penalty() -> None:
    plain, lowered = (distributed_work.adversarial(precision=p) for p in ("fp32", "bf16"))
    for name, curve in plain.items():
        if name.startswith("curve/"):
            assert np.isfinite(lowered[name]).all()
            np.testing.assert_allclose(lowered[name].mean(), curve.mean(), rtol=0.1, atol=0.05, err_msg=name)
    assert any((lowered[name] != value).any() for name, value in plain.items())
    assert {v.dtype for v in lowered.values()} <= {np.dtype(np.float32), np.dtype(np.float64)}


def test_a_weight_that_was_updated_is_converted_anew() -> None:
    """A critic is asked again in the step that changed it."""
    layer, ones = nn.Linear(4, 1, bias=False), torch.ones(1, 4)
    with precision_of(Context(precision="bf16")):
        before = layer(ones)
        with torch.no_grad():
            layer.weight.add_(1)
        assert (layer(ones) - before).item() == pytest.approx(4, abs=0.1)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="choose fp32 or bf16"), precision_of(Context(precision="int4")):
        pass


def test_one_process_alone_leaves_out_a_step_with_nothing_to_learn() -> None:
    layer = nn.Linear(1, 1)
    optimiser = adam(layer.parameters(), 0.1)
    descend(optimiser, layer(torch.ones(1, 1)).sum())
    before = layer.weight.detach().clone()
    descend(optimiser, None)
    assert torch.equal(layer.weight, before)
    assert distributed.here() == (0, 1)


def test_precision_is_part_of_the_key_of_what_is_trained_in_it(tmp_path: Path) -> None:
    planned = {
        p: build_fits(RunConfig(methods=("san",), preset="check", train_precision=p))[0].cells
        for p in ("fp32", "bf16")
    }
    plain, lowered = ({c.title: (key, c) for key, c in cells.items()} for cells in planned.values())
    assert plain.keys() == lowered.keys()
    for title, (key, cell) in plain.items():
        trained = cell.stage in ("auxiliary", "fit")
        assert (lowered[title][0] != key) == trained, title
        assert "precision" not in cell.params, "what was trained before keeps its key"
    store, recent = Store(tmp_path), Recent(1000)
    for cells, precision in ((plain, "fp32"), (lowered, "bf16")):
        job = make_job(cells["train san"][1], store, Environment(tmp_path), recent, lambda *_: None)
        assert job.context.precision == precision
