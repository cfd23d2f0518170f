"""Your own photographs: a folder and its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_trees import PLACES, StandIn, assert_disjoint, everything, loaded, photo, write

import bench.datasets._photos as photos_module
from bench.api import POOLS, TEST, Attribute, InputError
from bench.datasets.folder import LANDMARKS, Folder
from bench.faces import AGE, AGE_GROUP, GENDER

PEOPLE = [f"person {n}" for n in range(12)]
NAMES = [f"{person}/{k}.jpg" for person in PEOPLE for k in (1, 2)]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: StandIn())


def rows(*more: str) -> list[str]:
    """file,identity and the cells of `more` for each photo, whose {n} is the number of the person."""
    return [
        ",".join(
            [
                name,
                name.partition("/")[0],
                *(cell.format(n=int(name.split()[1].split("/")[0])) for cell in more),
            ]
        )
        for name in NAMES
    ]


def folder(
    root: Path, head: str, lines: Sequence[str], names: Sequence[str] = NAMES, **options: Any
) -> Folder:
    write(root, names)
    (root / "manifest.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return Folder([root], **{"size": 16, **options})


def test_columns_are_attributes(tmp_path: Path) -> None:
    genders = ["female" if n % 2 else "male" for n in range(12)]
    lines = [
        f"{name},{person},{genders[n]},{20 + 3 * n},{'ab'[n % 2]},{'yes' if n else ''}"
        for n, person in enumerate(PEOPLE)
        for name in NAMES[2 * n : 2 * n + 2]
    ]
    dataset = folder(tmp_path, "file,identity,gender,age [years],Hair Style,hat", lines)
    assert dataset.attributes() == (
        GENDER,
        AGE,
        Attribute("hair_style", ("a", "b")),
        Attribute("hat", ("no", "yes")),
        AGE_GROUP,
    )
    labels = everything(dataset)
    assert labels["person 3/2.jpg"] == {"gender": 0, "age": 29, "hair_style": 1, "hat": 1, "age_group": 0}
    assert labels["person 11/1.jpg"]["age_group"] == 2
    assert np.isnan(labels["person 0/1.jpg"]["hat"])
    assert_disjoint(dataset)


def test_identities_alone_are_enough(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "identity,file", [f"{name.partition('/')[0]},{name}" for name in NAMES])
    assert dataset.attributes() == ()
    assert len(everything(dataset)) == len(NAMES)


def test_pools_can_be_given(tmp_path: Path) -> None:
    cells = [line.rpartition(",") for line in rows("{n}")]
    lines = [f"{start},{'TEST' if int(number) < 4 else ''}" for start, _, number in cells]
    dataset = folder(tmp_path, "file,identity,pool", lines)
    people = {pool: {key.partition("/")[0] for key in f.keys.tolist()} for pool, f in loaded(dataset).items()}
    assert set(PEOPLE[:4]) < people[TEST]
    assert_disjoint(dataset)


def test_a_folder_may_lack_pools(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "file,identity,pool", rows("test"))
    assert dataset.pools() == (TEST,)
    assert len(dataset.load(TEST)) == len(NAMES)


def test_landmarks_of_the_manifest_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [f"{v:g}" for v in (PLACES * (120, 140)).ravel()]
    found = folder(tmp_path / "a", ",".join(["file,identity", *LANDMARKS]), rows(*points))
    searched = folder(tmp_path / "b", "file,identity", rows())
    images = searched.load(TEST).images
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: pytest.fail("all landmarks are known"))
    assert np.array_equal(found.load(TEST).images, images)


def test_folders_are_joined(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", "file,identity,hat", rows("yes"))
    folder(tmp_path / "b", "file,hat,identity", [f"{n},no,{n[:8]}" for n in NAMES[:6]], NAMES[:6])
    both = Folder([tmp_path / "a", tmp_path / "b"], size=16)
    labels = everything(both)
    assert len(labels) == len(NAMES) + 6
    assert labels["0/person 0/1.jpg"] == {"hat": 1}
    assert labels["1/person 0/1.jpg"] == {"hat": 0}
    assert first.attributes() == both.attributes() == (Attribute("hat", ("no", "yes")),)
    people = {key.partition("/")[2].partition("/")[0] for key in labels}
    assert people == set(PEOPLE), "a person of both folders is one person"
    folder(tmp_path / "c", "file,identity", [f"{NAMES[0]},x"], NAMES[:1])
    with pytest.raises(InputError, match="do not have the same columns: hat"):
        Folder([tmp_path / "a", tmp_path / "c"], size=16).attributes()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside.jpg", "person 0/../../outside.jpg", "./person 0/1.jpg", "a\\b.jpg"]
)
def test_a_manifest_cannot_leave_its_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.jpg").write_bytes(photo("outside.jpg"))
    dataset = folder(tmp_path / "in", "file,identity", [*rows(), f"{path},somebody"])
    with pytest.raises(InputError, match=r"manifest\.csv, line 26: .* must be a plain path below the folder"):
        dataset.fingerprint(TEST)


def test_a_link_cannot_leave_the_folder_either(tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(photo("outside.jpg"))
    write(tmp_path / "in", NAMES)
    (tmp_path / "in/link.jpg").symlink_to(tmp_path / "outside.jpg")
    dataset = folder(tmp_path / "in", "file,identity,pool", [*rows("test"), "link.jpg,somebody,test"])
    with pytest.raises(InputError, match="is a link that leaves"):
        dataset.fingerprint(TEST)
    with pytest.raises(InputError, match="is a link that leaves"):
        dataset.load(TEST)


TWICE = f"{NAMES[0]},person 0,yes"
TORN = f"{NAMES[-1]},person 11,attack"


@pytest.mark.parametrize(
    ("head", "lines", "said"),
    [
        ("file,hat", rows(), "no column 'identity'"),
        ("file,identity,hat", rows(), "line 2: 2 values for 3 columns"),
        ("file,identity,hat", [*rows("yes"), TWICE], "line 26: person 0/1.jpg stands in line 2 already"),
        ("file,identity", [*rows(), "not/there.jpg,x"], "line 26: no photo not/there.jpg"),
        ("file,identity", [*rows(), f"{NAMES[0]},"], "line 26: a row needs a file and an identity"),
        ("file,identity,age [years]", rows("old"), "line 2: age [years] must be a number, not 'old'"),
        ("file,identity,pool", rows("training"), "line 2: no pool 'training'"),
        ("file,identity,hat", rows(""), "column 'hat' is empty"),
        ("file,identity,hat", rows("straw"), "column 'hat' says 'straw' of everybody"),
        ("file,identity,große", rows("a"), "column 'große' must be named as"),
        ("file,identity,hat,Hat", rows("no", "yes"), "two columns tell the attribute hat"),
        ("file,identity,nose_x", rows("3"), "line 2: left_eye_x is missing; give all ten"),
        (
            "file,identity,pool",
            [*rows("test")[:-1], f"{NAMES[-1]},person 11,attack"],
            "must not share a person",
        ),
    ],
)
def test_bad_manifests_are_named(tmp_path: Path, head: str, lines: list[str], said: str) -> None:
    dataset = folder(tmp_path, head, lines)
    with pytest.raises(InputError, match=r"manifest\.csv") as caught:
        dataset.load(TEST)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_without_a_unit_is_told_apart_from_classes(tmp_path: Path) -> None:
    many = [f"x/{n}.jpg" for n in range(70)]
    dataset = folder(tmp_path, "file,identity,weight", [f"{n},{n},{i}" for i, n in enumerate(many)], many)
    with pytest.raises(InputError, match="70 different texts; a number needs a unit"):
        dataset.attributes()


def test_a_manifest_in_another_encoding(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "file,identity", rows())
    (tmp_path / "manifest.csv").write_bytes("file,identity\na.jpg,Zoë\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"manifest\.csv, line 2: not UTF-8 text"):
        dataset.load(TEST)


def test_names_of_any_script(tmp_path: Path) -> None:
    names = [f"Ærø {n}/写真 {k}.jpg" for n in range(9) for k in (1, 2)]
    dataset = folder(tmp_path, "file,identity", [f"{n},{n.partition('/')[0]}" for n in names], names)
    assert set(everything(dataset)) == set(names)


def test_without_a_manifest_one_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, NAMES)
    assert not Folder.holds(tmp_path)
    with pytest.raises(InputError, match=r"no manifest\.csv in .*columns file, identity"):
        Folder([tmp_path], size=16).load(TEST)


def test_the_fingerprint_is_of_content_not_of_place(tmp_path: Path) -> None:
    one, other = (folder(tmp_path / name, "file,identity", rows()) for name in "ab")
    assert [one.fingerprint(p) for p in POOLS] == [other.fingerprint(p) for p in POOLS]
