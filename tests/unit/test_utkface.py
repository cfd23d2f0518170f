"""The UTKFace adapter on miniature trees in the publisher's layout."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import pytest

from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Faces, InputError, UsageError
from bench.datasets.utkface import LANDMARKS, UTKFace

IRREGULAR = {
    "39_1_20170116174525125.jpg.chip.jpg": (39, 0, None),
    "61_1_20170109142408075.jpg.chip.jpg": (61, 0, None),
    "61_1_20170109150557335.jpg.chip.jpg": (61, 0, None),
    "24_0_1_20170116220224657 .jpg.chip.jpg": (24, 1, 1),
    "55_0_0_20170116232725357jpg.chip.jpg": (55, 1, 0),
    "14_0_0_2017011022340900.jpg.chip.jpg": (14, 1, 0),
    "28_1_2_201701161846515488.jpg.chip.jpg": (28, 0, 2),
    "38_0_1_201701162330572788.jpg.chip.jpg": (38, 1, 1),
}
"""The odd names of the publisher's aligned set -> age, gender (0 female, 1 male), race (None: not told)."""


def regular(a_cell: int = 20) -> list[str]:
    """`a_cell` images of every gender and race, ages 1 to 99."""
    names = []
    for number, (gender, race, _) in enumerate(product(range(2), range(5), range(a_cell))):
        names.append(f"{1 + number % 99}_{gender}_{race}_2017{number:013d}.jpg.chip.jpg")
    return names


def jpeg(name: str, side: int = 200) -> bytes:
    """A picture that differs from name to name."""
    rng = np.random.default_rng(crc32(name.encode()))
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    assert done
    return data.tobytes()


@dataclass
class Tree:
    """A dataset on disk."""

    root: Path
    names: list[str] = field(default_factory=lambda: regular() + list(IRREGULAR))
    bytes_of: Callable[[str], bytes] = jpeg

    def write(self, images: str = "UTKFace") -> Path:
        target = self.root / images
        target.parent.mkdir(parents=True, exist_ok=True)
        if images.endswith(".zip"):
            with zipfile.ZipFile(target, "w") as archive:
                for name in self.names:
                    archive.writestr(f"UTKFace/{name}", self.bytes_of(name))
                archive.writestr("__MACOSX/UTKFace/._1_0_0_20170116174525125.jpg.chip.jpg", b"fork")
        else:
            target.mkdir(parents=True, exist_ok=True)
            for name in self.names:
                (target / name).write_bytes(self.bytes_of(name))
            (target / ".DS_Store").write_bytes(b"not an image")
        return self.root


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "utk")


def fingerprints(dataset: UTKFace) -> list[str]:
    return [dataset.fingerprint(pool) for pool in POOLS]


def everything(dataset: UTKFace) -> dict[str, dict[str, float]]:
    """Key -> labels, over all pools."""
    found = {}
    for pool in POOLS:
        faces = dataset.load(pool)
        for row, key in enumerate(faces.keys.tolist()):
            found[key] = {name: float(values[row]) for name, values in faces.labels.items()}
    return found


# -- labels ------------------------------------------------------------------------------------------


def test_labels_follow_the_names(tree: Tree) -> None:
    labels = everything(UTKFace([tree.write()], size=32))
    assert set(labels) == set(tree.names)
    for name in regular():
        age, gender, race, _ = name.split("_")
        expected = {
            "age": float(age),
            "gender": float(gender == "0"),
            "race": float(race),
            "age_group": float((int(age) > 30) + (int(age) > 45)),
        }
        assert labels[name] == expected


def test_every_irregular_name_of_the_full_set_is_read(tree: Tree) -> None:
    labels = everything(UTKFace([tree.write()], size=32))
    for name, (age, gender, race) in IRREGULAR.items():
        assert (labels[name]["age"], labels[name]["gender"]) == (age, gender)
        if race is None:
            assert np.isnan(labels[name]["race"]), "a race that is not told is unknown, not White"
        else:
            assert labels[name]["race"] == race


@pytest.mark.parametrize(
    "name", ["53__0_20170116184028385.jpg.chip.jpg", "61_3_0_20170109150557335.jpg.chip.jpg"]
)
def test_a_gender_that_is_missing_or_no_code_is_unknown(tree: Tree, name: str) -> None:
    tree.names.append(name)
    labels = everything(UTKFace([tree.write()], size=32))[name]
    assert np.isnan(labels["gender"])
    assert labels["race"] == 0


def test_attributes_and_what_is_absent(tree: Tree) -> None:
    found = {a.name: a for a in UTKFace([tree.write()]).attributes()}
    assert set(found) == {"gender", "race", "age", "age_group"}
    assert found["gender"].classes == ("female", "male")
    assert found["race"].classes == ("White", "Black", "Asian", "Indian", "Others")
    assert found["age"].is_number
    assert found["age"].unit == "years"
    assert len(found["age_group"].classes) == 3


def test_two_races_leave_the_others_unlabelled(tree: Tree) -> None:
    dataset = UTKFace([tree.write()], size=32, races="two")
    race = next(a for a in dataset.attributes() if a.name == "race")
    assert race.classes == ("African descent", "Caucasian")
    for name, labels in everything(dataset).items():
        if name in IRREGULAR:
            continue
        expected = {"0": 1.0, "1": 0.0}.get(name.split("_")[2], np.nan)
        assert np.array_equal(labels["race"], expected, equal_nan=True)


def test_an_unknown_value_of_races_is_a_usage_error(tree: Tree) -> None:
    with pytest.raises(UsageError, match="known: five, two"):
        UTKFace([tree.write()], races="seven").fingerprint(TEST)


# -- pools -------------------------------------------------------------------------------------------


def test_pools_share_no_image_and_leave_none_out(tree: Tree) -> None:
    dataset = UTKFace([tree.write()], size=32)
    pools = {pool: dataset.load(pool) for pool in POOLS}
    everybody = np.concatenate([f.identities for f in pools.values()])
    assert len(np.unique(everybody)) == len(everybody) == len(tree.names)


def test_every_gender_and_race_is_in_every_pool_in_its_share(tree: Tree) -> None:
    tree.names = regular()
    dataset = UTKFace([tree.write()], size=32)
    for pool, a_cell in ((DEVELOP, 8), (VALIDATION, 2), (ATTACK, 5), (TEST, 5)):
        faces = dataset.load(pool)
        counts = Counter(zip(faces.labels["gender"], faces.labels["race"], strict=True))
        assert list(counts.values()) == [a_cell] * 10


def test_any_first_part_of_a_pool_is_balanced_and_not_sorted_by_age(tree: Tree) -> None:
    tree.names = regular()
    some = UTKFace([tree.write()], size=32).load(DEVELOP, most=40)
    assert len(some) == 40
    counts = Counter(zip(some.labels["gender"], some.labels["race"], strict=True))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert some.labels["age"].min() < 20
    assert some.labels["age"].max() > 80


def test_the_deal_depends_on_the_seed_alone(tree: Tree) -> None:
    root = tree.write()
    deals = [sorted(UTKFace([root], size=32, seed=s).load(TEST).keys) for s in (0, 0, 1)]
    assert deals[0] == deals[1]
    assert deals[0] != deals[2]


def test_limit_keeps_the_balance(tree: Tree) -> None:
    tree.names = regular()
    dataset = UTKFace([tree.write()], size=32, limit=20)
    faces = dataset.load(DEVELOP)
    counts = Counter(zip(faces.labels["gender"], faces.labels["race"], strict=True))
    assert list(counts.values()) == [2] * 10


def test_the_same_bytes_under_two_names_count_once(tree: Tree) -> None:
    first = regular()[0]
    copy = first.replace("_2017", "_2018")
    tree.names.append(copy)
    tree.bytes_of = lambda name: jpeg(first if name == copy else name)
    labels = everything(UTKFace([tree.write()], size=32))
    assert first in labels
    assert copy not in labels


# -- images and files --------------------------------------------------------------------------------


def test_pixels_are_the_whole_image_in_rgb(tree: Tree) -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[:, :] = (10, 60, 200)  # blue, green, red, as OpenCV writes
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert done
    number = iter(range(1000))
    # A comment in the JPEG tells the files apart: the same bytes twice would count once.
    tree.bytes_of = lambda name: (
        data.tobytes()[:2] + b"\xff\xfe\x00\x04" + b"%02d" % (next(number) % 100) + data.tobytes()[2:]
    )
    tree.names = regular(8)
    for size in (200, 112, 240):
        image = UTKFace([tree.write()], size=size).load(TEST).images[0]
        assert image.shape == (size, size, 3)
        assert np.abs(image.reshape(-1, 3).astype(int) - (200, 60, 10)).max() <= 3


def test_landmarks_are_the_mean_ones_in_canonical_pixels(tree: Tree) -> None:
    faces = UTKFace([tree.write()], size=100).load(TEST)
    assert faces.landmarks is not None
    assert np.allclose((faces.landmarks + 0.5) * 2 - 0.5, LANDMARKS, atol=1e-4)


def test_112_px_by_default(tree: Tree) -> None:
    assert UTKFace([tree.write()]).load(VALIDATION).size == 112


@pytest.mark.parametrize("images", ["UTKFace.zip", "UTKFace/UTKFace"])
def test_every_layout_gives_the_same_faces_and_fingerprint(tree: Tree, tmp_path: Path, images: str) -> None:
    def same(a: Faces, b: Faces) -> bool:
        return np.array_equal(a.images, b.images) and np.array_equal(a.keys, b.keys)

    plain = UTKFace([tree.write()], size=32)
    other = UTKFace([Tree(tmp_path / "other").write(images)], size=32)
    assert fingerprints(plain) == fingerprints(other)
    assert all(same(plain.load(p), other.load(p)) for p in POOLS)


def test_roots_are_joined(tree: Tree, tmp_path: Path) -> None:
    whole = UTKFace([tree.write()], size=32)
    first = Tree(tmp_path / "first", tree.names[:150])
    second = Tree(tmp_path / "second", tree.names[100:])
    for roots in ([first.write(), second.write()], [second.root, first.root]):
        assert fingerprints(UTKFace(roots, size=32)) == fingerprints(whole)


def test_roots_that_differ_in_a_file_are_refused(tree: Tree, tmp_path: Path) -> None:
    other = Tree(tmp_path / "other", tree.names, lambda name: jpeg(f"not {name}"))
    with pytest.raises(InputError, match=r"differs between .*utk.* and .*other"):
        UTKFace([tree.write(), other.write()]).fingerprint(TEST)


@pytest.mark.parametrize("change", ["pixels", "label", "size", "seed", "races", "fewer"])
def test_the_fingerprint_feels(tree: Tree, change: str) -> None:
    before = fingerprints(UTKFace([tree.write()], size=32))
    if change == "pixels":
        tree.bytes_of = lambda name: jpeg("other" if name == tree.names[0] else name)
        tree.write()
    elif change == "label":
        old = tree.root / "UTKFace" / tree.names[0]
        old.rename(old.with_name("99" + tree.names[0][1:]))
    changed = UTKFace(
        [tree.root],
        size=32 + (change == "size"),
        seed=int(change == "seed"),
        races="two" if change == "races" else "five",
        limit=10 * (change == "fewer"),
    )
    assert fingerprints(changed) != before


def test_holds(tree: Tree, tmp_path: Path) -> None:
    assert UTKFace.holds(tree.write())
    assert not UTKFace.holds(tmp_path)


# -- bad input: one clear line -----------------------------------------------------------------------


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        everything(UTKFace([root], size=32, **options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_wrong_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "UTKFace.zip" in message
    assert "--data" in message


@pytest.mark.parametrize("name", ["portrait.jpg", "117_0_0_20170116174525125.jpg.chip.jpg", "20_0_0.jpg"])
def test_a_name_that_tells_nothing_is_named(tree: Tree, name: str) -> None:
    tree.names.append(name)
    assert f"image {name} in" in refusal(tree.write())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"GIF89a", "is no JPEG"),
        (jpeg("x")[:900], "is truncated"),
        (b"\xff\xd8\xff\xe0rubbish\xff\xd9", "cannot be decoded"),
    ],
)
def test_damaged_images_are_named_or_left_out(tree: Tree, data: bytes, said: str) -> None:
    broken = tree.names[3]
    tree.bytes_of = lambda name: data if name == broken else jpeg(name)
    message = refusal(tree.write())
    assert f"image {broken}" in message
    assert said in message
    assert "skip_damaged=true" in message
    dataset = UTKFace([tree.root], size=32, skip_damaged=True)
    assert set(tree.names) - set(everything(dataset)) == {broken}
    assert dataset.damaged == [broken]


def test_images_that_are_not_aligned_are_refused(tree: Tree) -> None:
    tree.bytes_of = lambda name: jpeg(name, 180)
    assert "is 180x180, not the 200x200 of aligned images" in refusal(tree.write(), skip_damaged=True)


def test_a_negative_limit(tree: Tree) -> None:
    assert "limit must not be negative" in refusal(tree.write(), limit=-1)
