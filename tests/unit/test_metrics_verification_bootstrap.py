"""Verification intervals: counts by identity against plain loops, the linear weights, and coverage."""

from dataclasses import fields

import numpy as np
import pytest

from bench.errors import InputError, MetricError
from bench.metrics import pairs as engine
from bench.metrics import pairs_torch
from bench.metrics.pairs import AllPairs, ListedPairs
from bench.metrics.uncertainty import IdentityDraw, identity_weights, unit_interval
from bench.metrics.verification import compare, pairs_between, pairs_listed, pairs_within
from bench.metrics.verification_bootstrap import identity_counts, resampled_rates

PHOTOS, DIMENSIONS = 8, 32


def faces(rng, n_identities, photos=PHOTOS, decay=0.05, noise=1.0):
    """Identities that differ in how far their photos scatter and in how crowded their corner is."""
    scale = np.exp(-decay * np.arange(DIMENSIONS))
    centres = rng.standard_normal((n_identities, DIMENSIONS)) * scale
    scatter = noise * np.exp(0.3 * rng.standard_normal((n_identities, 1)))
    ids = np.repeat(np.arange(n_identities), photos)
    photos_of = centres[ids] + scatter[ids] * rng.standard_normal((len(ids), DIMENSIONS)) * scale
    return photos_of.astype(np.float32), ids


def once(identities):
    """The draw that takes every identity exactly once."""
    names = np.unique(identities)
    return IdentityDraw(names, np.ones((1, len(names)), np.int32))


def plain_counts(cells, left_ids, right_ids, names, grid):
    """Comparisons at or above each threshold by identity, one pair at a time."""
    mated, non_mated = np.zeros((2, len(names), len(grid)), int)
    for cell, a, b in zip(cells, left_ids, right_ids, strict=True):
        above = cell >= grid
        if a == b:
            mated[np.searchsorted(names, a)] += above
        else:
            non_mated[np.searchsorted(names, a)] += above
            non_mated[np.searchsorted(names, b)] += above
    return mated, non_mated


@pytest.mark.parametrize("kind", ["within", "between", "listed"])
def test_counts_by_identity_are_those_of_a_plain_loop(kind, monkeypatch):
    monkeypatch.setattr(engine, "TILE_ROWS", 7)
    monkeypatch.setattr(engine, "TILE_COLUMNS", 11)
    rng = np.random.default_rng(0)
    # Entries of +-1: cosines are multiples of 1/16 and no rounding can move one.
    vectors, other = rng.choice(np.array([-1, 1], np.float32), (2, 30, 16))
    ids = np.sort(rng.integers(0, 8, 30)) * 5
    right = other if kind == "between" else vectors
    i, j = np.nonzero(~np.eye(30, dtype=bool)) if kind == "between" else np.triu_indices(30, 1)
    if kind == "listed":
        i, j = i[::3], j[::3]
    pairs: AllPairs | ListedPairs = pairs_within(vectors, ids)
    if kind == "between":
        pairs = pairs_between(vectors, right, ids)
    elif kind == "listed":
        pairs = pairs_listed(vectors, right, np.stack([i, j], axis=1), ids)
    counts = identity_counts(pairs, compare(pairs), points=64, thresholds=[0.125])
    cells = engine.to_cells(np.sum(vectors[i] * right[j], axis=1) / 16)
    mated, non_mated = plain_counts(cells, ids[i], ids[j], counts.identities, counts.cells)
    assert np.array_equal(counts.mated, mated)
    assert np.array_equal(counts.non_mated, non_mated)
    assert engine.to_cells(0.125) in counts.cells


@pytest.mark.parametrize("within", [True, False])
def test_torch_counts_by_identity_what_the_kernel_counts(within, monkeypatch):
    monkeypatch.setattr(pairs_torch, "TILE_ROWS", 7)
    monkeypatch.setattr(pairs_torch, "TILE_COLUMNS", 11)
    rng = np.random.default_rng(0)
    vectors, other = rng.choice(np.array([-1, 1], np.float32), (2, 40, 16))
    ids = rng.integers(0, 8, 40) * 5
    pairs = pairs_within(vectors, ids) if within else pairs_between(vectors, other, ids)
    comparison = compare(pairs)
    kernel = identity_counts(pairs, comparison, points=64)
    torch = identity_counts(pairs, comparison, points=64, device="cpu:0")
    for field in fields(kernel):
        np.testing.assert_array_equal(getattr(kernel, field.name), getattr(torch, field.name))


def test_every_identity_once_gives_the_exact_figures():
    vectors, ids = faces(np.random.default_rng(1), 40)
    protected = faces(np.random.default_rng(2), 40)[0] + 2 * vectors
    for pairs in (pairs_within(vectors, ids), pairs_between(vectors, protected, ids)):
        comparison = compare(pairs)
        counts = identity_counts(pairs, comparison, thresholds=[0.3])
        rates = resampled_rates(counts, comparison, once(ids))
        assert rates.auc() == pytest.approx([comparison.auc()], abs=1e-12)
        assert rates.eer() == pytest.approx([comparison.eer()], abs=1e-12)
        for target in (0.1, 0.01, 0.001):
            assert rates.tmr_at_fmr(target) == pytest.approx([comparison.at_fmr(target).tmr], abs=1e-12)
        fmr, tmr = rates.at_threshold(0.3)
        assert (fmr[0], tmr[0]) == pytest.approx((comparison.fmr(0.3), comparison.tmr(0.3)), abs=1e-12)


def test_the_grid_alone_is_close_to_the_exact_figures():
    vectors, ids = faces(np.random.default_rng(3), 120)
    pairs = pairs_within(vectors, ids)
    comparison = compare(pairs)
    counts = identity_counts(pairs, comparison)
    fmr, tmr = counts.non_mated.sum(axis=0), counts.mated.sum(axis=0)
    fmr, tmr = fmr / fmr[0], tmr / tmr[0]
    area = -np.sum((tmr[1:] + tmr[:-1]) / 2 * np.diff(fmr))
    assert area == pytest.approx(comparison.auc(), abs=2e-5)
    assert tmr[np.argmax(fmr <= 0.01)] == pytest.approx(comparison.at_fmr(0.01).tmr, abs=2e-3)
    assert 500 < len(counts.cells) < 800


def test_resamples_of_tmr_are_those_of_repeated_identities():
    vectors, ids = faces(np.random.default_rng(4), 25)
    pairs = pairs_within(vectors, ids)
    comparison = compare(pairs)
    draw = identity_weights(ids, resamples=20)
    counts = identity_counts(pairs, comparison, thresholds=[0.4])
    tmr = resampled_rates(counts, comparison, draw).at_threshold(0.4)[1]
    # Copies of an identity are strangers to each other, so mated comparisons only add up.
    hits = [compare(pairs_within(vectors[ids == i], ids[ids == i])).tmr(0.4) for i in range(25)]
    assert tmr == pytest.approx(draw.weights @ np.array(hits) / 25)


def test_the_spread_of_the_fmr_is_that_of_new_people():
    """The reason for w_i + w_j - 1: half of it, the plain mean of the weights, has half the spread."""
    rng = np.random.default_rng(5)
    threshold, found, claimed = 0.45, [], []
    for seed in range(60):
        vectors, ids = faces(rng, 80, decay=0.15, noise=0.7)
        pairs = pairs_within(vectors, ids)
        comparison = compare(pairs)
        found.append(comparison.fmr(threshold))
        counts = identity_counts(pairs, comparison, points=16, thresholds=[threshold])
        rates = resampled_rates(counts, comparison, identity_weights(ids, 200, seed))
        claimed.append(rates.at_threshold(threshold)[0].std())
    assert 0.8 < np.mean(claimed) / np.std(found) < 1.25


def simulated_coverage(n_identities, repetitions, resamples):
    """Share of intervals that hold the truth, AUC, EER and TMR at FMR 1 %; truth: mean of the repetitions."""
    rng = np.random.default_rng(6)
    values, intervals = [], []
    for seed in range(repetitions):
        vectors, ids = faces(rng, n_identities)
        pairs = pairs_within(vectors, ids)
        comparison = compare(pairs)
        rates = resampled_rates(
            identity_counts(pairs, comparison, points=256), comparison, identity_weights(ids, resamples, seed)
        )
        values.append([comparison.auc(), comparison.eer(), comparison.at_fmr(0.01).tmr])
        samples = rates.auc(), rates.eer(), rates.tmr_at_fmr(0.01)
        found = [unit_interval(v, s, n_identities) for v, s in zip(values[-1], samples, strict=True)]
        intervals.append([(one.low, one.high) for one in found])
    truth, ends = np.mean(values, axis=0), np.array(intervals)
    return np.mean((ends[..., 0] <= truth) & (truth <= ends[..., 1]), axis=0)


def test_intervals_cover_with_correlated_photos():
    assert (simulated_coverage(60, repetitions=120, resamples=200) > 0.9).all()


@pytest.mark.slow
def test_95_percent_intervals_cover_93_to_97_percent():
    shares = simulated_coverage(100, repetitions=700, resamples=300)
    assert (shares >= 0.93).all()
    assert (shares <= 0.97).all()


def test_thresholds_off_the_grid_and_empty_sides_are_refused():
    vectors, ids = faces(np.random.default_rng(7), 10)
    pairs = pairs_within(vectors, ids)
    comparison = compare(pairs)
    rates = resampled_rates(identity_counts(pairs, comparison, points=16), comparison, once(ids))
    with pytest.raises(InputError, match="not on the grid"):
        rates.at_threshold(0.123456)
    with pytest.raises(MetricError, match="needs 10,000 non-mated"):
        rates.tmr_at_fmr(0.001)
    lone = pairs_within(vectors, np.arange(len(ids)))
    with pytest.raises(MetricError, match="mated and non-mated"):
        identity_counts(lone, compare(lone))
    with pytest.raises(InputError, match="not among the resampled"):
        resampled_rates(identity_counts(pairs, comparison, points=16), comparison, once(ids[ids > 0]))
