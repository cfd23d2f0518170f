"""A publisher's list of comparisons, from the stage that reads it to accuracy over its folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cells import Cell, Environment, Recent
from bench.config import RunConfig
from bench.engines.work import make_job
from bench.errors import InputError
from bench.faces import Faces
from bench.metrics.pair_lists import fold_accuracy
from bench.metrics.pairs import pairs_listed, to_scores
from bench.metrics.uncertainty import identity_weights
from bench.metrics.verification_bootstrap import resampled_share
from bench.sources import open_dataset, sources
from bench.stages import match
from bench.stages.faces import pack
from bench.store import Artefact, Store

PEOPLE, PHOTOS, FOLDS, EACH = 60, 4, 5, 24
IDENTITIES = np.repeat(np.arange(PEOPLE), PHOTOS)


def listed(seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of people of one fold only, as LFW has them: rows (P, 2) and folds (P,)."""
    rng = np.random.default_rng(seed)
    rows, folds = [], []
    for fold, people in enumerate(np.split(np.arange(PEOPLE), FOLDS)):
        for number in range(2 * EACH):
            one, other = rng.choice(people, 2, replace=False)
            photos = rng.choice(PHOTOS, 2, replace=False)
            second = one if number < EACH else other
            rows.append((one * PHOTOS + photos[0], second * PHOTOS + photos[1]))
            folds.append(fold)
    return np.array(rows), np.array(folds)


def embeddings(noise: float, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((PEOPLE, 12))
    return (centres[IDENTITIES] + noise * rng.standard_normal((len(IDENTITIES), 12))).astype(np.float32)


class Bench:
    """Runs match cells with a published list."""

    def __init__(self, folder: Path) -> None:
        self.store, self.environment = Store(folder), Environment(folder)
        names = np.array([f"{i}" for i in range(len(IDENTITIES))])
        images = np.zeros((len(IDENTITIES), 4, 4, 3), np.uint8)
        rows, folds = listed()
        mated = IDENTITIES[rows[:, 0]] == IDENTITIES[rows[:, 1]]
        self.inputs = {
            "faces": self.save("a", pack(Faces(images, IDENTITIES, names))),
            "pairs": self.save("b", Artefact({"rows": rows, "mated": mated, "fold": folds})),
        }

    def save(self, letter: str, artefact: Artefact) -> str:
        self.store.save(letter * 64, artefact, {})
        return letter * 64

    def match(self, inputs: dict[str, str]) -> Artefact:
        params = {"resamples": 200, "seed": 3, "pairs": "published"}
        cell = Cell("match", params, self.inputs | inputs)
        return match.run(make_job(cell, self.store, self.environment, Recent(0), lambda *_: None))


def test_accuracy_is_taken_over_the_folds_of_the_list(tmp_path: Path) -> None:
    bench, vectors = Bench(tmp_path), embeddings(1.0, 2)
    found = bench.match({"probe": bench.save("c", Artefact({"vectors": vectors}))})
    rows, folds = listed()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sum(units[rows[:, 0]] * units[rows[:, 1]], axis=1)
    expected = fold_accuracy(scores, IDENTITIES[rows[:, 0]] == IDENTITIES[rows[:, 1]], folds)
    assert 0.7 < expected.mean < 0.99, "a list that is neither trivial nor hopeless"
    for condition in (match.ORIGINALS, match.ONE_SIDE, match.BOTH_SIDES):
        name = f"{condition} verification_accuracy reset folds={FOLDS}"
        assert found.facts["values"][name] == pytest.approx(expected.mean, abs=1e-9)
        samples = found.arrays[f"samples:{name}"]
        assert samples.shape == (200,)
        assert np.std(samples) > 0.002
        assert np.mean(samples) == pytest.approx(expected.mean, abs=0.01)
    counts = found.facts["counts"][match.ORIGINALS]
    assert (counts["mated"], counts["non_mated"]) == (FOLDS * EACH, FOLDS * EACH)


def test_comparisons_lost_with_a_face_are_counted_and_leave_their_fold(tmp_path: Path) -> None:
    bench, vectors = Bench(tmp_path), embeddings(1.0, 2)
    rows, folds = listed()
    lost = rows[0, 0]
    vectors[lost] = np.nan
    found = bench.match({"probe": bench.save("c", Artefact({"vectors": vectors}))})
    touched = (rows == lost).any(axis=1)
    counts = found.facts["counts"][match.ORIGINALS]
    assert counts["mated_failed"] + counts["non_mated_failed"] == touched.sum() > 0
    pairs = pairs_listed(vectors, vectors, rows, IDENTITIES)
    expected = fold_accuracy(to_scores(pairs.cells), pairs.reference_ids == pairs.probe_ids, folds[~touched])
    name = f"{match.ORIGINALS} verification_accuracy reset folds={FOLDS}"
    assert found.facts["values"][name] == expected.mean


def test_protected_faces_are_compared_over_the_same_list(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plain = bench.save("c", Artefact({"vectors": embeddings(0.6, 2)}))
    baseline = bench.save("d", bench.match({"probe": plain}))
    worse = bench.save("e", Artefact({"vectors": embeddings(2.0, 3)}))
    found = bench.match({"probe": worse, "reference": plain, "baseline": baseline}).facts["values"]
    name = f"verification_accuracy reset folds={FOLDS}"
    before = bench.store.load(baseline).facts["values"][f"{match.ORIGINALS} {name}"]
    assert found[f"{match.BOTH_SIDES} {name}"] < found[f"{match.ONE_SIDE} {name}"] < before


def test_resampled_share_against_slow_code() -> None:
    rows, _ = listed()
    pairs = pairs_listed(embeddings(1.0, 2), embeddings(1.0, 2), rows, IDENTITIES)
    hits = np.random.default_rng(5).random(len(rows)) < 0.8
    draw = identity_weights(IDENTITIES, resamples=100, seed=4)
    expected = []
    for weights in draw.weights:
        share, total = 0.0, 0.0
        for one, other, hit in zip(pairs.reference_ids, pairs.probe_ids, hits, strict=True):
            weight = weights[one] if one == other else weights[one] + weights[other] - 1
            share, total = share + weight * hit, total + weight
        expected.append(share / total)
    np.testing.assert_allclose(resampled_share(pairs, hits, draw), expected, rtol=1e-12)


def test_a_dataset_without_a_list_says_so() -> None:
    config = RunConfig()
    dataset = open_dataset("synthetic", sources(config)["synthetic"], size=0, seed=0)
    with pytest.raises(InputError, match="synthetic comes without a published list of pairs"):
        dataset.pairs()
