"""`data verify`: what is there, what is wrong with it, and the exit status that says so."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from photo_trees import StandIn, encoded, photo, write
from test_celeba import Tree as CelebATree
from test_utkface import Tree as UTKFaceTree
from test_utkface import regular
from typer.testing import CliRunner

import bench.datasets._photos as photos_module
from bench.api import Unavailable
from bench.commands.data import app
from bench.components.survey import FAULTS, NOTES
from bench.data_check import COLUMNS, check, lines, write_csv
from bench.datasets.celeba import CelebA
from bench.datasets.folder import Folder
from bench.datasets.utkface import UTKFace

NAMES = [f"p{n}/{k}.jpg" for n in range(10) for k in (1, 2)]


def folder(root: Path, head: str = "file,identity", more: Sequence[str] = (), cells: str = "") -> Folder:
    write(root, NAMES)
    rows = [f"{name},{name.partition('/')[0]}{cells}" for name in NAMES]
    (root / "manifest.csv").write_text("\n".join([head, *rows, *more]), encoding="utf-8")
    return Folder([root])


def verify(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_a_sound_folder(tmp_path: Path) -> None:
    found = check(folder(tmp_path))
    assert found.is_sound
    assert found.survey is not None
    assert (found.survey.photos, found.survey.people) == (20, 10)
    assert sum(photos for photos, _ in found.survey.pools.values()) == 20
    assert list(lines(found))[-1] == "nothing to mend"
    assert verify("--dataset", "folder", "--data", str(tmp_path))[0] == 0


def test_every_kind_of_fault_is_found_and_named(tmp_path: Path) -> None:
    more = [
        "gone.jpg,p0,yes",
        "copy.jpg,p1,yes",
        "stranger.jpg,p2,yes",
        "relabelled.jpg,p3,",
        "bad.jpg,p4,yes",
    ]
    dataset = folder(tmp_path, "file,identity,hat", more, ",yes")
    for name, data in (
        ("copy.jpg", photo("p1/1.jpg")),
        ("stranger.jpg", photo("p5/1.jpg")),
        ("relabelled.jpg", photo("p3/1.jpg")),
        ("bad.jpg", b"\xff\xd8 not a picture"),
        ("unlisted.jpg", photo("unlisted.jpg")),
    ):
        (tmp_path / name).write_bytes(data)
    found = check(dataset)
    assert found.counts == {
        "missing": 1,
        "unreadable": 1,
        "duplicate": 1,
        "mislabelled": 2,
        "unlabelled": 1,
        "unused": 1,
    }
    assert not found.is_sound
    by_kind = {problem.kind: problem for problem in found.problems}
    assert by_kind["missing"].line == 22
    assert "gone.jpg" in by_kind["missing"].what
    assert by_kind["unreadable"].file.endswith("bad.jpg")
    assert by_kind["duplicate"].file.endswith("copy.jpg") or by_kind["duplicate"].file.endswith("p1/1.jpg")
    mislabelled = [p.what for p in found.problems if p.kind == "mislabelled"]
    assert any("which is p2, not p5" in what or "which is p5, not p2" in what for what in mislabelled)
    assert any("with other labels" in what for what in mislabelled)
    assert all(problem.kind in {**FAULTS, **NOTES} for problem in found.problems)

    path = tmp_path / "out.csv"
    status, output = verify("--dataset", "folder", "--data", str(tmp_path), "--out", str(path))
    assert status == 1
    assert "not sound" in output
    assert "line 22: no photo gone.jpg" in output
    with path.open(newline="", encoding="utf-8") as file:
        written = list(csv.reader(file))
    assert tuple(written[0]) == COLUMNS
    assert len(written) == 1 + len(found.problems)


def test_what_keeps_a_dataset_from_being_read_is_a_problem_too(tmp_path: Path) -> None:
    dataset = folder(tmp_path, more=["../x.jpg,p0"])
    found = check(dataset)
    assert found.survey is None
    assert [p.kind for p in found.problems] == ["unusable"]
    assert "line 22" in found.problems[0].what
    status, output = verify("--dataset", "folder", "--data", str(tmp_path))
    assert status == 1
    assert "must be a plain path" in output


def test_options_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    check(folder(tmp_path), lambda done, total, text: seen.append((done, total)))
    assert seen == [(n, 20) for n in range(20)]
    data = ("--dataset", "folder", "--data", str(tmp_path))
    for entry in ("limit=4", "dataset_options.limit=4"):
        status, output = verify(*data, "--set", entry)
        assert status == 0
        assert "folder: 16 photos of 8 people" in output


def test_photos_without_a_face_are_counted_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: StandIn())
    dataset = folder(tmp_path)
    (tmp_path / NAMES[5]).write_bytes(encoded(np.zeros((40, 30, 3), np.uint8)))
    assert check(dataset).counts == {}
    found = check(dataset, faces=True)
    assert found.is_sound
    assert [(p.kind, p.file) for p in found.problems] == [("faceless", f"{tmp_path}/{NAMES[5]}")]


def test_looking_for_faces_needs_the_detector(tmp_path: Path, no_weights: None) -> None:
    with pytest.raises(Unavailable, match="give --weights FOLDER"):
        check(folder(tmp_path), faces=True)


def test_formulas_are_not_written_to_the_table(tmp_path: Path) -> None:
    dataset = folder(tmp_path / "in", more=["=cmd.jpg,p0"])
    found = check(dataset)
    path = write_csv(found, tmp_path / "out.csv")
    for row in csv.reader(path.read_text().splitlines()):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def test_people_of_two_genders_are_counted(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "file,identity,gender", cells=",female")
    text = (tmp_path / "manifest.csv").read_text().replace("p4/2.jpg,p4,female", "p4/2.jpg,p4,male")
    (tmp_path / "manifest.csv").write_text(text)
    found = check(dataset)
    assert found.counts == {"inconsistent": 1}
    assert found.is_sound


def test_utkface_copies_and_damage(tmp_path: Path) -> None:
    names = regular(4)
    tree = UTKFaceTree(tmp_path, names)
    first = names[0]
    copy, other = (
        first.replace("_2017", "_2018"),
        "99" + names[1][names[1].index("_") :].replace("_2017", "_2018"),
    )
    of = {copy: first, other: names[1]}
    tree.names = [*names, copy, other]
    own = tree.bytes_of
    tree.bytes_of = lambda name: b"" if name == names[2] else own(of.get(name, name))
    found = check(UTKFace([tree.write()]))
    assert found.counts == {"unreadable": 1, "duplicate": 1, "mislabelled": 1}
    assert found.survey is not None
    assert found.survey.photos == len(names), "a copy counts once"


def test_celeba_damage_and_wrong_people(tmp_path: Path) -> None:
    tree = CelebATree(tmp_path)
    tree.write()
    sound = check(CelebA([tmp_path]))
    assert sound.is_sound
    images = sorted((tmp_path / "img_align_celeba").glob("*.jpg"))
    listing = CelebA([tmp_path])._listing
    stranger = next(p for p in images if listing.identities[p.name] != listing.identities[images[0].name])
    stranger.write_bytes(images[0].read_bytes())
    images[1].write_bytes(images[1].read_bytes()[:200])
    counts = check(CelebA([tmp_path])).counts
    assert counts["unreadable"] == counts["mislabelled"] == 1
