"""The CelebA adapter on miniature trees in the publisher's layout."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Faces, InputError, UsageError
from bench.datasets.celeba import OFFICIAL, CelebA
from bench.geometry import CELEBA_LANDMARKS

ATTRIBUTES, IDENTITIES, PARTITIONS = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"


def fingerprints(dataset: CelebA) -> list[str]:
    return [dataset.fingerprint(pool) for pool in POOLS]


@dataclass
class Row:
    """What the publisher says of one image."""

    name: str
    identity: int
    partition: int
    has: frozenset[str] = frozenset()


def people() -> list[Row]:
    """12 training people and 4 in each other partition, half of them men, 3 images each."""
    rows: list[Row] = []
    for person in range(20):
        partition = 0 if person < 12 else 1 if person < 16 else 2
        for shot in range(3):
            has = {"Male"} if person % 2 else {"Heavy_Makeup"}
            has |= {"Smiling"} if shot else {"Bald"}
            rows.append(Row(f"{len(rows) + 1:06d}.jpg", 100 + person, partition, frozenset(has)))
    return rows


def jpeg(name: str, width: int = 178, height: int = 218) -> bytes:
    """A picture that differs from name to name."""
    rng = np.random.default_rng(int(name[:6]))
    coarse = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    assert done
    return data.tobytes()


def attribute_text(rows: Sequence[Row], *, end: str = "\r\n", count: int | None = None) -> str:
    """As the publisher writes it: padded columns, a count, CRLF."""
    lines = [str(len(rows) if count is None else count), " ".join(OFFICIAL) + " "]
    for row in rows:
        values = "".join(f" {1 if a in row.has else -1:>2}" for a in OFFICIAL)
        lines.append(f"{row.name}{values} ")
    return end.join(lines) + end


def number_text(rows: Sequence[Row], column: str, end: str = "\r\n") -> str:
    return "".join(f"{row.name} {getattr(row, column)}{end}" for row in rows)


@dataclass
class Tree:
    """A dataset on disk; `write` may be called again after `rows` or `bytes_of` were changed."""

    root: Path
    rows: list[Row] = field(default_factory=people)
    bytes_of: Callable[[str], bytes] = jpeg

    def write(self, images: str = "img_align_celeba", anno: str = "", evaluation: str = "") -> Path:
        self.write_images(images)
        self.write_labels(anno, evaluation)
        return self.root

    def write_images(self, images: str = "img_align_celeba") -> None:
        target = self.root / images
        target.parent.mkdir(parents=True, exist_ok=True)
        if images.endswith(".zip"):
            with zipfile.ZipFile(target, "w") as archive:
                for row in self.rows:
                    archive.writestr(f"img_align_celeba/{row.name}", self.bytes_of(row.name))
                archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"resource fork")
        else:
            target.mkdir(parents=True, exist_ok=True)
            for row in self.rows:
                (target / row.name).write_bytes(self.bytes_of(row.name))

    def write_labels(self, anno: str = "", evaluation: str = "") -> None:
        for folder in (anno, evaluation):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.text(Path(anno) / ATTRIBUTES, attribute_text(self.rows))
        self.text(Path(anno) / IDENTITIES, number_text(self.rows, "identity"))
        self.text(Path(evaluation) / PARTITIONS, number_text(self.rows, "partition"))

    def text(self, name: Path | str, content: str) -> None:
        (self.root / name).write_bytes(content.encode())

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_bytes().decode()
        assert old in text
        self.text(name, text.replace(old, new, 1))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "celeba")
    made.root.mkdir()
    return made


def read_everything(roots: Sequence[Path], **options: Any) -> None:
    dataset = CelebA(roots, size=64, **options)
    fingerprints(dataset)
    for pool in POOLS:
        dataset.load(pool)


def refusal(root: Path | Sequence[Path], **options: Any) -> str:
    """The message that reading everything ends with."""
    roots = [root] if isinstance(root, Path) else root
    with pytest.raises(InputError) as caught:
        read_everything(roots, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def equal(a: Faces, b: Faces) -> bool:
    return (
        np.array_equal(a.images, b.images)
        and np.array_equal(a.keys, b.keys)
        and np.array_equal(a.identities, b.identities)
        and all(np.array_equal(a.labels[k], b.labels[k]) for k in a.labels)
    )


# -- what is delivered -------------------------------------------------------------------------------


def test_labels_follow_the_files(tree: Tree) -> None:
    faces = CelebA([tree.write()], size=64).load(TEST)
    expected = [row for row in tree.rows if row.partition == 2]
    assert faces.keys.tolist() == [row.name for row in expected]
    assert faces.identities.tolist() == [row.identity for row in expected]
    for label, official in (("gender", "Male"), ("smiling", "Smiling"), ("heavy_makeup", "Heavy_Makeup")):
        assert faces.labels[label].tolist() == [float(official in row.has) for row in expected]
    assert faces.attribute("gender").classes == ("female", "male")
    assert faces.images.shape == (12, 64, 64, 3)


def test_default_attributes_come_first_and_more_can_be_added(tree: Tree) -> None:
    plain = CelebA([tree.root])
    more = CelebA([tree.write()], add="bald, No_Beard,Male")
    names = [a.name for a in more.attributes()]
    assert names == [*(a.name for a in plain.attributes()), "bald", "no_beard"]
    assert more.load(TEST).labels["bald"].tolist() == [1, 0, 0] * 4


def test_an_unknown_attribute_gets_the_nearest_name(tree: Tree) -> None:
    with pytest.raises(UsageError, match="did you mean Bald"):
        CelebA([tree.write()], add="Balt").attributes()


def test_pixels_are_the_square_part_in_rgb(tree: Tree) -> None:
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[:, :] = (10, 60, 200)  # blue, green, red, as OpenCV writes
    picture[:20] = picture[198:] = 255
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    tree.bytes_of = lambda name: data
    for size in (178, 96, 200):
        image = CelebA([tree.write()], size=size).load(TEST).images[0]
        inner = image[size // 8 : -size // 8].reshape(-1, 3)
        assert np.abs(inner.astype(int) - (200, 60, 10)).max() <= 3


def test_178_px_is_not_resampled(tree: Tree) -> None:
    faces = CelebA([tree.write()], size=178).load(TEST)
    decoded = cv2.imdecode(np.frombuffer(jpeg(str(faces.keys[0])), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(faces.images[0], decoded[20:198, :, ::-1])


def test_landmarks_are_the_mean_ones_in_canonical_pixels(tree: Tree) -> None:
    faces = CelebA([tree.write()], size=89).load(TEST)
    assert faces.landmarks is not None
    aligned = (faces.landmarks + 0.5) * 2 - 0.5 + (0, 20)
    assert np.allclose(aligned, CELEBA_LANDMARKS, atol=1e-4)


# -- pools -------------------------------------------------------------------------------------------


def test_pools_share_nobody_and_leave_nobody_out(tree: Tree) -> None:
    dataset = CelebA([tree.write()], size=64)
    pools = {pool: dataset.load(pool) for pool in POOLS}
    assert {len(np.unique(f.identities)) for f in pools.values()} == {4, 6}
    everybody = np.concatenate([np.unique(f.identities) for f in pools.values()])
    assert len(np.unique(everybody)) == len(everybody) == 20
    for pool in (DEVELOP, ATTACK):
        assert pools[pool].labels["gender"].mean() == 0.5


def test_the_deal_depends_on_the_seed_alone(tree: Tree) -> None:
    root = tree.write()
    deals = [tuple(np.unique(CelebA([root], size=64, seed=s).load(ATTACK).identities)) for s in (0, 0, 1, 2)]
    assert deals[0] == deals[1]
    assert len(set(deals)) > 1
    first, second = (CelebA([root], size=64, seed=s).load(TEST).identities for s in (0, 1))
    assert np.array_equal(first, second)


def test_attack_share(tree: Tree) -> None:
    dataset = CelebA([tree.write()], size=64, attack_share=0.34)
    assert len(np.unique(dataset.load(ATTACK).identities)) == 4
    assert "attack_share" in refusal(tree.root, attack_share=1.0)


def test_limit_takes_whole_people_of_both_genders(tree: Tree) -> None:
    dataset = CelebA([tree.write()], size=64, limit=8)
    for pool in POOLS:
        faces = dataset.load(pool)
        assert len(faces) == 6
        assert faces.labels["gender"].mean() == 0.5
        assert set(np.unique(faces.identities, return_counts=True)[1]) == {3}
    assert "limit=5" in refusal(tree.root, limit=5)


def test_an_identity_in_two_partitions_is_refused(tree: Tree) -> None:
    tree.rows[0].partition = 2
    assert "identity 100 is in two partitions: 000001.jpg in 2, 000002.jpg in 0" in refusal(tree.write())


# -- layouts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "images",
    [
        "img_align_celeba.zip",
        "img_align_celeba/img_align_celeba",
        "Img/img_align_celeba",
        "Img/img_align_celeba.zip",
    ],
)
def test_every_layout_gives_the_same_faces_and_fingerprint(tree: Tree, tmp_path: Path, images: str) -> None:
    plain = CelebA([tree.write()], size=64)
    other = CelebA([Tree(tmp_path / "other").write(images, "Anno", "Eval")], size=64)
    assert fingerprints(plain) == fingerprints(other)
    assert all(equal(plain.load(p), other.load(p)) for p in POOLS)


def test_labels_from_the_annotation_archive(tree: Tree, tmp_path: Path) -> None:
    everything = people()
    few = Tree(tmp_path / "few", [r for r in everything if r.identity % 4 < 2])
    few.write_images()
    with zipfile.ZipFile(few.root / "annotations_full.zip", "w") as archive:
        archive.writestr(ATTRIBUTES, attribute_text(everything))
        archive.writestr(IDENTITIES, number_text(everything, "identity"))
        archive.writestr(PARTITIONS, number_text(everything, "partition"))
    tree.rows = few.rows
    plain, labelled = CelebA([tree.write()], size=64), CelebA([few.root], size=64)
    assert fingerprints(plain) == fingerprints(labelled)
    assert equal(plain.load(TEST), labelled.load(TEST))


def test_roots_are_joined(tree: Tree, tmp_path: Path) -> None:
    whole = CelebA([tree.write()], size=64)
    first = Tree(tmp_path / "first", tree.rows[:40])  # images 31 to 40 are in both
    second = Tree(tmp_path / "second", tree.rows[30:])
    joined = [
        CelebA(roots, size=64) for roots in ([first.write(), second.write()], [second.root, first.root])
    ]
    assert fingerprints(whole) == fingerprints(joined[0]) == fingerprints(joined[1])
    assert equal(whole.load(DEVELOP), joined[0].load(DEVELOP))


def test_a_root_may_hold_labels_alone(tree: Tree, tmp_path: Path) -> None:
    labels = Tree(tmp_path / "labels")
    labels.root.mkdir()
    labels.write_labels("Anno", "Eval")
    tree.write_images()
    assert len(CelebA([tree.root, labels.root], size=64).load(TEST)) == 12


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_byte_order_mark_and_blank_lines(tree: Tree, end: str) -> None:
    root = tree.write()
    before = fingerprints(CelebA([root], size=64))
    tree.text(ATTRIBUTES, "\ufeff" + attribute_text(tree.rows, end=end) + end)
    tree.text(IDENTITIES, "\ufeff" + number_text(tree.rows, "identity", end) + end)
    assert fingerprints(CelebA([root], size=64)) == before


@pytest.mark.parametrize("change", ["pixels", "label", "identity", "size", "seed", "fewer"])
def test_the_fingerprint_feels(tree: Tree, change: str) -> None:
    before = fingerprints(CelebA([tree.write()], size=64))
    if change == "pixels":
        tree.bytes_of = lambda name: jpeg("000099" if name == "000001.jpg" else name)
    elif change == "label":
        tree.rows[0].has = frozenset({"Young"})
    elif change == "identity":
        for row in tree.rows[:3]:
            row.identity = 7
    size, seed, limit = 64 + (change == "size"), int(change == "seed"), 9 * (change == "fewer")
    assert fingerprints(CelebA([tree.write()], size=size, seed=seed, limit=limit)) != before


# -- bad input: one clear line -----------------------------------------------------------------------


def test_wrong_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "img_align_celeba.zip" in message
    assert "--data" in message
    assert "no such folder" in refusal(tmp_path / "gone")


def test_a_second_root_that_holds_nothing_is_not_passed_over(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "typo").mkdir()
    assert f"no CelebA in {tmp_path / 'typo'}" in refusal([tree.write(), tmp_path / "typo"])


def test_labels_without_any_image(tree: Tree) -> None:
    tree.write_labels()
    assert "no images" in refusal(tree.root)


@pytest.mark.parametrize("name", [ATTRIBUTES, IDENTITIES, PARTITIONS])
def test_missing_label_file(tree: Tree, name: str) -> None:
    (tree.write() / name).unlink()
    message = refusal(tree.root)
    assert f"label file {name} is missing" in message
    assert str(tree.root) in message
    assert "annotations_full.zip" in message


def test_label_row_without_image(tree: Tree) -> None:
    (tree.write() / "img_align_celeba/000005.jpg").unlink()
    message = refusal(tree.root)
    assert ATTRIBUTES in message
    assert "000005.jpg (1 such)" in message
    assert "partial=true" in message
    kept = CelebA([tree.root], size=64, partial=True)
    assert sum(len(kept.load(p)) for p in POOLS) == 59


@pytest.mark.parametrize("name", [ATTRIBUTES, IDENTITIES, PARTITIONS])
def test_image_without_label_row(tree: Tree, name: str) -> None:
    tree.write()
    fewer = tree.rows[1:]
    text = {
        ATTRIBUTES: attribute_text(fewer),
        IDENTITIES: number_text(fewer, "identity"),
        PARTITIONS: number_text(fewer, "partition"),
    }
    tree.text(name, text[name])
    message = refusal(tree.root)
    assert "image 000001.jpg" in message
    assert name in message


def test_wrong_count_line(tree: Tree) -> None:
    tree.write()
    tree.text(ATTRIBUTES, attribute_text(tree.rows, count=61))
    assert f"{tree.root / ATTRIBUTES} announces 61 rows in line 1 and has 60" in refusal(tree.root)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (ATTRIBUTES, "60\r\n", "", "line 1: must be the number of rows"),
        (ATTRIBUTES, "Smiling", "Grinning", "unknown attribute 'Smiling'"),
        (ATTRIBUTES, "000002.jpg ", "000002.jpg  1 ", "line 4: 41 values for 40 attributes"),
        (
            ATTRIBUTES,
            "000002.jpg -1 -1 -1",
            "000002.jpg -1 -1  7",
            "line 4: attribute values are -1 or 1, not '7'",
        ),
        (ATTRIBUTES, "000002.jpg", "000001.jpg", "line 4: a second row for 000001.jpg"),
        (IDENTITIES, "000002.jpg 100", "000002.jpg x", "line 2: unknown identity 'x' of 000002.jpg"),
        (IDENTITIES, "000002.jpg 100", "000002.jpg", "line 2: must be an image name and its identity"),
        (IDENTITIES, "000002.jpg", "000001.jpg", "line 2: a second row for 000001.jpg"),
        (PARTITIONS, "000002.jpg 0", "000002.jpg 3", "line 2: unknown partition '3' of 000002.jpg"),
    ],
)
def test_damaged_label_files(tree: Tree, name: str, old: str, new: str, expected: str) -> None:
    tree.write()
    tree.edit(name, old, new)
    message = refusal(tree.root)
    assert str(tree.root / name) in message
    assert expected in message


def test_label_file_that_is_not_text(tree: Tree) -> None:
    (tree.write() / IDENTITIES).write_bytes(b"\xff\xfe0\x000\x00")
    assert f"{tree.root / IDENTITIES} is not UTF-8 text" in refusal(tree.root)


@pytest.mark.parametrize("images", ["img_align_celeba", "img_align_celeba.zip"])
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: b"", "is empty"),
        (lambda data: b"<html>", "is no JPEG"),
        (lambda data: b"\xff\xd8 nothing \xff\xd9", "cannot be decoded"),
    ],
)
def test_damaged_image(tree: Tree, images: str, damage: Callable[[bytes], bytes], expected: str) -> None:
    tree.bytes_of = lambda name: damage(jpeg(name)) if name == "000050.jpg" else jpeg(name)
    message = refusal(tree.write(images))
    assert f"image 000050.jpg in {tree.root / images} {expected}" in message
    assert "skip_damaged=true" in message
    dataset = CelebA([tree.root], size=64, skip_damaged=True)
    assert len(dataset.load(TEST)) == 11
    assert "000050.jpg" not in dataset.load(TEST).keys
    assert dataset.damaged == ["000050.jpg"]


def test_images_of_another_size(tree: Tree) -> None:
    tree.bytes_of = lambda name: jpeg(name, 200, 200)
    assert "is 200x200, not the 178x218 of aligned images" in refusal(tree.write())


def test_a_zip_that_is_cut_short(tree: Tree) -> None:
    path = tree.write("img_align_celeba.zip") / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-1000])
    assert f"{path} is not a complete zip" in refusal(tree.root)


def test_a_zip_with_flipped_bytes(tree: Tree) -> None:
    path = tree.write("img_align_celeba.zip") / "img_align_celeba.zip"
    data = bytearray(path.read_bytes())
    data[5000] ^= 255
    path.write_bytes(bytes(data))
    assert "Bad CRC-32" in refusal(tree.root)


def test_a_zip_with_two_files_of_one_name(tree: Tree) -> None:
    path = tree.write("img_align_celeba.zip") / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("again/000001.jpg", b"")
    assert f"{path} holds two files called 000001.jpg" in refusal(tree.root)


def test_roots_that_disagree_on_an_image(tree: Tree, tmp_path: Path) -> None:
    other = Tree(tmp_path / "other", bytes_of=lambda name: jpeg("000007.jpg"))
    message = refusal([tree.write(), other.write()])
    assert "differs between" in message
    assert str(tree.root) in message
    assert str(other.root) in message


@pytest.mark.parametrize("name", [ATTRIBUTES, IDENTITIES, PARTITIONS])
def test_roots_that_disagree_on_a_label(tree: Tree, tmp_path: Path, name: str) -> None:
    other = Tree(tmp_path / "other")
    row = other.rows[0]
    if name == ATTRIBUTES:
        row.has = frozenset({"Young"})
    elif name == IDENTITIES:
        row.identity = 5
    else:
        row.partition = 1
    message = refusal([tree.write(), other.write()])
    assert f"{tree.root / name} and {other.root / name} say different things of 000001.jpg" in message


def test_non_ascii_paths(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "gesichter_ä_顔")
    assert len(CelebA([tree.write("img_align_celeba.zip")], size=64).load(VALIDATION)) == 12


def test_too_little_data_for_a_pool(tree: Tree) -> None:
    tree.rows = [r for r in tree.rows if r.partition == 0]
    assert "pool validation of celeba has fewer than two identities" in refusal(tree.write())
