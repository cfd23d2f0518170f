"""AT&T, RaFD, AR, MUCT, MORPH and VGGFace2 on miniature trees in their publishers' layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_trees import PLACES, StandIn, assert_disjoint, everything, loaded, photo, write

import bench.datasets._photos as photos_module
from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Dataset, InputError, UsageError
from bench.datasets.arface import ARFace
from bench.datasets.att import ATT
from bench.datasets.morph import MORPH
from bench.datasets.muct import FIVE, MUCT
from bench.datasets.rafd import EMOTION, RaFD
from bench.datasets.vggface2 import VGGFace2


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: StandIn())


def att_names() -> list[str]:
    return [f"s{person}/{number}.pgm" for person in range(1, 13) for number in range(1, 4)]


def rafd_names() -> list[str]:
    people = [
        (f"{n:02d}", *("Caucasian", "Moroccan", "Kid")[n % 3 : n % 3 + 1], ("female", "male")[n % 2])
        for n in range(1, 13)
    ]
    return [
        f"Rafd{angle}_{number}_{group}_{gender}_{emotion}_{gaze}.jpg"
        for (number, group, gender), angle, emotion, gaze in product(
            people, ("000", "045", "090"), ("happy", "sad"), ("left", "frontal")
        )
    ]


def ar_names() -> list[str]:
    return [f"{g}-{n:03d}-{k:02d}.bmp" for g in "mw" for n in range(1, 7) for k in (1, 2, 5, 9, 13, 17, 26)]


def muct_names() -> list[str]:
    return [
        f"i{n:03d}{lights}{camera}-{'fm'[n % 2]}{'ng'[n // 2 % 2]}.jpg"
        for n in range(12)
        for lights in "qr"
        for camera in "ae"
    ]


def morph_names() -> list[str]:
    return [f"{n:06d}_{k}{'MF'[n % 2]}{20 + 3 * n + k}.JPG" for n in range(1, 15) for k in range(2)]


def vgg_names(parts: Sequence[str] = ("train", "test")) -> list[str]:
    return [
        f"{('train', 'test')[n % 3 == 0]}/n{n:06d}/{k:04d}_01.jpg"
        for n in range(1, 25)
        for k in (1, 2)
        if ("train", "test")[n % 3 == 0] in parts
    ]


@dataclass(frozen=True)
class Case:
    """kind: the adapter. names: of the photos. where: folders and zips it is found in."""

    kind: type[Dataset]
    names: Callable[[], list[str]]
    where: tuple[str, ...]
    attributes: tuple[str, ...] = field(default=())


CASES = {
    "att": Case(ATT, att_names, ("att_faces", "orl_faces", "", "att_faces.zip")),
    "rafd": Case(RaFD, rafd_names, ("RaFD", "", "RaFD.zip"), ("gender", "emotion", "group")),
    "ar": Case(ARFace, ar_names, ("AR", "", "AR.zip"), ("gender", "expression", "sunglasses", "scarf")),
    "muct": Case(MUCT, muct_names, ("jpg", "", "jpg.zip"), ("gender", "eyeglasses")),
    "morph": Case(MORPH, morph_names, ("Album2", "", "Album2.zip"), ("gender", "age", "age_group")),
    "vggface2": Case(VGGFace2, vgg_names, ("", "data", "data.zip")),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def tree(root: Path, case: Case, where: str | None = None) -> Path:
    where = case.where[0] if where is None else where
    archive = where if where.endswith(".zip") else ""
    folder = where.removesuffix(".zip")
    names = [f"{folder}/{n}" if folder else n for n in case.names()]
    return write(root, names, lambda n: photo(n.removeprefix(f"{folder}/")), archive)


def opened(case: Case, root: Path, **options: Any) -> Dataset:
    return case.kind([root], **{"size": 16, **options})


# -- all of them -----------------------------------------------------------------------------------------


@each
def test_pools_share_nobody_and_hold_everybody(tmp_path: Path, case: Case) -> None:
    dataset = opened(case, tree(tmp_path, case), **({"angles": "all"} if case.kind is RaFD else {}))
    assert dataset.pools() == POOLS
    assert_disjoint(dataset)
    assert len(everything(dataset)) == len(case.names())
    assert tuple(a.name for a in dataset.attributes()) == case.attributes


@each
def test_every_layout_gives_the_same_fingerprints(tmp_path: Path, case: Case) -> None:
    found = []
    for number, where in enumerate(case.where):
        root = tree(tmp_path / str(number), case, where)
        assert case.kind.holds(root)
        found.append([opened(case, root).fingerprint(pool) for pool in POOLS])
    assert all(prints == found[0] for prints in found)


@each
def test_a_wrong_folder_is_refused_in_one_line(tmp_path: Path, case: Case) -> None:
    assert not case.kind.holds(tmp_path)
    with pytest.raises(InputError, match="--data") as caught:
        opened(case, tmp_path).load(TEST)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@each
def test_strangers_are_counted_and_not_loaded(tmp_path: Path, case: Case) -> None:
    root = tree(tmp_path, case)
    stranger = f"portrait.{case.names()[0].rpartition('.')[2].lower()}"
    write(root / case.where[0], [stranger])
    dataset = opened(case, root)
    assert not any("portrait" in key for key in everything(dataset))
    assert [p.kind for p in dataset.survey().problems if "portrait" in p.file] == ["unused"]


@each
def test_a_damaged_photo_is_named(tmp_path: Path, case: Case) -> None:
    root = tree(tmp_path, case)
    name = next(n for n in case.names() if "Rafd0" not in n or "Rafd090" in n)
    path = root / case.where[0] / name
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="skip_damaged=true"):
        everything(opened(case, root))
    dataset = opened(case, root, skip_damaged=True)
    everything(dataset)
    assert len(dataset.damaged) == 1  # type: ignore[attr-defined]
    assert [p.kind for p in opened(case, root).survey().problems if p.is_fault] == ["unreadable"]


# -- each of them ----------------------------------------------------------------------------------------


def test_att_has_identities_and_no_attribute(tmp_path: Path) -> None:
    dataset = opened(CASES["att"], tree(tmp_path, CASES["att"]))
    faces = dataset.load(TEST)
    assert faces.labels == {}
    assert all(f"s{key.split('/')[0][1:]}/" in key for key in faces.keys.tolist())
    assert len(np.unique(faces.identities)) == 3


def test_rafd_labels_stand_in_the_name(tmp_path: Path) -> None:
    root = tree(tmp_path, CASES["rafd"])
    labels = everything(opened(CASES["rafd"], root))
    assert {key[:7] for key in labels} == {"Rafd090"}
    for key, found in labels.items():
        _, _, group, gender, emotion, _ = key.split("_")
        assert found["gender"] == float(gender == "male")
        assert EMOTION.classes[int(found["emotion"])] == emotion
        assert ("Caucasian", "Moroccan", "Kid")[int(found["group"])] == group
    assert len(everything(opened(CASES["rafd"], root, angles="three-quarter"))) == 2 * len(labels)
    with pytest.raises(UsageError, match="all, frontal, three-quarter"):
        opened(CASES["rafd"], root, angles="profile").load(TEST)
    write(root / "RaFD", ["Rafd090_01_Moroccan_male_bored_frontal.jpg"])
    with pytest.raises(InputError, match="'bored' is no emotion of the publisher's"):
        opened(CASES["rafd"], root).load(TEST)


def test_ar_a_man_and_a_woman_of_one_number_are_two_people(tmp_path: Path) -> None:
    root = tree(tmp_path, CASES["ar"])
    dataset = opened(CASES["ar"], root)
    people = {
        key[:5]: i for f in loaded(dataset).values() for key, i in zip(f.keys, f.identities, strict=True)
    }
    assert len(set(people.values())) == len(people) == 12
    labels = everything(dataset)
    assert labels["m-001-01"] == {"gender": 1, "expression": 0, "sunglasses": 0, "scarf": 0}
    assert labels["w-003-17"] == {"gender": 0, "expression": 3, "sunglasses": 0, "scarf": 0}
    assert labels["w-003-09"]["sunglasses"] == labels["w-003-13"]["scarf"] == labels["w-003-26"]["scarf"] == 1
    assert np.isnan(labels["m-001-05"]["expression"])


def test_ar_cropped_names_are_the_same_people(tmp_path: Path) -> None:
    names = [n.replace("m-", "M-").replace("w-", "W-") for n in ar_names()]
    dataset = ARFace([write(tmp_path / "crop", names)], size=16)
    assert {key[0] for key in everything(dataset)} == {"M", "W"}
    assert_disjoint(dataset)


# -- MUCT --------------------------------------------------------------------------------------------------


def muct_list(names: Sequence[str], hidden: str = "") -> str:
    """The published list: 76 points a photo, of which the five lie at PLACES of 120x140."""
    columns = ["name", "tag", *(f"{axis}{n:02d}" for n in range(76) for axis in "xy")]
    rows = [",".join(columns)]
    for name in names:
        points = np.full((76, 2), 5.5)
        points[list(FIVE)] = PLACES * (120, 140)
        if name == hidden:
            points[FIVE[1]] = 0
        for key in (name.removesuffix(".jpg"), "ir" + name.removesuffix(".jpg")[1:]):
            rows.append(",".join([key, "0000", *(f"{v:g}" for v in points.ravel())]))
    return "\r\n".join(rows) + "\r\n"


@pytest.mark.parametrize("place", ["", "muct-landmarks"])
def test_muct_reads_names_and_landmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    root = tree(tmp_path, CASES["muct"])
    (root / place).mkdir(exist_ok=True)
    (root / place / "muct76-opencv.csv").write_text(muct_list(muct_names()))
    by_detector = opened(CASES["muct"], tree(tmp_path / "bare", CASES["muct"])).load(TEST)
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: pytest.fail("all landmarks are known"))
    dataset = opened(CASES["muct"], root)
    labels = everything(dataset)
    assert labels["i001qa-mn"] == {"gender": 1, "eyeglasses": 0}
    assert labels["i002re-fg"] == {"gender": 0, "eyeglasses": 1}
    faces = dataset.load(TEST)
    assert np.array_equal(faces.images, by_detector.images), "the stand-in finds the very same points"
    assert not [p for p in dataset.survey().problems if p.is_fault]


def test_muct_looks_for_faces_with_hidden_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Counting(StandIn):
        def find(self, images: Any) -> Any:
            asked.append(len(images))
            return super().find(images)

    monkeypatch.setattr(photos_module, "open_finder", lambda weights: Counting())
    root = tree(tmp_path, CASES["muct"])
    names = muct_names()
    (root / "muct76-opencv.csv").write_text(muct_list(names[1:], hidden=names[4]))
    everything(opened(CASES["muct"], root))
    assert sum(asked) == 2, "the photo without a row, and the one whose right eye is hidden"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("x31", "x31a"), "line 1: no column 'x31'"),
        (lambda t: t + t.splitlines()[1], "a second row for i000qa-fn"),
        (lambda t: t + "i999qa-fn,0000,1,2", "4 values for 154 columns"),
        (
            lambda t: t.replace("i000qa-fn,0000,5.5", "i000qa-fn,0000,5.5").replace(
                "46.8,58.8", "left,58.8", 1
            ),
            "line 2: x31 must be a number, not 'left'",
        ),
    ],
)
def test_muct_bad_lists(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    root = tree(tmp_path, CASES["muct"])
    (root / "muct76-opencv.csv").write_text(change(muct_list(muct_names())))
    with pytest.raises(InputError, match=r"muct76-opencv\.csv, line") as caught:
        opened(CASES["muct"], root).load(TEST)
    assert said in str(caught.value)


# -- MORPH -------------------------------------------------------------------------------------------------

HEAD = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"


def morph_table(**changed: str) -> str:
    rows = [HEAD]
    for n, name in enumerate(morph_names()):
        number, rest = name.split("_")
        cells = {"race": "BWAHO"[n % 5], "gender": rest[1], "age": rest[2:4]}
        cells |= changed if n == 0 else {}
        rows.append(
            f"{number},{rest[0]},01/02/1970,03/04/2004,{cells['race']},{cells['gender']},NULL,"
            f"{cells['age']},0,NULL,Album2/{name}"
        )
    return "\r\n".join(rows) + "\r\n"


def test_morph_labels_of_names_and_table(tmp_path: Path) -> None:
    root = tree(tmp_path, CASES["morph"])
    named = everything(opened(CASES["morph"], root))
    assert named["000001_0F23"] == {"gender": 0, "age": 23, "age_group": 0}
    assert named["000012_1M57"]["age_group"] == 2
    (root / "morph_2008_nonCommercial.csv").write_text(morph_table(gender="M", age="33"))
    (root / "eyes.csv").write_text("photo,x,y\n1,2,3\n")
    dataset = opened(CASES["morph"], root)
    labels = everything(dataset)
    assert labels["000001_0F23"] == {"gender": 1, "race": 0, "age": 33, "age_group": 1}
    assert [labels[n.removesuffix(".JPG")]["race"] for n in morph_names()[:5]] == [0, 1, 2, 3, 4]
    assert next(a for a in dataset.attributes() if a.name == "race").classes[0] == "Black"
    faults = [(p.kind, p.line) for p in dataset.survey().problems if p.is_fault]
    assert faults == [("mislabelled", 2)] * 2, "gender and age differ from the name"


def test_morph_two_races_are_privacynets(tmp_path: Path) -> None:
    root = tree(tmp_path, CASES["morph"])
    (root / "morph.csv").write_text(morph_table())
    dataset = opened(CASES["morph"], root, races="two")
    assert next(a for a in dataset.attributes() if a.name == "race").classes == (
        "African descent",
        "Caucasian",
    )
    labels = everything(dataset)
    found = [labels[n.removesuffix(".JPG")]["race"] for n in morph_names()[:3]]
    assert np.array_equal(found, [0, 1, np.nan], equal_nan=True)
    with pytest.raises(UsageError, match="known: five, two"):
        opened(CASES["morph"], root, races="six").load(TEST)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (morph_table(gender="X"), "line 2: gender must be M or F, not 'X'"),
        (morph_table(age="old"), "line 2: age must be a number, not 'old'"),
        (morph_table() + "1,2,3\r\n", "line 30: 3 values for 11 columns"),
        (
            morph_table() + morph_table(race="O").splitlines()[1],
            "another row for 000001_0F23 says something else",
        ),
    ],
)
def test_morph_bad_tables(tmp_path: Path, table: str, said: str) -> None:
    root = tree(tmp_path, CASES["morph"])
    (root / "morph.csv").write_text(table)
    with pytest.raises(InputError, match=r"morph\.csv") as caught:
        opened(CASES["morph"], root).load(TEST)
    assert said in str(caught.value)


# -- VGGFace2 ----------------------------------------------------------------------------------------------


def vgg_meta() -> str:
    rows = ["Class_ID, Name, Sample_Num, Flag, Gender"]
    for n in range(1, 25):
        name = f'"Person,_{n}"' if n % 5 else f"Person,_{n}"  # some names have a comma and no quotes
        rows.append(f"n{n:06d}, {name}, 2, {int(n % 3 != 0)}, {'fm'[n % 2]}" + ("," if n % 2 else ""))
    return "\r\n".join(rows)


def vgg_landmarks(names: Sequence[str]) -> str:
    head = ",".join(["NAME_ID", *(f"P{k}{a}" for k in range(1, 6) for a in "XY")])
    values = ",".join(f"{v:.4f}" for v in (PLACES * (120, 140)).ravel())
    keys = [n.partition("/")[2].removesuffix(".jpg") for n in names]
    return "\n".join([head, *(f'"{key}",{values}' for key in keys)])


def test_vggface2_test_people_are_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, CASES["vggface2"])
    (root / "meta").mkdir()
    (root / "meta/identity_meta.csv").write_text(vgg_meta())
    (root / "bb_landmark").mkdir()
    for part in ("train", "test"):
        (root / f"bb_landmark/loose_landmark_{part}.csv").write_text(vgg_landmarks(vgg_names([part])))
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: pytest.fail("all landmarks are known"))
    dataset = opened(CASES["vggface2"], root)
    people = {pool: {key[:7] for key in f.keys.tolist()} for pool, f in loaded(dataset).items()}
    assert people[TEST] == {f"n{n:06d}" for n in range(3, 25, 3)}
    assert {len(people[pool]) for pool in (DEVELOP, ATTACK)} <= {5, 6, 7, 8, 9}
    assert len(people[VALIDATION]) >= 2
    assert_disjoint(dataset)
    labels = everything(dataset)
    assert all(found["gender"] == int(key[1:7]) % 2 for key, found in labels.items())
    assert len(labels) == 48


def test_vggface2_one_part_alone_is_dealt_out(tmp_path: Path) -> None:
    root = write(tmp_path, [f"{n.partition('/')[2]}" for n in vgg_names(["test"])])
    dataset = opened(CASES["vggface2"], root)
    assert dataset.pools() == POOLS
    assert dataset.attributes() == ()
    assert_disjoint(dataset)


def test_vggface2_lists_tell_what_is_missing(tmp_path: Path) -> None:
    root = write(tmp_path, vgg_names(["test"]))
    for part in ("train", "test"):
        keys = [n.partition("/")[2] for n in vgg_names([part])]
        (root / f"{part}_list.txt").write_text("\n".join([*keys, "n009999/0001_01.jpg"]))
    faults = [p for p in opened(CASES["vggface2"], root).survey().problems if p.is_fault]
    assert [(p.kind, p.what) for p in faults] == [("missing", "no photo n009999/0001_01.jpg")]
    assert faults[0].file.endswith("test_list.txt"), "the training part is not there as a whole"
    assert faults[0].line == 17


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "identity_meta.csv",
            vgg_meta().replace("n000004, ", "n000003, "),
            "line 5: a second row for n000003",
        ),
        ("identity_meta.csv", vgg_meta() + "\r\nn000025, x, 2, 1, w", "line 26: must be Class_ID, Name"),
        ("loose_landmark_test.csv", "NAME_ID,P1X\n", "line 1: no column 'P1Y'"),
        ("loose_landmark_test.csv", vgg_landmarks(vgg_names() + vgg_names()[:1]), "a second row for n000001"),
    ],
)
def test_vggface2_bad_lists(tmp_path: Path, name: str, text: str, said: str) -> None:
    root = tree(tmp_path, CASES["vggface2"])
    (root / name).write_text(text)
    with pytest.raises(InputError, match=name) as caught:
        opened(CASES["vggface2"], root).load(TEST)
    assert said in str(caught.value)
