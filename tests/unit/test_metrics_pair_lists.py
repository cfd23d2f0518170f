"""Drawn and published lists of comparisons, and accuracy over folds, against slow obvious code."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError, MetricError, UsageError
from bench.metrics.pair_lists import PairCounts, draw_pairs, fold_accuracy, parse_pairs, read_pairs
from bench.metrics.pairs import to_scores
from bench.metrics.verification import pairs_listed

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
VIEW_2 = """2\t3
Ann\t1\t2
Ann\t2\t3
Bob_Lee\t1\t4
Ann\t1\tBob_Lee\t2
Bob_Lee\t3\tCid\t1
Ann\t4\tCid\t1
Cid\t2\t3
Cid\t1\t3
Dan\t1\t2
Cid\t1\tDan\t1
Dan\t2\tEve\t1
Cid\t3\tEve\t1
"""


def split(ids, rows):
    mated = ids[rows[:, 0]] == ids[rows[:, 1]]
    return rows[mated], rows[~mated]


def test_a_choice_of_pairs_is_read():
    assert parse_pairs("all") is None
    assert parse_pairs("1000/2000") == PairCounts(1000, 2000)


@pytest.mark.parametrize("text", ["", "1000", "1000/", "0/2000", "1000/2000/1", "1e3/2e3", "-5/10", "some"])
def test_any_other_choice_of_pairs_is_refused(text):
    with pytest.raises(UsageError, match="MATED/NON_MATED"):
        parse_pairs(text)


@PROPERTY
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 300))
def test_drawn_pairs_are_different_photos_never_twice_and_balanced(seed, n_mated, n_non_mated):
    ids = np.random.default_rng(seed).integers(0, 9, 40)
    rows = draw_pairs(ids, PairCounts(n_mated, n_non_mated), seed)
    mated, non_mated = split(ids, rows)
    i, j = np.triu_indices(len(ids), 1)
    there = ids[i] == ids[j]
    assert len(mated) == min(n_mated, there.sum())
    assert len(non_mated) == min(n_non_mated, (~there).sum())
    assert (rows[:, 0] != rows[:, 1]).all()
    assert len(np.unique(np.sort(rows, axis=1), axis=0)) == len(rows)
    assert np.array_equal(rows[: len(mated)], mated)
    got = np.bincount(ids[mated[:, 0]], minlength=9)
    has = np.array([np.sum(there & (ids[i] == name)) for name in range(9)])
    left = got < has
    if left.any():
        assert got.max() <= got[left].min() + 1


def test_the_same_seed_draws_the_same_pairs_and_another_seed_others():
    ids = np.repeat(np.arange(50), 6)
    first = draw_pairs(ids, PairCounts(100, 200), 1)
    assert np.array_equal(first, draw_pairs(ids, PairCounts(100, 200), 1))
    assert not np.array_equal(first, draw_pairs(ids, PairCounts(100, 200), 2))
    assert np.array_equal(first, draw_pairs(ids * 3 + 7, PairCounts(100, 200), 1))


@pytest.mark.parametrize("n_photos", [40, 160])
def test_every_pair_of_strangers_is_drawn_equally_often(n_photos):
    """Both ways to draw, by enumeration (few photos) and by rejection."""
    ids = np.random.default_rng(0).integers(0, 8, n_photos)
    wanted, rounds = PairCounts(1, 200), 300
    counts = np.zeros((n_photos, n_photos))
    for seed in range(rounds):
        i, j = split(ids, draw_pairs(ids, wanted, seed))[1].T
        counts[i, j] += 1
    i, j = np.triu_indices(n_photos, 1)
    i, j = i[ids[i] != ids[j]], j[ids[i] != ids[j]]
    share = 200 / len(i)
    spread = np.sqrt(rounds * share * (1 - share))
    assert counts.sum() == counts[i, j].sum() == 200 * rounds
    assert counts[i, j].std() == pytest.approx(spread, rel=0.1)


def test_identities_that_make_no_mated_pair_give_none():
    rows = draw_pairs(np.arange(30), PairCounts(5, 10), 0)
    assert rows.shape == (10, 2)
    with pytest.raises(InputError, match="integers"):
        draw_pairs(np.array(["a", "b"]), PairCounts(1, 1), 0)


@pytest.fixture
def view_2(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.txt"
    path.write_text(VIEW_2)
    return path


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_published_list_is_read_fold_by_fold(view_2, line_end):
    view_2.write_bytes(("\ufeff" + VIEW_2).replace("\n", line_end).encode())
    found = read_pairs(view_2)
    assert (found.left[2], found.right[2]) == ("Bob_Lee/Bob_Lee_0001", "Bob_Lee/Bob_Lee_0004")
    assert (found.left[3], found.right[3]) == ("Ann/Ann_0001", "Bob_Lee/Bob_Lee_0002")
    assert found.mated.tolist() == [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3
    assert found.fold.tolist() == [0] * 6 + [1] * 6


def test_a_list_without_folds_is_one_fold(view_2):
    view_2.write_text("\n".join(["3", *VIEW_2.splitlines()[1:7]]))
    found = read_pairs(view_2)
    assert (len(found.left), found.mated.sum(), found.fold.max()) == (6, 3, 0)


def test_a_list_becomes_rows_of_the_photos_at_hand(view_2):
    found = read_pairs(view_2)
    names = np.array(sorted({*found.left, *found.right}))[::-1]
    rows = found.rows(names)
    assert [tuple(names[row]) for row in rows] == list(zip(found.left, found.right, strict=True))
    people = np.array([name.split("/")[0] for name in names])
    assert np.array_equal(people[rows[:, 0]] == people[rows[:, 1]], found.mated)
    with pytest.raises(InputError, match="2 photos of the pair list are missing, first Ann/Ann_0001"):
        found.rows([name for name in names if name not in ("Ann/Ann_0001", "Dan/Dan_0001")])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2\t3\n", "ten\t3\n", "line 1"),
        ("2\t3\n", "2\t4\n", "12 pairs, but line 1 announces 2 folds of 2 x 4"),
        ("Ann\t1\t2\n", "Ann\t1\n", "line 2: expected `name i j`"),
        ("Ann\t1\t2\n", "Ann\t1\ttwo\n", "line 2: expected `name i j`"),
        ("Ann\t1\t2\n", "Ann\t2\t2\n", "line 2: expected `name i j`"),
        ("Ann\t1\tBob_Lee\t2\n", "Ann\t1\tAnn\t2\n", "line 5: expected `name i other j`"),
        ("Ann\t1\tBob_Lee\t2\n", "Ann\t1\t2\n", "line 5: expected `name i other j`"),
        ("Ann\t2\t3\n", "\n", "line 3: expected `name i j`"),
    ],
)
def test_a_damaged_list_is_refused_with_its_line(view_2, old, new, message):
    view_2.write_text(VIEW_2.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_pairs(view_2)


def test_a_missing_or_binary_list_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read the pair list"):
        read_pairs(tmp_path / "nothing.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match="line 1"):
        read_pairs(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="cannot read the pair list"):
        read_pairs(tmp_path / "binary.txt")


@pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="set BENCH_DATA to the folder of face packs")
def test_the_official_list_of_lfw_has_ten_folds_of_300_and_300():
    found = read_pairs(Path(os.environ["BENCH_DATA"]) / "lfw_view2" / "pairs.txt")
    for fold in range(10):
        inside = found.fold == fold
        assert (found.mated[inside].sum(), (~found.mated[inside]).sum()) == (300, 300)
    people = [{a.split("/")[0], b.split("/")[0]} for a, b in zip(found.left, found.right, strict=True)]
    assert [len(names) == 1 for names in people] == found.mated.tolist()
    assert len({*found.left, *found.right}) == 7701


def plain_fold_accuracy(scores, mated, folds):
    """Each fold at the best of all possible thresholds on the others, the middle one of several."""
    found = []
    for fold in np.unique(folds):
        others = folds != fold
        distinct = np.unique(scores[others])
        candidates = [distinct[0], *((distinct[1:] + distinct[:-1]) / 2), distinct[-1] + 1e-12]
        right = [np.sum((scores[others] >= t) == mated[others]) for t in candidates]
        best = [t for t, n in zip(candidates, right, strict=True) if n == max(right)]
        threshold = best[len(best) // 2]
        found.append(np.mean((scores[~others] >= threshold) == mated[~others]))
    return np.array(found)


@PROPERTY
@given(st.integers(0, 10_000), st.sampled_from([3, 40, 10_000]))
def test_accuracy_over_folds_is_that_of_a_plain_search(seed, n_scores):
    rng = np.random.default_rng(seed)
    mated = rng.integers(0, 2, 60).astype(bool)
    folds = np.arange(60) % 5
    scores = rng.integers(0, n_scores, 60) + n_scores // 2 * mated
    found = fold_accuracy(scores, mated, folds)
    np.testing.assert_allclose(found.accuracies, plain_fold_accuracy(scores, mated, folds))
    assert found.mean == pytest.approx(found.accuracies.mean())
    assert found.standard_error == pytest.approx(np.sqrt(np.var(found.accuracies, ddof=1) / 5))
    stretched = fold_accuracy(scores * 0.25 - 512, mated, folds)
    assert stretched.accuracies.tolist() == found.accuracies.tolist()


def test_accuracy_over_folds_by_hand():
    mated = np.array([True, True, False, False] * 2)
    folds = np.repeat([0, 1], 4)
    scores = np.array([0.9, 0.8, 0.2, 0.1, 0.9, 0.3, 0.4, 0.1])
    found = fold_accuracy(scores, mated, folds)
    # Fold 1's best thresholds, with 3 of 4 right: .2 (accepts .3, .4, .9) and .65 (accepts .9); .65 is the
    # later one of the two. On fold 0 it is right every time. Fold 0's own is .5: one mate of fold 1 is lost.
    assert found.thresholds == pytest.approx([0.65, 0.5])
    assert found.accuracies.tolist() == [1, 0.75]
    assert (found.mean, found.standard_error) == (0.875, pytest.approx(0.125))


def test_a_threshold_is_learnt_from_the_other_folds_only():
    # Each fold has scores of its own scale: no threshold of one serves the other.
    mated = np.tile([True, False], 20)
    scores = np.where(mated, 0.2, 0.1) + np.repeat([0.0, 0.5], 20)
    found = fold_accuracy(scores, mated, np.repeat([0, 1], 20))
    assert found.accuracies.tolist() == [0.5, 0.5]


def test_inverted_and_constant_scores_do_no_better_than_one_kind():
    mated = np.tile([True, False], 50)
    folds = np.arange(100) // 10
    assert fold_accuracy(np.where(mated, -1.0, 1.0), mated, folds).mean == 0.5
    assert fold_accuracy(np.ones(100), mated, folds).mean == 0.5


def test_folds_that_cannot_be_scored_are_refused():
    mated = np.array([True, False, True, False])
    with pytest.raises(MetricError, match="at least two folds"):
        fold_accuracy(np.arange(4.0), mated, np.zeros(4, int))
    with pytest.raises(MetricError, match="one kind is missing"):
        fold_accuracy(np.arange(4.0), mated, np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match="finite"):
        fold_accuracy([0.1, np.nan, 0.2, 0.3], mated, np.array([0, 0, 1, 1]))
    with pytest.raises(InputError, match="need scores"):
        fold_accuracy(np.arange(3.0), mated, np.array([0, 0, 1, 1]))


def test_folds_follow_the_comparisons_that_are_left(view_2):
    """A photo without an embedding takes its comparisons with it; the others keep their fold."""
    found = read_pairs(view_2)
    names = np.array(sorted({*found.left, *found.right}))
    people = np.unique([name.split("/")[0] for name in names], return_inverse=True)[1]
    rng = np.random.default_rng(0)
    vectors = np.eye(8)[people] + 0.1 * rng.standard_normal((len(names), 8))
    vectors[names == "Bob_Lee/Bob_Lee_0004"] = np.nan
    pairs = pairs_listed(vectors, vectors, found.rows(names), people)
    assert pairs.places.tolist() == [0, 1, *range(3, 12)]
    accuracy = fold_accuracy(to_scores(pairs.cells), found.mated[pairs.places], found.fold[pairs.places])
    assert accuracy.accuracies.tolist() == [1, 1]
    assert pairs.n_mated_failed == 1
