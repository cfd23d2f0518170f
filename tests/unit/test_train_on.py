"""Learning on several datasets, as a run plans it; and a test pool in which nobody appears twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_celeba import Tree as CelebaTree
from test_utkface import Tree as UtkTree

from bench.cells import Cell, Environment, Recent
from bench.config import load_config
from bench.engines.work import make_job
from bench.errors import UsageError
from bench.faces import Faces
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.stages import match
from bench.stages.faces import pack
from bench.store import Artefact, Store

LEARNING = ("auxiliary", "fit", "template_fit")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    celeba = CelebaTree(tmp_path / "celeba")
    celeba.root.mkdir()
    return celeba.write(), UtkTree(tmp_path / "utkface").write()


def plan(data: tuple[Path, ...], **options: Any) -> Plan:
    usual = {"attackers": ("svm",), "matchers": ("se_resnet",), "size": 64, "data": data}
    return build(load_config(None, {**usual, "train_on": ("celeba", "utkface"), **options}))


def pools_read(planned: Plan, key: str) -> set[str]:
    """Titles of the cells of faces among the inputs of a cell."""
    inputs = [planned.cells[k] for k in planned.cells[key].inputs.values()]
    return {cell.title for cell in inputs if cell.stage == "faces"}


def test_methods_learn_on_the_join_and_are_tested_on_one(data: tuple[Path, ...]) -> None:
    planned = plan(data, dataset="utkface", methods=("privacynet", "cosine_noise", "ive"))
    joined = {f"faces {pool} of celeba + utkface" for pool in ("develop", "validation")}
    stages = set()
    for key, cell in planned.cells.items():
        if cell.stage in LEARNING:
            stages.add(cell.stage)
            assert pools_read(planned, key) == joined, cell.title
        elif cell.stage in ("matcher_fit", "attacker_fit"):
            assert pools_read(planned, key) == {"faces attack"}, cell.title
        elif cell.stage == "protect":
            assert pools_read(planned, key) in ({"faces test"}, {"faces attack"}), cell.title
        elif cell.stage in ("attack", "match", "quality", "score"):
            assert pools_read(planned, key) == {"faces test"}, cell.title
    assert stages == set(LEARNING)


def test_a_join_is_made_of_the_pools_it_is_named_after(data: tuple[Path, ...]) -> None:
    planned = plan(data, dataset="utkface", methods=("privacynet",))
    joins = [c for c in planned.cells.values() if "joined" in c.params]
    assert {c.params["pool"] for c in joins} == {"develop", "validation"}
    for cell in joins:
        assert cell.params["joined"] == ["celeba", "utkface"]
        for name in cell.params["joined"]:
            part = planned.cells[cell.inputs[f"part:{name}"]]
            assert (part.params["dataset"], part.params["pool"]) == (name, cell.params["pool"])
        frame = planned.cells[cell.inputs["frame"]]
        assert (frame.params["dataset"], frame.params["pool"]) == ("utkface", "develop")


def test_the_order_of_train_on_changes_no_key_and_the_datasets_do(data: tuple[Path, ...]) -> None:
    def keys(*names: str, roots: tuple[Path, ...] = data) -> set[str]:
        return set(plan(roots, dataset="utkface", methods=("privacynet",), train_on=names).cells)

    both, own = keys("celeba", "utkface"), keys("utkface", roots=data[1:])
    assert both == keys("utkface", "celeba", "celeba")
    assert own == keys(roots=data[1:])
    assert len({frozenset(both), frozenset(own), frozenset(keys("celeba"))}) == 3


def test_outputs_follow_the_labels_of_join_and_test_set(data: tuple[Path, ...]) -> None:
    def names(dataset: str) -> set[str]:
        planned = plan(data, dataset=dataset, methods=("privacynet",), variants="all")
        return {s.variant.name for s in planned.subjects} - {"default"}

    assert len(names("utkface")) == 15
    assert names("celeba") == {n for n in names("utkface") if "race" not in n}
    with pytest.raises(UsageError, match="privacynet:race must be told race, which celeba does not label"):
        plan(data, dataset="celeba", methods=("privacynet:race",))


def test_a_pool_in_which_nobody_appears_twice_is_refused_not_failed(tmp_path: Path) -> None:
    count, store = 30, Store(tmp_path)
    rng = np.random.default_rng(0)
    faces = Faces(
        np.zeros((count, 4, 4, 3), np.uint8), np.arange(count), np.array([f"{i}" for i in range(count)])
    )
    vectors = rng.standard_normal((count, 8)).astype(np.float32)
    store.save("a" * 64, pack(faces), {})
    store.save("b" * 64, Artefact({"vectors": vectors}), {})
    params = {"resamples": 100, "seed": 0, "pairs": "all"}
    original = Cell("match", params, {"faces": "a" * 64, "probe": "b" * 64, "reference": "b" * 64})
    changed = Cell("match", params, {**original.inputs, "baseline": original.key})
    for cell in (original, changed):
        job = make_job(cell, store, Environment(tmp_path), Recent(10**8), lambda *_: None)
        found = match.run(job)
        store.save(cell.key, found, {})
        assert found.facts["values"] == {}
        refused = {name.split(" ")[1] for name in found.facts["refused"]}
        assert refused == {"auc", "eer", "tmr", "identification_rate", "tpir"}
        assert all("show one person" in reason for reason in found.facts["refused"].values())
        assert found.facts["counts"]["original-protected"]["mated"] == 0
