"""Learning on one dataset and testing on others: what a run plans, and whose people it uses for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_celeba import Tree as CelebaTree
from test_utkface import Tree as UtkTree

from bench.config import load_config
from bench.errors import InputError, UsageError
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.report.joint import write_joint
from bench.sources import evaluations


def lfw(root: Path) -> Path:
    """Four people with three photos each, and a list of pairs in two folds."""
    rng = np.random.default_rng(0)
    for person in ("Ann_Lee", "Bob_Ray", "Cy_Poe", "Dee_Fox"):
        (root / "lfw" / person).mkdir(parents=True)
        for number in range(1, 4):
            picture = rng.integers(0, 256, (250, 250, 3), np.uint8)
            cv2.imwrite(str(root / "lfw" / person / f"{person}_{number:04d}.jpg"), picture)
    (root / "pairs.txt").write_text(
        "2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBob_Ray\t2\nCy_Poe\t1\t3\nCy_Poe\t2\tDee_Fox\t1\n", "utf-8"
    )
    (root / "male_names.txt").write_text("Bob_Ray_0002.jpg\r\nCy_Poe_0001.jpg\r\n", "utf-8")
    (root / "female_names.txt").write_text("Ann_Lee_0001.jpg\r\n\r\nDee_Fox_0001.jpg\r\n", "utf-8")
    return root


@pytest.fixture
def data(tmp_path: Path, no_weights: None) -> dict[str, Path]:
    celeba = CelebaTree(tmp_path / "celeba")
    celeba.root.mkdir()
    return {
        "celeba": celeba.write(),
        "utkface": UtkTree(tmp_path / "utkface").write(),
        "lfw": lfw(tmp_path / "faces"),
    }


def plan(data: dict[str, Path], *names: str, **options: Any) -> Plan:
    usual = {"attackers": ("svm",), "matchers": ("se_resnet",), "size": 64}
    return build(load_config(None, {**usual, "data": tuple(data[n] for n in names), **options}))


VIEW_2: dict[str, Any] = {"dataset": "lfw", "dataset_options": {"pools": "view2"}, "pairs": "published"}


def test_who_has_nobody_to_learn_on_borrows_people_from_what_methods_learn_on(data: dict[str, Path]) -> None:
    planned = plan(data, "lfw", "celeba", **VIEW_2, train_on=("celeba",), methods=("privacynet", "blur"))
    read = {}
    for cell in planned.cells.values():
        inputs = [planned.cells[key] for key in cell.inputs.values() if key in planned.cells]
        read.setdefault(cell.stage, set()).update(c.title for c in inputs if c.stage == "faces")
    assert read["fit"] == {"faces develop of celeba", "faces validation of celeba"}
    assert read["attacker_fit"] == read["matcher_fit"] == {"faces attack of celeba"}
    assert read["match"] == read["attack"] == read["quality"] == {"faces test"}
    assert read["aware"] == {"faces test", "faces attack of celeba"}
    assert any("attackers learn on people of celeba" in note for note in planned.notes)
    frames = {planned.cells[c.inputs["frame"]].title for c in planned.cells.values() if "frame" in c.inputs}
    assert frames == {"faces test"}, "the tested faces say where in an image a face belongs"


def test_without_such_people_trained_components_are_unavailable_and_the_rest_runs(
    data: dict[str, Path],
) -> None:
    planned = plan(data, "lfw", **VIEW_2, methods=("privacynet", "blur"))
    assert {s.name for s in planned.subjects} == {"original", "blur"}
    missing = {(m.kind, m.name): m for m in planned.missing}
    assert set(missing) >= {("method", "privacynet"), ("matcher", "se_resnet"), ("attacker", "svm")}
    assert "nobody for DEVELOP" in missing["method", "privacynet"].reason
    assert "--train-on" in missing["attacker", "svm"].remedy
    assert not {"aware", "matcher_fit", "fit"} & {c.stage for c in planned.cells.values()}


def test_published_pairs_are_an_input_of_every_match(data: dict[str, Path]) -> None:
    planned = plan(data, "lfw", "celeba", **VIEW_2, train_on=("celeba",), methods=("blur",))
    matches = [c for c in planned.cells.values() if c.stage == "match"]
    assert len(matches) == 2
    assert all(planned.cells[c.inputs["pairs"]].stage == "pairs" for c in matches)
    other = plan(data, "lfw", "celeba", **VIEW_2 | {"pairs": "all"}, train_on=("celeba",), methods=("blur",))
    assert not any("pairs" in c.inputs for c in other.cells.values())
    with pytest.raises(InputError, match="celeba comes without a published list"):
        plan(data, "celeba", dataset="celeba", pairs="published", methods=("blur",))


def test_one_evaluation_for_each_dataset_to_test_on(data: dict[str, Path], tmp_path: Path) -> None:
    options = {
        "data": tuple(data.values()),
        "train_on": ("celeba",),
        "test_on": ("lfw", "utkface"),
        "test_on_options": {"lfw": {"pools": "view2"}},
        "out": tmp_path / "out",
    }
    first, second = evaluations(load_config(None, options))
    assert (first.dataset, second.dataset) == ("lfw", "utkface")
    assert set(first.data) == {data["celeba"], data["lfw"]}
    assert set(second.data) == {data["celeba"], data["utkface"]}
    assert first.dataset_options == {"pools": "view2"}
    assert second.dataset_options == {}
    assert (first.out, second.out) == (tmp_path / "out" / "lfw", tmp_path / "out" / "utkface")
    alone = load_config(None, {"dataset": "lfw"})
    assert evaluations(alone) == (alone,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "celeba"}, "leave out --dataset celeba"),
        ({"dataset_options": {"limit": 3}}, "test_on_options"),
        ({"test_on_options": {"celeba": {}}}, "unknown dataset in test_on_options 'celeba'"),
        ({"test_on": (), "test_on_options": {"lfw": {}}}, "need --test-on"),
    ],
)
def test_what_is_meant_must_be_clear(data: dict[str, Path], options: dict[str, Any], message: str) -> None:
    usual = {"data": (data["lfw"], data["celeba"]), "train_on": ("celeba",), "test_on": ("lfw",)}
    with pytest.raises(UsageError, match=message):
        evaluations(load_config(None, {**usual, **options}))


def test_a_folder_that_no_dataset_of_the_run_knows_is_refused(data: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    config = load_config(None, {"data": (data["lfw"], tmp_path / "holiday"), "test_on": ("lfw",)})
    with pytest.raises(InputError, match="holiday holds nothing of lfw"):
        evaluations(config)


def test_reports_of_several_datasets_share_one_leaderboard(tmp_path: Path) -> None:
    import pandas as pd
    from report_rows import make_rows

    folders = []
    for name in ("lfw", "utkface"):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        rows = make_rows(3)
        rows["dataset"] = name
        rows.to_parquet(folders[-1] / "rows.parquet")
    board = pd.read_csv(write_joint(tmp_path, folders))
    assert list(dict.fromkeys(board["dataset"])) == ["lfw", "utkface"]
    assert (board.groupby("dataset").size() == len(board) / 2).all()
    assert (tmp_path / "rows.csv").is_file()
    page = (tmp_path / "index.html").read_text("utf-8")
    assert '<option value="lfw">' in page
    assert '<option value="utkface">' in page
