"""The fastest path is taken where it answers as exact evaluation does, remembered, and told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import tiny_faces
from torch import Tensor, nn

from bench.api import Method, Request
from bench.cells import Environment, Recent, run_cell
from bench.config import RunConfig
from bench.engines.work import make_job
from bench.inference import fastest
from bench.inference.algebra import evaluated
from bench.inference.fastest import Chooser, FastestHook, FastestNetwork
from bench.inference.memory import Memory
from bench.inference.told import sentence
from bench.inference.work import HeldRequest
from bench.planning.build import build
from bench.sources import sources
from bench.store import Store

SOME = {"method": "tinted", "source": "of the test"}


class Tinted(Method):
    """A convolution, a draw for each face, and its gender; `gain` makes it as touchy as one likes."""

    title = "Tinted"
    needs_labels = ("gender",)
    gain = 1.0

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        if not hasattr(self, "network"):
            torch.manual_seed(0)
            self.network = nn.Conv2d(3, 3, 3, padding=1)
        drawn = evaluated(self.network, images.device)(images)
        shift = request.uniform(1) + request.labels["gender"][:, None]
        return torch.sin(self.gain * drawn + 0.1 * shift[..., None, None]) / 2 + 0.5


class Touchy(Tinted):
    gain = 300.0


class Seeded(Tinted):
    """Goes by the samples' seeds, which no graph can know."""

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        own = torch.tensor([float(seed % np.uint64(7)) for seed in request.seeds])
        return (super()._protect(images, request) + own[:, None, None, None] / 7) / 2


class Broken(Tinted):
    """Has no answer for dark faces."""

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        dark = images.mean((1, 2, 3), keepdim=True) < 0.3
        return super()._protect(images, request).masked_fill(dark, float("nan"))


def later_is_faster(self: Chooser, calls: list[Callable[[], Tensor]]) -> list[float]:
    """In place of a clock: the paths are listed from plain code on, and the last one wins."""
    return [float(len(calls) - place) for place in range(len(calls))]


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "inference.json")


@pytest.fixture
def eager_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chooser, "_timed", later_is_faster)
    monkeypatch.setattr(fastest, "_CHEAP", 0.0)


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies in bf16: the answers are the same, at whatever speed."""
    monkeypatch.setattr(fastest, "native_bf16", lambda device: True)


def protected(method: Method, count: int = 9, **how: Any) -> np.ndarray:
    faces = tiny_faces(count, 16)
    return method.protect(faces, method.variants()[0], **how).images


def hook(method: Method, memory: Memory, **how: Any) -> FastestHook:
    return FastestHook(method, method.variants()[0], SOME, "cpu", memory=memory, **how)


def tinted(cls: type[Method] = Tinted) -> Method:
    return cls(tiny_faces(2, 16).attributes)


def test_a_graph_stands_in_for_the_hook_at_any_number_of_faces(memory, eager_to_change):
    method = tinted()
    through = hook(method, memory)
    for count in (9, 4, 1, 40):
        found, wanted = protected(method, count, through=through), protected(method, count)
        assert np.abs(found.astype(int) - wanted).max() <= 1
    (choice,) = through.choices
    assert (choice.path, choice.precision, choice.batch) == ("flat", "fp32", 9)
    assert choice.deviation < 0.01
    assert choice.speedup > 1


def test_draws_and_labels_are_those_of_each_face(memory, eager_to_change):
    method = tinted()
    through = hook(method, memory)
    protected(method, 8, through=through)
    faces = tiny_faces(8, 16, seed=3, first_identity=50)
    variant = method.variants()[0]
    found = method.protect(faces, variant, seed=4, through=through).images
    wanted = method.protect(faces, variant, seed=4).images
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert (method.protect(faces, variant, seed=5).images != wanted).any()


def test_reduced_precision_is_told_with_its_deviation(memory, eager_to_change, bf16):
    method = tinted()
    through = hook(method, memory)
    found, wanted = protected(method, through=through), protected(method)
    (choice,) = through.choices
    assert (choice.path, choice.precision) == ("flat", "bf16")
    assert 0 < np.abs(found.astype(float) - wanted).mean() <= 1
    assert 0 < choice.deviation <= 1
    said = sentence([choice.facts()])
    assert "flat in bf16" in said
    assert f"{choice.deviation:.3g} (grey levels)" in said


def test_what_deviates_too_much_is_refused_and_named(memory, eager_to_change, bf16):
    method = tinted(Touchy)
    through = hook(method, memory)
    found = protected(method, through=through)
    (choice,) = through.choices
    assert choice.precision == "fp32"
    assert set(choice.refused) == {"channels_last bf16", "flat bf16"}
    assert all("grey levels, more than 1" in reason for reason in choice.refused.values())
    assert np.abs(found.astype(int) - protected(method)).mean() < 0.01
    assert "refused: channels_last bf16: deviates by" in sentence([choice.facts()])


def test_what_a_graph_cannot_know_stays_with_the_components_code(memory, eager_to_change):
    method = tinted(Seeded)
    through = hook(method, memory)
    assert (protected(method, through=through) == protected(method)).all()
    (choice,) = through.choices
    assert (choice.path, choice.precision) == ("eager", "fp32")
    assert set(choice.refused) == {"channels_last fp32", "flat fp32", "winograd fp32"}


def test_faces_without_an_answer_fail_on_every_path(memory, eager_to_change):
    method = tinted(Broken)
    faces, variant = tiny_faces(9, 16), method.variants()[0]
    wanted = method.protect(faces, variant)
    assert 0 < wanted.failed.sum() < len(faces)
    through = hook(method, memory)
    found = method.protect(faces, variant, through=through)
    assert through.choices[0].path == "flat"
    assert (found.failed == wanted.failed).all()
    assert np.abs(found.images.astype(int) - wanted.images).max() <= 1


def test_one_face_decides_nothing(memory, eager_to_change):
    method = tinted()
    through = hook(method, memory)
    assert (protected(method, 1, through=through) == protected(method, 1)).all()
    assert through.choices[0].path == "eager"
    assert not memory.file.exists()


def test_nothing_is_tried_on_what_is_cheap(memory):
    method = tinted()
    through = hook(method, memory, clock=lambda: 0.0)
    assert (protected(method, through=through) == protected(method)).all()
    assert "as it is" in through.choices[0].refused["all"]
    assert not memory.file.exists()


def test_images_that_are_changed_step_by_step_stay_exact(memory, eager_to_change):
    method = tinted()
    method.settings["iterations"] = 3
    through = hook(method, memory)
    assert (protected(method, through=through) == protected(method)).all()
    assert "step by step" in through.choices[0].refused["all"]


def test_plain_code_is_kept_unless_another_path_is_clearly_faster(memory, monkeypatch):
    monkeypatch.setattr(Chooser, "_timed", lambda self, calls: [1.05, *[1.0] * (len(calls) - 1)])
    monkeypatch.setattr(fastest, "_CHEAP", 0.0)
    method = tinted()
    through = hook(method, memory)
    protected(method, through=through)
    assert through.choices[0].path == "eager"
    assert sentence([through.choices[0].facts()]) == "exact"


def test_paths_take_turns_on_a_clock():
    called: list[str] = []
    times = iter(np.arange(100.0) / 100)
    chooser = Chooser(SOME, "cpu", clock=lambda: float(next(times)))
    one, other = (lambda name=name: called.append(name) for name in "ab")
    assert chooser._timed([one, other]) == pytest.approx([0.01, 0.01])
    assert "".join(called) == "ab" * 5


# -- what a machine remembers ------------------------------------------------------------------------


def test_a_choice_is_measured_once(memory, eager_to_change, monkeypatch):
    method = tinted()
    protected(method, through=hook(method, memory))
    monkeypatch.setattr(Chooser, "_timed", None)
    through = hook(method, Memory(memory.file))
    found = protected(method, through=through)
    (choice,) = through.choices
    assert choice.remembered
    assert (choice.path, choice.note) == ("flat", "")
    assert np.abs(found.astype(int) - protected(method)).max() <= 1
    assert "when it was measured here" in sentence([choice.facts()])


@pytest.mark.parametrize("changed", [{"source": "another"}, {"settings": {"width": 3}}])
def test_other_code_or_options_are_measured_anew(memory, eager_to_change, changed):
    method = tinted()
    protected(method, through=hook(method, memory))
    through = FastestHook(method, method.variants()[0], SOME | changed, "cpu", memory=memory)
    protected(method, through=through)
    assert not through.choices[0].remembered
    assert len(json.loads(memory.file.read_text())) == 2


def test_what_is_remembered_is_checked_on_these_weights(memory, eager_to_change, bf16):
    calm = tinted()
    protected(calm, through=hook(calm, memory))
    touchy = tinted(Touchy)
    through = hook(touchy, memory)
    protected(touchy, through=through)
    (choice,) = through.choices
    assert not choice.remembered
    assert (choice.path, choice.precision) == ("flat", "fp32")


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": {"found": 3}}', "\x00"])
def test_a_damaged_file_is_told_of_and_written_anew(memory, eager_to_change, text):
    memory.file.write_text(text)
    method = tinted()
    through = hook(method, memory)
    protected(method, through=through)
    (choice,) = through.choices
    assert "inference.json was damaged" in choice.note
    assert choice.note in sentence([choice.facts()])
    again = hook(method, Memory(memory.file))
    protected(method, through=again)
    assert again.choices[0].remembered
    assert not again.choices[0].note


def test_an_entry_that_names_no_path_is_measured_anew(memory, eager_to_change):
    method = tinted()
    protected(method, through=hook(method, memory))
    entries = json.loads(memory.file.read_text())
    for entry in entries.values():
        entry["found"]["path"] = "by magic"
    memory.file.write_text(json.dumps(entries))
    through = hook(method, Memory(memory.file))
    protected(method, through=through)
    assert not through.choices[0].remembered
    assert through.choices[0].path == "flat"


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, eager_to_change):
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "inference.json")
    method = tinted()
    through = hook(method, memory)
    protected(method, through=through)
    assert through.choices[0].path == "flat"
    assert "cannot be" in through.choices[0].note


def test_the_file_lies_where_users_keep_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Memory().file == tmp_path / "veilbench" / "inference.json"


# -- networks of matchers ----------------------------------------------------------------------------


def _network(gain: float) -> nn.Module:
    class Gained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))

        def forward(self, images: Tensor) -> Tensor:
            return torch.sin(gain * self.layers(images))

    return Gained().eval().requires_grad_(False)


def test_embeddings_of_a_graph_point_where_exact_ones_do(memory, eager_to_change, bf16):
    images = torch.rand(21, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for gain, precision in ((0.1, "bf16"), (1000.0, "fp32")):
        network = _network(gain)
        through = FastestNetwork({"matcher": "gained", "gain": gain}, "cpu", memory=memory)
        with torch.no_grad():
            found, wanted = through(network)(images), network(images)
            last = through(network)(images[:3])
        (choice,) = through.choices
        assert (choice.path, choice.precision, choice.batch) == ("flat", precision, 11)
        assert (1 - torch.cosine_similarity(found, wanted)).max() <= 1e-3
        torch.testing.assert_close(last, found[:3], rtol=1e-2, atol=1e-2)


def test_wide_convolutions_may_go_winograds_way(memory, eager_to_change):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 128, 1), nn.Conv2d(128, 128, 3, padding=1), nn.Flatten()).eval()
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    through = FastestNetwork({"matcher": "wide"}, "cpu", memory=memory)
    with torch.no_grad():
        found, wanted = through(network)(images), network(images)
    assert through.choices[0].path == "winograd"
    assert (1 - torch.cosine_similarity(found, wanted)).max() <= 1e-5


def test_a_held_request_knows_what_was_asked_for():
    request = Request(Method.variants(tinted())[0], {}, ("a", "b"), np.array([1, 2], np.uint64))
    held = HeldRequest.of(request)
    first = held.normal(3)
    assert held.normal(3) is first
    assert torch.equal(first, request.normal(3))
    assert list(held.held) == [("normal", (3,))]


# -- a whole run -------------------------------------------------------------------------------------

SMALL = {
    "dataset_options": {
        **{f"{pool}_people": n for pool, n in (("develop", 12), ("validation", 3), ("attack", 16))},
        "test_people": 12,
        "test_images": 3,
    },
    "methods": ("original", "mmda:gender"),
    "attackers": ("svm",),
    "matchers": ("se_resnet",),
    "extractors": ("se_resnet",),
    "attributes": ("gender",),
    "threats": (),
    "resamples": 100,
    "quality_images": 0,
    "options": {
        "se_resnet": {"steps": 8, "batch": 8, "size": 32, "widths": [4, 8, 8, 16]},
        "mmda": {"size": 32, "dimensions": 6},
    },
    "size": 64,
}


def results(config: RunConfig, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of every output, and the facts of every cell by its title: all in this process."""
    store = Store(folder)
    planned = build(config)
    environment = Environment(folder, sources(config))
    recent, facts = Recent(200_000_000), {}
    for cell in planned.cells.values():
        there = cell.without(set())
        if not store.has(there.key):
            job = make_job(there, store, environment, recent, lambda done, total, text: None)
            store.save(there.key, run_cell(job), {})
        facts[there.title] = store.card(there.key)["facts"]
    rows = [r for s in planned.subjects for r in store.load(s.score).facts["rows"]]
    return rows, facts


def test_values_lie_within_the_intervals_of_exact_evaluation(
    tmp_path, monkeypatch, eager_to_change, bf16, no_weights
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = RunConfig.model_validate(SMALL)
    exact, plain = results(config, tmp_path / "store")
    fast, told = results(replace_inference(config, "fastest"), tmp_path / "store")

    def named(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
        keys = ("method", "variant", "attribute", "threat", "component", "metric", "operating_point")
        return {tuple(str(r.get(k)) for k in keys): r for r in rows}

    wanted, found = named(exact), named(fast)
    assert wanted.keys() == found.keys()
    checked = 0
    for key, row in wanted.items():
        low, high, value = row["ci_low"], row["ci_high"], found[key]["value"]
        if None not in (low, high, value):
            assert low - 1e-9 <= value <= high + 1e-9, key
            checked += 1
    assert checked >= 10
    assert not any("inference" in facts for facts in plain.values())
    taken = {title: facts["inference"] for title, facts in told.items() if "inference" in facts}
    assert taken["protect mmda:gender"][0]["precision"] == "bf16"
    assert any(choices[0]["path"] == "flat" for title, choices in taken.items() if " embed " in title)


def test_only_what_is_evaluated_otherwise_has_another_key():
    config = RunConfig.model_validate(SMALL)
    exact = build(config)
    fast = build(replace_inference(config, "fastest"))
    compiled = build(replace_inference(config, "compiled"))
    by_title = {c.title: c for c in exact.cells.values()}
    for cell in fast.cells.values():
        same = cell.key == by_title[cell.title].key
        untouched = cell.stage in ("faces", "fit", "matcher_fit", "pairs")
        assert same == untouched, cell.title
    assert {c.key for c in fast.cells.values() if c.stage == "embed"}.isdisjoint(
        c.key for c in compiled.cells.values()
    )
    assert any("deviates from fp32" in note for note in fast.notes)
    assert not any("deviates from fp32" in note for note in exact.notes)


def replace_inference(config: RunConfig, wanted: str) -> RunConfig:
    return config.model_copy(update={"inference": wanted})
