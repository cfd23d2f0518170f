"""Several datasets in one run."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_celeba import Tree as CelebaTree
from test_utkface import Tree as UtkTree

from bench.cells import Source
from bench.config import load_config
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.run import environment_of
from bench.sources import evaluations
from bench.sweep import swept


@pytest.fixture
def data(tmp_path: Path, no_weights: None) -> tuple[Path, Path]:
    celeba = CelebaTree(tmp_path / "celeba")
    celeba.root.mkdir()
    return celeba.write(), UtkTree(tmp_path / "utkface").write()


def plans(data: tuple[Path, ...], **options: object) -> list[Plan]:
    usual = {
        "data": data,
        "test_on": ("celeba", "utkface"),
        "methods": ("blur",),
        "attackers": ("svm",),
        "matchers": ("se_resnet",),
        "size": 64,
        "seeds": 2,
    }
    return [build(part) for part in evaluations(load_config(None, {**usual, **options}))]


def test_all_cells_of_all_datasets_and_seeds_are_one_plan(data: tuple[Path, Path]) -> None:
    celeba, utkface = plans(data)
    both = swept([celeba, utkface])
    assert both is not None
    assert set(both.cells) == set(celeba.cells) | set(utkface.cells)
    assert {cell.params["seed"] for cell in both.cells.values() if cell.stage == "score"} == {0, 1}
    assert len(both.subjects) == len(celeba.subjects) + len(utkface.subjects) == 8
    place = {key: number for number, key in enumerate(both.cells)}
    for key, cell in both.cells.items():
        for need in cell.needs:
            assert place[need] < place[key], f"{cell.title} stands before what it reads"


def test_workers_find_the_files_of_every_dataset(data: tuple[Path, Path]) -> None:
    both = swept(plans(data))
    assert both is not None
    found = environment_of(both.config, "cpu", both.sources).sources
    assert found == {"celeba": Source((data[0].resolve(),)), "utkface": Source((data[1].resolve(),))}


def test_two_meanings_of_one_dataset_are_not_mixed(data: tuple[Path, Path]) -> None:
    """celeba with a limit where it is tested on, and as it is where methods learn on it."""
    found = plans(data, train_on=("celeba",), test_on_options={"celeba": {"limit": 30}})
    assert swept(found) is None
