"""LFW in its publisher's layout, with its lists, and its pair protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_trees import StandIn, assert_disjoint, everything, photo, write

import bench.datasets._photos as photos_module
from bench.api import ATTACK, DEVELOP, POOLS, TEST, InputError, UsageError
from bench.datasets.lfw import LFW

PEOPLE = {
    f"{first}_{second}": 1 + (i + j) % 3 for i, first in enumerate("ABCD") for j, second in enumerate("klmn")
}
NAMES = [f"{person}/{person}_{n:04d}.jpg" for person, photos in PEOPLE.items() for n in range(1, photos + 1)]
WOMEN = {person for person in PEOPLE if person[2] in "kl"}
PAIRS = [
    *("2\t2", "A_m\t1\t2", "A_l\t1\t2", "A_k\t1\tB_k\t1", "A_n\t1\tB_l\t1"),
    *("B_l\t1\t2", "C_k\t1\t3", "C_l\t1\tD_k\t1", "B_m\t1\tD_l\t1"),
]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: StandIn())


def lists(root: Path) -> None:
    """The lists as they are published: CRLF, blank lines, photos that are not there."""
    for name, people in (("female_names.txt", WOMEN), ("male_names.txt", set(PEOPLE) - WOMEN)):
        files = [n.rpartition("/")[2] for n in NAMES if n.partition("/")[0] in people]
        lines = ["", *files[1:], "", f"Not_There_{len(files):04d}.jpg"]
        (root / name).write_bytes("\r\n".join(lines).encode())
    (root / "pairs.txt").write_text("\n".join(PAIRS) + "\n")


def tree(root: Path, folder: str = "lfw-deepfunneled", archive: str = "") -> Path:
    write(root, [f"{folder}/{name}" for name in NAMES], lambda n: photo(n.rpartition("/")[2]), archive)
    lists(root)
    return root


def lfw(root: Path, **options: Any) -> LFW:
    return LFW([root], **{"size": 16, **options})


@pytest.mark.parametrize(
    ("folder", "archive"),
    [
        ("lfw_funneled", ""),
        ("lfw", ""),
        (".", ""),
        ("lfw-deepfunneled", "lfw-deepfunneled.zip"),
        ("lfw", "lfw.zip"),
    ],
)
def test_every_layout_gives_the_same_faces(tmp_path: Path, folder: str, archive: str) -> None:
    plain, other = lfw(tree(tmp_path / "a")), lfw(tree(tmp_path / "b", folder, archive))
    assert [plain.fingerprint(p) for p in POOLS] == [other.fingerprint(p) for p in POOLS]
    assert np.array_equal(plain.load(TEST).images, other.load(TEST).images)
    assert LFW.holds(other.roots[0])
    (tmp_path / "empty").mkdir()
    assert not LFW.holds(tmp_path / "empty")


def test_keys_genders_and_pools(tmp_path: Path) -> None:
    dataset = lfw(tree(tmp_path))
    assert [a.name for a in dataset.attributes()] == ["gender"]
    labels = everything(dataset)
    assert set(labels) == {name.removesuffix(".jpg") for name in NAMES}
    unlisted = {key for key, values in labels.items() if np.isnan(values["gender"])}
    assert unlisted == {"A_k/A_k_0001", "A_m/A_m_0001"}
    for key in set(labels) - unlisted:
        assert labels[key]["gender"] == float(key.partition("/")[0] not in WOMEN)
    assert_disjoint(dataset)


def test_view2_is_what_the_pair_list_names(tmp_path: Path) -> None:
    dataset = lfw(tree(tmp_path), pools="view2")
    assert dataset.pools() == (TEST,)
    faces, pairs = dataset.load(TEST), dataset.pairs()
    named = {*pairs.left, *pairs.right}
    assert set(faces.keys.tolist()) == named
    rows = pairs.rows(faces.keys)
    assert np.array_equal(faces.identities[rows[:, 0]] == faces.identities[rows[:, 1]], pairs.mated)
    for pool in (DEVELOP, ATTACK):
        with pytest.raises(InputError, match="add --train-on"):
            dataset.load(pool)


def test_view2_needs_the_list_and_every_photo_of_it(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "lfw-deepfunneled/C_k/C_k_0003.jpg").unlink()
    with pytest.raises(InputError, match=r"1 photos of pairs\.txt are missing: no photo C_k/C_k_0003\.jpg"):
        lfw(root, pools="view2").load(TEST)
    assert "C_k/C_k_0001" in everything(lfw(root)), "people are dealt out without the whole list"
    with pytest.raises(InputError, match=r"add --set dataset_options\.pools=view2"):
        lfw(root).pairs()
    (root / "pairs.txt").unlink()
    with pytest.raises(InputError, match=r"pools=view2 needs pairs\.txt"):
        lfw(root, pools="view2").load(TEST)
    with pytest.raises(InputError, match="without a published list"):
        lfw(root).pairs()
    with pytest.raises(UsageError, match="did you mean view2"):
        lfw(root, pools="view3").load(TEST)


def test_the_attribute_file_adds_its_labels(tmp_path: Path) -> None:
    root = tree(tmp_path)
    columns = ["person", "imagenum", "Male", "Eyeglasses", "Smiling", "Heavy Makeup", "Receding Hairline"]
    columns += ["Bushy Eyebrows", "Narrow Eyes", "Big Nose", "Big Lips", "Asian"]
    rows = ["# scores of classifiers", "\t".join(["#", *columns])]
    rows += [
        "A k\t1\t-1.5\t0.25\t-0.5\t2e-1\t-1\t-1\t-1\t-1\t-1\t9",
        "B k\t1\t3\t-1\t1\t-1\t-1\t-1\t-1\t-1\t1\t9",
    ]
    (root / "lfw_attributes.txt").write_text("\n".join(rows))
    labels = everything(lfw(root))
    assert labels["A_k/A_k_0001"]["gender"] == 0, "no list names it, so the scores tell"
    assert labels["A_k/A_k_0001"]["eyeglasses"] == 1
    assert labels["A_k/A_k_0001"]["smiling"] == 0
    assert labels["B_k/B_k_0001"]["gender"] == 0, "the verified list goes before the scores"
    assert labels["B_k/B_k_0001"]["big_lips"] == 1
    assert np.isnan(labels["C_k/C_k_0001"]["eyeglasses"])


def test_a_gender_that_both_lists_claim_is_unknown(tmp_path: Path) -> None:
    root = tree(tmp_path)
    with (root / "male_names.txt").open("a") as file:
        file.write("\r\nB_k_0001.jpg\r\n")
    dataset = lfw(root)
    assert np.isnan(everything(dataset)["B_k/B_k_0001"]["gender"])
    kinds = [(p.kind, p.what) for p in dataset.survey().problems if p.is_fault]
    assert len(kinds) == 1
    assert kinds[0][0] == "mislabelled"
    assert "B_k/B_k_0001 stands in female_names.txt and in male_names.txt" in kinds[0][1]


def test_roots_are_joined_and_must_agree(tmp_path: Path) -> None:
    whole = tree(tmp_path / "whole")
    parts = [
        write(tmp_path / n, [f"lfw/{x}" for x in NAMES[s]], lambda n: photo(n.rpartition("/")[2]))
        for n, s in (("one", slice(0, 20)), ("two", slice(12, None)))
    ]
    lists(parts[1])
    assert LFW(parts, size=16).fingerprint(TEST) == lfw(whole).fingerprint(TEST)
    (parts[0] / "lfw" / NAMES[15]).write_bytes(photo("other.jpg"))
    with pytest.raises(InputError, match=r"differs between .*one.* and .*two"):
        LFW(parts, size=16).fingerprint(TEST)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("male_names.txt", b"A_k_0001.jpg\r\nA_k\r\n", "male_names.txt, line 2: must be a file name"),
        ("female_names.txt", b"A_k_0001.jpg\n\xe9\n", "female_names.txt, line 2: not UTF-8"),
        ("pairs.txt", b"2 2\nA_m 1 2\n", "line 1 announces"),
        ("lfw_attributes.txt", b"# x\n#\tperson\timagenum\tMale\n", "no column 'Eyeglasses'"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, name: str, text: bytes, said: str) -> None:
    root = tree(tmp_path)
    (root / name).write_bytes(text)
    with pytest.raises(InputError) as caught:
        lfw(root, pools="view2").load(TEST)
    assert said in str(caught.value)


def test_a_wrong_folder_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no LFW in .*Name_0001\.jpg in lfw-deepfunneled/ and .*--data"):
        lfw(tmp_path).load(TEST)
