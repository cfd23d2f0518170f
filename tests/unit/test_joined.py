"""Several datasets joined for methods to learn on: the join itself, where files are found, the cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cells import Cell, Environment, Recent, Source
from bench.config import load_config
from bench.engines.work import make_job
from bench.errors import InputError, UsageError
from bench.faces import AGE, AGE_GROUP, DEVELOP, GENDER, VALIDATION, Attribute, Faces, whole_people, yes_no
from bench.geometry import CELEBA_LANDMARKS
from bench.joined import join, join_attributes
from bench.sources import Learning, open_dataset, sources
from bench.stages.faces import faces_of, pack, run
from bench.store import Store

SIZE = 48
RACE = Attribute("race", ("a", "b"))
SQUARE = np.array(CELEBA_LANDMARKS, np.float32) - (0, 20)


def make(
    count: int,
    attributes: tuple[Attribute, ...],
    *,
    scale: float | None = SIZE / 178,
    shift: tuple[float, float] = (0, 0),
    people: int = 0,
    size: int = SIZE,
    seed: int = 0,
) -> Faces:
    """Random images. scale, shift: of the landmarks, None for none. people: 0 for one a face."""
    rng = np.random.default_rng(seed)
    landmarks = None if scale is None else np.tile((SQUARE * scale + shift).astype(np.float32), (count, 1, 1))
    return Faces(
        images=rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        identities=np.arange(count, dtype=np.int64) % (people or count),
        keys=np.array([f"{i:03d}" for i in range(count)]),
        labels={a.name: rng.integers(0, 2, count).astype(np.float32) for a in attributes},
        attributes=attributes,
        landmarks=landmarks,
    )


def rows_of(joined: Faces, name: str) -> NDArray[np.intp]:
    """Rows of the part called `name`, in the part's own order of keys."""
    rows = [i for i, key in enumerate(joined.keys.tolist()) if key.startswith(f"{name}/")]
    return np.array(sorted(rows, key=lambda i: joined.keys[i]), np.intp)


# -- labels, people, rows ----------------------------------------------------------------------------


def test_labels_are_the_union_and_what_is_missing_is_unknown() -> None:
    one, two = make(6, (GENDER, yes_no("smiling"))), make(4, (GENDER, RACE), seed=1)
    joined = join([one, two], ["one", "two"])
    assert [a.name for a in joined.attributes] == ["gender", "smiling", "race"]
    first, second = joined.take(rows_of(joined, "one")), joined.take(rows_of(joined, "two"))
    assert np.array_equal(first.labels["gender"], one.labels["gender"])
    assert np.array_equal(second.labels["gender"], two.labels["gender"])
    assert np.array_equal(second.labels["race"], two.labels["race"])
    assert np.isnan(first.labels["race"]).all(), "a label that a dataset lacks is not class 0"
    assert np.isnan(second.labels["smiling"]).all()
    assert np.array_equal(first.images, one.images)
    assert np.array_equal(second.images, two.images)


def test_keys_tell_the_datasets_apart() -> None:
    joined = join([make(3, (GENDER,)), make(3, (GENDER,))], ["one", "two"])
    assert sorted(joined.keys) == ["one/000", "one/001", "one/002", "two/000", "two/001", "two/002"]


def test_identities_are_disjoint_and_the_same_in_every_pool() -> None:
    one, two = make(6, (GENDER,), people=3), make(8, (GENDER,), people=2)
    joined = join([one, two], ["one", "two"])
    assert len(np.unique(joined.identities)) == 5
    second = joined.identities[rows_of(joined, "two")]
    assert len(np.unique(second)) == 2
    # Beside another pool of the first dataset the second's people keep their numbers.
    other = join([make(20, (GENDER,)), two], ["one", "two"])
    assert np.array_equal(other.identities[rows_of(other, "two")], second)


def test_identities_that_would_collide_are_refused() -> None:
    one = make(3, (GENDER,))
    wild = Faces(one.images, one.identities - 1, one.keys, one.labels, one.attributes)
    with pytest.raises(InputError, match="identities of two must lie in"):
        join([one, wild], ["one", "two"])


def test_any_first_part_has_whole_people_of_both_in_their_shares() -> None:
    one, two = make(300, (GENDER,), people=30), make(100, (GENDER,))
    some = whole_people(join([one, two], ["one", "two"]), 120)
    counts = [len(rows_of(some, name)) for name in ("one", "two")]
    assert counts[0] % 10 == 0, "people come whole"
    assert abs(counts[0] - 90) <= 10
    assert abs(counts[1] - 30) <= 5


def test_disagreeing_classes_are_refused_with_both_names() -> None:
    one, two = make(3, (RACE,)), make(3, (Attribute("race", ("a", "b", "c")),))
    with pytest.raises(
        InputError, match=r"^one and two mean different things by race: \(a, b\) and \(a, b, c\)"
    ):
        join([one, two], ["one", "two"])
    with pytest.raises(InputError, match=r"age: years and \(no, yes\)"):
        join_attributes({"one": [AGE], "two": [yes_no("age")]})


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match=r"faces of one have 48 px and those of two 32"):
        join([make(3, (GENDER,)), make(3, (GENDER,), size=32)], ["one", "two"])


@pytest.mark.parametrize("names", [["one"], ["one", "one"]])
def test_every_pool_needs_a_name_of_its_own(names: list[str]) -> None:
    with pytest.raises(InputError, match="cannot join 2 pools"):
        join([make(3, (GENDER,)), make(3, (GENDER,))], names)


# -- one scale ---------------------------------------------------------------------------------------


def spots(faces: Faces) -> Faces:
    """The same faces, black but for a white square about the left eye."""
    assert faces.landmarks is not None
    images = np.zeros_like(faces.images)
    for image, (x, y) in zip(images, faces.landmarks[:, 0].round().astype(int), strict=True):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return Faces(images, faces.identities, faces.keys, faces.labels, faces.attributes, faces.landmarks)


def centre(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """x, y of the centre of what is bright."""
    weights = image[..., 0].astype(float)
    y, x = np.mgrid[: len(image), : len(image)]
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def test_faces_are_brought_to_the_place_and_scale_of_the_frame() -> None:
    wide, tight = spots(make(4, (GENDER,))), spots(make(3, (GENDER,), scale=0.45, shift=(-16, -12)))
    for frame in (wide, tight):
        joined = join([wide, tight], ["wide", "tight"], frame)
        assert joined.landmarks is not None
        assert frame.landmarks is not None
        assert np.allclose(joined.landmarks, frame.landmarks[0], atol=1e-3)
        for image in joined.images:
            assert np.abs(centre(image) - frame.landmarks[0, 0]).max() < 0.6


def test_the_frame_itself_is_not_resampled() -> None:
    wide, tight = make(4, (GENDER,)), make(3, (GENDER,), scale=0.45, shift=(-16, -12))
    joined = join([wide, tight], ["wide", "tight"], wide)
    assert np.array_equal(joined.images[rows_of(joined, "wide")], wide.images)
    assert not np.array_equal(joined.images[rows_of(joined, "tight")], tight.images)
    nearly = make(4, (GENDER,), shift=(0.2, -0.2))
    joined = join([nearly], ["one"], wide)
    assert np.array_equal(joined.images[rows_of(joined, "one")], nearly.images)


def test_landmarks_only_if_all_have_them() -> None:
    with_them, without = make(4, (GENDER,)), make(3, (GENDER,), scale=None)
    joined = join([with_them, without], ["one", "two"])
    assert joined.landmarks is None
    assert np.array_equal(joined.images[rows_of(joined, "two")], without.images)


def test_parts_move_along_and_only_if_all_have_them() -> None:
    def with_parts(faces: Faces) -> Faces:
        parts = (spots(faces).images[..., 0] > 0).astype(np.uint8) * 4
        return Faces(
            faces.images, faces.identities, faces.keys, faces.labels, faces.attributes, faces.landmarks, parts
        )

    plain = make(4, (GENDER,))
    wide, tight = with_parts(plain), with_parts(make(3, (GENDER,), scale=0.45, shift=(-16, -12)))
    joined = join([wide, tight], ["wide", "tight"], wide)
    assert joined.parts is not None
    assert joined.landmarks is not None
    assert set(np.unique(joined.parts)) == {0, 4}
    x, y = joined.landmarks[0, 0].round().astype(int)
    assert (joined.parts[:, y, x] == 4).all()
    assert join([wide, plain], ["one", "two"]).parts is None


# -- where the files are -----------------------------------------------------------------------------


def roots(tmp_path: Path, *names: str) -> Mapping[str, Path]:
    """Folders with just enough to be recognised."""
    found = {name: tmp_path / name for name in names}
    for name, root in found.items():
        inside = root / {"celeba": "img_align_celeba", "utkface": "UTKFace"}.get(name, "nothing")
        inside.mkdir(parents=True)
        (inside / "000001.jpg").write_bytes(b"")
    return found


def test_each_dataset_is_given_its_own_roots(tmp_path: Path) -> None:
    there = roots(tmp_path, "celeba", "utkface")
    config = load_config(
        None,
        {
            "dataset": "utkface",
            "dataset_options": {"races": "two"},
            "train_on": ("celeba", "utkface"),
            "train_on_options": {"celeba": {"limit": 9}},
            "data": tuple(there.values()),
        },
    )
    assert sources(config) == {
        "celeba": Source((there["celeba"],), {"limit": 9}),
        "utkface": Source((there["utkface"],), {"races": "two"}),
    }


def test_one_dataset_is_given_all_roots_as_before(tmp_path: Path) -> None:
    config = load_config(None, {"dataset": "celeba", "data": (tmp_path, tmp_path / "more")})
    assert sources(config) == {"celeba": Source((tmp_path, tmp_path / "more"), {})}


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"train_on": ("celeba", "utkfase")}, UsageError, "did you mean utkface"),
        ({"train_on": ("utkface",), "data": ("other",)}, InputError, "holds nothing of celeba or utkface"),
        ({"train_on": ("utkface",), "data": ("gone",)}, InputError, "no such folder"),
        ({"train_on_options": {"celeba": {}}}, UsageError, "belong in dataset_options"),
        ({"train_on_options": {"utkface": {}}}, UsageError, "unknown dataset in train_on_options 'utkface'"),
    ],
)
def test_what_does_not_fit_is_said(
    tmp_path: Path, values: dict[str, object], error: type[Exception], said: str
) -> None:
    roots(tmp_path, "other")
    if "data" in values:
        values = {**values, "data": (tmp_path / values["data"][0],)}  # type: ignore[index]
    with pytest.raises(error, match=said):
        sources(load_config(None, {"dataset": "celeba", **values}))


# -- what methods learn on ---------------------------------------------------------------------------

SMALL = {f"{p}_{w}": n for p in ("develop", "validation") for w, n in (("people", 5), ("images", 2))}


def learning(train_on: tuple[str, ...] = ()) -> Learning:
    config = load_config(None, {"dataset_options": SMALL, "train_on": train_on})
    found = sources(config)
    return Learning.of(open_dataset("synthetic", found["synthetic"], size=64, seed=0), config, found)


def test_methods_learn_on_the_evaluated_dataset_unless_told_otherwise() -> None:
    for own in (learning(), learning(("synthetic",))):
        assert not own.is_joined
        assert own.attributes() == own.evaluated.attributes()
        assert own.fingerprint(DEVELOP) == own.evaluated.fingerprint(DEVELOP)
        assert not own.photographs


def test_the_order_of_the_names_changes_nothing(tmp_path: Path) -> None:
    from test_celeba import Tree as CelebaTree
    from test_utkface import Tree as UtkTree

    places = (CelebaTree(tmp_path / "c"), UtkTree(tmp_path / "u"))
    places[0].root.mkdir()
    data = tuple(tree.write() for tree in places)
    found = []
    for names in (("celeba", "utkface"), ("utkface", "celeba")):
        config = load_config(None, {"dataset": "utkface", "train_on": names, "data": data, "size": 32})
        where = sources(config)
        evaluated = open_dataset("utkface", where["utkface"], size=32, seed=0)
        found.append(Learning.of(evaluated, config, where))
    one, two = found
    assert one.is_joined
    assert one.photographs
    assert [d.id for d in one.datasets] == [d.id for d in two.datasets] == ["celeba", "utkface"]
    assert one.fingerprint(DEVELOP) == two.fingerprint(DEVELOP)
    assert one.fingerprint(DEVELOP) != one.fingerprint(VALIDATION)
    labelled = {a.name for a in one.attributes()}
    assert {"gender", "young", "smiling", "race", "age", "age_group"} <= labelled


def test_privacynet_offers_what_the_labels_of_the_join_allow() -> None:
    from methods.privacynet import PrivacyNet

    celeba = (GENDER, yes_no("young"), yes_no("smiling"))
    utkface = (GENDER, Attribute("race", ("White", "Black")), AGE, AGE_GROUP)
    assert len(PrivacyNet(celeba).variants()) == 3
    assert len(PrivacyNet(join_attributes({"celeba": celeba, "utkface": utkface})).variants()) == 15


# -- the cell ----------------------------------------------------------------------------------------


def test_the_cell_joins_what_its_inputs_hold(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = make(6, (GENDER,), people=3)
    two = make(4, (GENDER, RACE), seed=1, scale=0.45, shift=(-16, -12))
    for key, faces in (("1" * 64, one), ("2" * 64, two)):
        store.save(key, pack(faces), {})
    params = {"joined": ["one", "two"], "source": "", "pool": DEVELOP}
    inputs = {"part:one": "1" * 64, "part:two": "2" * 64, "frame": "1" * 64}
    cell = Cell("faces", params, inputs)
    job = make_job(cell, store, Environment(tmp_path), Recent(10**8), lambda *_: None)
    store.save(cell.key, run(job), {})
    reader = Cell("fit", {}, {"develop": cell.key})
    stored = faces_of(
        make_job(reader, store, Environment(tmp_path), Recent(10**8), lambda *_: None), "develop"
    )
    expected = join([one, two], ["one", "two"], one)
    assert stored.keys.tolist() == expected.keys.tolist()
    assert np.array_equal(stored.images, expected.images)
    assert np.array_equal(stored.labels["race"], expected.labels["race"], equal_nan=True)
    assert stored.attributes == expected.attributes
