"""What all datasets of photographs share: pools, geometry, fingerprints, failures to acquire, files."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_trees import PLACES, StandIn, assert_disjoint, drawn, encoded, loaded, photo, write

import bench.datasets._photos as photos_module
from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Attribute, InputError, Unavailable
from bench.datasets._dealing import SHARES, deal
from bench.datasets._file_trees import FolderTree, ZipTree, find_tree
from bench.datasets._framing import canonical, framed
from bench.datasets._photos import Photo, PhotoDataset, open_finder
from bench.datasets._tables import read_names, read_table
from bench.faces import GENDER
from bench.geometry import CELEBA_LANDMARKS
from bench.weights import WeightsFolder

CENTRE = (np.array(CELEBA_LANDMARKS) - (0, 20) + 0.5) / 178


class Memory:
    """Files that lie in memory."""

    where = "memory"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def names(self) -> list[str]:
        return list(self.files)

    def crc(self, name: str) -> int:
        return zlib.crc32(self.files[name])

    def read(self, name: str) -> bytes:
        return self.files[name]


class Listed(PhotoDataset):
    """Whatever photos a test lists."""

    title = "listed"
    needs_data = False
    listed: Sequence[Photo] = ()

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER,)

    def _photos(self) -> Sequence[Photo]:
        return self.listed


def dataset(listed: Sequence[Photo], **options: object) -> Listed:
    found = Listed(**{"size": 16, **options})
    found.listed = listed
    return found


def crowd(people: int = 40, each: int = 2) -> list[Photo]:
    """Women and men in turn, all of one picture each."""
    names = [f"{person:03d}-{number}.png" for person in range(people) for number in range(each)]
    files = Memory({name: encoded(drawn(name, 24, 28), ".png") for name in names})
    return [Photo(n, n, files, n[:3], {"gender": float(int(n[:3]) % 2)}) for n in names]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "open_finder", lambda weights: StandIn())


# -- pools ---------------------------------------------------------------------------------------------


def test_people_are_dealt_out_whole_in_the_shares_of_the_pools() -> None:
    found = dataset(crowd())
    assert_disjoint(found)
    counts = {pool: len(np.unique(faces.identities)) for pool, faces in loaded(found).items()}
    assert counts == {DEVELOP: 16, VALIDATION: 4, ATTACK: 10, TEST: 10}


def test_genders_are_dealt_out_apart() -> None:
    for faces in loaded(dataset(crowd())).values():
        women, men = Counter(faces.labels["gender"].tolist()).values()
        assert abs(women - men) <= 2


def test_more_photos_move_nobody() -> None:
    before = {pool: set(f.identities.tolist()) for pool, f in loaded(dataset(crowd(each=1))).items()}
    after = {pool: set(f.identities.tolist()) for pool, f in loaded(dataset(crowd(each=3))).items()}
    assert before == after


def test_the_deal_follows_the_seed_and_not_the_order() -> None:
    listed = crowd()
    deals = [
        loaded(dataset(rows, seed=s))[TEST].keys for s, rows in ((0, listed), (0, listed[::-1]), (1, listed))
    ]
    assert np.array_equal(deals[0], deals[1])
    assert set(deals[0]) != set(deals[2])


people = st.dictionaries(
    st.text(min_size=1, max_size=6), st.sampled_from(["", "female", "male"]), max_size=60
)


@given(
    people, st.integers(0, 5), st.permutations(POOLS).flatmap(lambda p: st.sampled_from([p, p[:3], p[:1]]))
)
def test_a_deal_loses_nobody_and_doubles_nobody(strata: dict[str, str], seed: int, pools: list[str]) -> None:
    dealt = deal(strata, pools, seed)
    assert sorted(person for names in dealt.values() for person in names) == sorted(strata)
    sizes = [len(names) for names in dealt.values()]
    if len(strata) >= 2 * len(pools):
        assert min(sizes) >= 2
    total = sum(SHARES[pool] for pool in pools)
    for pool in pools:
        assert abs(len(dealt[pool]) - SHARES[pool] / total * len(strata)) <= 2 * len(pools)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.tuples(st.sampled_from(["", *POOLS]), st.integers(1, 3), st.sampled_from([0.0, 1.0, None])),
        min_size=1,
        max_size=25,
    ),
    st.integers(0, 3),
)
def test_pools_share_nobody_whatever_the_content(
    content: dict[str, tuple[str, int, float | None]], limit: int
) -> None:
    files = Memory({"a.png": b""})
    listed = [
        Photo(f"{name}/{n}", "a.png", files, name, {} if gender is None else {"gender": gender}, pool=pool)
        for name, (pool, photos, gender) in content.items()
        for n in range(photos)
    ]
    found = dataset(listed, limit=10 * limit)
    placed = {pool: {p.identity for p in found._pool(pool)} for pool in POOLS}
    assert sum(map(len, placed.values())) == len(set.union(*placed.values()))
    for name, (pool, _, _) in content.items():
        if pool and not limit:
            assert name in placed[pool]
    if not limit:
        assert sum(len(found._pool(pool)) for pool in POOLS) == len(listed)


def test_limit_takes_whole_people_of_both_genders() -> None:
    found = dataset(crowd(each=3), limit=12)
    for pool, faces in loaded(found).items():
        assert len(faces) == 12, pool
        assert set(Counter(faces.identities.tolist()).values()) == {3}
        assert set(faces.labels["gender"]) == {0.0, 1.0}
    with pytest.raises(InputError, match="limit=3 leaves pool"):
        dataset(crowd(each=3), limit=3).load(TEST)
    with pytest.raises(InputError, match="must not be negative"):
        dataset(crowd(), limit=-1).load(TEST)


def test_some_of_a_pool_are_its_first_people() -> None:
    found = dataset(crowd(each=3))
    some, all_of_them = found.load(DEVELOP, most=14), found.load(DEVELOP)
    assert len(some) == 12
    assert np.array_equal(some.keys, all_of_them.keys[:12])


def test_a_person_in_two_pools_and_a_key_that_comes_twice_are_refused() -> None:
    first, second = crowd()[:2]
    with pytest.raises(InputError, match="put in pool 'test' here and in ''"):
        dataset([first, Photo("k", second.name, second.files, first.identity, pool=TEST)]).fingerprint(TEST)
    with pytest.raises(InputError, match=r"are both 000-0\.png"):
        dataset([first, Photo(first.key, second.name, second.files, "x")]).fingerprint(TEST)


# -- geometry --------------------------------------------------------------------------------------------


def dotted(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Grey, with a bright dot at each point."""
    y, x = np.mgrid[:height, :width]
    picture = np.full((height, width), 60.0)
    for px, py in points:
        picture += 190 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 4.0**2))
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def rotated(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ matrix.T + shift


@pytest.mark.parametrize("size", [64, 112, 178])
@pytest.mark.parametrize("degrees", [0, 25])
def test_a_face_lands_where_those_of_celeba_are(size: int, degrees: float) -> None:
    points = rotated(CENTRE * 178, degrees, 1.7, (130, 20))
    face, moved = framed(dotted(points, 480, 420), points.astype(np.float32), size)
    assert face.shape == (size, size, 3)
    expected = CENTRE * size - 0.5
    assert np.abs(moved - expected).max() < 0.01
    for x, y in np.rint(expected).astype(int):
        patch = face[y - 3 : y + 4, x - 3 : x + 4, 0].astype(float)
        peak = np.array(np.unravel_index(patch.argmax(), patch.shape)) - 3
        assert np.abs(peak).max() <= 1


def test_every_photo_keeps_its_own_landmarks_in_the_crop() -> None:
    faces = dataset(crowd(), size=64).load(TEST)
    assert faces.landmarks is not None
    assert np.abs(faces.landmarks.mean(axis=1) - (CENTRE * 64 - 0.5).mean(axis=0)).max() < 0.01
    assert not np.allclose(faces.landmarks[0], CENTRE * 64 - 0.5, atol=0.2)


def test_published_landmarks_go_before_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(weights: object) -> StandIn:
        raise AssertionError("nothing is to be looked for")

    monkeypatch.setattr(photos_module, "open_finder", fails)
    points = (PLACES * (24, 28)).astype(np.float32)
    listed = [Photo(p.key, p.name, p.files, p.identity, p.labels, points) for p in crowd()]
    assert dataset(listed).load(TEST).acquired.all()


def test_a_photo_without_a_face_stays_as_a_failure_to_acquire() -> None:
    listed = crowd()
    black = np.zeros((30, 20, 3), np.uint8)
    target = dataset(listed).load(TEST).keys[3]
    listed[0].files.files[str(target)] = encoded(black, ".png")
    faces = dataset(listed).load(TEST)
    assert len(faces) == 20
    assert faces.keys[~faces.acquired].tolist() == [target]
    assert faces.landmarks is not None
    assert np.isnan(faces.landmarks[~faces.acquired]).all()
    assert (faces.images[~faces.acquired] == 0).all()


def test_without_networks_the_remedy_is_named(tmp_path: Path, no_weights: None) -> None:
    with pytest.raises(Unavailable, match="give --weights FOLDER"):
        open_finder(None)
    with pytest.raises(Unavailable, match=f"ultraface_rfb320.onnx is not in {tmp_path}"):
        open_finder(WeightsFolder(tmp_path))


def test_landmarks_in_one_point_are_refused() -> None:
    point = np.full((5, 2), 7, np.float32)
    listed = [
        Photo(p.key, p.name, p.files, p.identity, p.labels, point, where="t.csv, line 3") for p in crowd()
    ]
    with pytest.raises(InputError, match=r"t\.csv, line 3: the five landmarks are all one point"):
        dataset(listed).load(TEST)


def test_the_canonical_frame_is_celebas() -> None:
    alignment = canonical(112)
    assert (alignment.width, alignment.height, alignment.box) == (112, 112, (0, 20, 178, 198))


# -- fingerprints and damage -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["pixels", "label", "person", "landmarks", "size", "seed", "limit"])
def test_the_fingerprint_feels(change: str) -> None:
    before = [dataset(crowd()).fingerprint(pool) for pool in POOLS]
    assert before == [dataset(crowd()[::-1]).fingerprint(pool) for pool in POOLS]
    listed = crowd()
    photo_of = dict(vars(listed[0]))
    if change == "pixels":
        listed[0].files.files[listed[0].name] = encoded(drawn("other", 24, 28), ".png")
    elif change in ("label", "person", "landmarks"):
        new = {"label": {"labels": {}}, "person": {"identity": "x"}, "landmarks": {"landmarks": PLACES}}
        listed[0] = Photo(**{**photo_of, **new[change]})
    options = {"size": {"size": 24}, "seed": {"seed": 1}, "limit": {"limit": 4}}.get(change, {})
    assert [dataset(listed, **options).fingerprint(pool) for pool in POOLS] != before


def test_damaged_photos_are_named_or_left_out() -> None:
    listed = crowd()
    broken = str(dataset(listed).load(TEST).keys[2])
    listed[0].files.files[broken] = b"\x89PNG rubbish"
    with pytest.raises(InputError, match=f"image {broken} in memory cannot be decoded.*skip_damaged=true"):
        dataset(listed).load(TEST)
    found = dataset(listed, skip_damaged=True)
    assert broken not in found.load(TEST).keys
    assert found.damaged == [broken]


# -- files -------------------------------------------------------------------------------------------------


def test_folder_and_zip_hold_the_same(tmp_path: Path) -> None:
    names = ["a/1.jpg", "a/b/2.JPG", "c.png"]
    folder, archive = write(tmp_path / "f", names), write(tmp_path / "z", names, archive="x.zip")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "3.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    tree, zipped = FolderTree(folder), ZipTree(archive / "x.zip")
    assert set(tree.names()) == set(zipped.names()) == set(names)
    for name in names:
        assert tree.read(name) == zipped.read(name) == photo(name)
        assert tree.crc(name) == zipped.crc(name)
    found = find_tree(archive, ("nothing", "x"))
    assert isinstance(found, ZipTree)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(photo("secret.jpg"))
    folder = write(tmp_path / "f", ["a.jpg"])
    (folder / "b.jpg").symlink_to(secret)
    (folder / "c.jpg").symlink_to(folder / "a.jpg")
    tree = FolderTree(folder)
    with pytest.raises(InputError, match=r"b\.jpg is a link that leaves"):
        tree.read("b.jpg")
    assert tree.read("c.jpg") == photo("a.jpg")


def test_a_broken_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match=r"x\.zip is not a complete zip"):
        ZipTree(tmp_path / "x.zip")


# -- tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_of_every_system_are_read(tmp_path: Path, end: str, mark: str) -> None:
    path = tmp_path / "t.csv"
    text = mark + end.join(["id, name", "", '1, "Müller, Ann"', " 2 ,x,", ""])
    path.write_bytes(text.encode())
    table = read_table(path, ("id",))
    assert table.columns == ("id", "name")
    assert [row.cells for row in table.rows] == [("1", "Müller, Ann"), ("2", "x")]
    assert [row.line for row in table.rows] == [3, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"id,b\n1\n", "line 2: 1 values for 2 columns"),
        (b"id,b\n1,2,3\n", "line 2: 3 values for 2 columns"),
        (b"a,b\n1,2\n", "line 1: no column 'id' among a, b"),
        (b"id,id\n1,2\n", "line 1: two columns are called 'id'"),
        (b"id,,b\n1,2,3\n", "line 1: a column has no name"),
        (b"id,b\n1,2\n3,\xff\n", "line 3: not UTF-8 text"),
        (b'id,b\n1,"' + b"x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_bad_tables_are_named_with_their_line(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"t\.csv") as caught:
        read_table(path, ("id",))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text('ab,"\n\r\t #[]', max_size=80).map(str.encode))
def test_whatever_a_table_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        table = read_table(path, ())
    except InputError:
        return
    assert all(len(row.cells) == len(table.columns) for row in table.rows)


def test_numbers_are_finite(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x\n1.5\nnan\ninf\nabc\n")
    first, *others = read_table(path, ("x",)).rows
    assert first.number("x") == 1.5
    for row in others:
        with pytest.raises(InputError, match=rf"line {row.line}: x must be a number"):
            row.number("x")


def test_lists_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b'a "b".jpg\r\n\r\n  c,d.jpg \r\n')
    assert [(row.line, row.cells) for row in read_names(path)] == [(1, ('a "b".jpg',)), (3, ("c,d.jpg",))]
    with pytest.raises(InputError, match="cannot read"):
        read_names(tmp_path / "none.txt")
