"""Attackers that estimate numbers: they read what is there and agree with the library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from attackers.kernel_ridge import KernelRidgeRegression
from attackers.knn_regression import NearestNeighbourRegression
from bench.api import Attacker, Attribute, BenchError, Context, InputError
from bench.faces import AGE, GENDER
from bench.together import fit_together, scores_together

KINDS = (KernelRidgeRegression, NearestNeighbourRegression)
everyone = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
WEIGHT = Attribute("weight", unit="kg")


def embeddings(count: int, seed: int) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Unit vectors (N, 8) that turn with age in one plane and say half of the weight in another."""
    rng = np.random.default_rng(seed)
    age, weight = rng.uniform(16, 80, count), rng.normal(70, 12, count)
    vectors = 0.25 * rng.normal(size=(count, 8))
    vectors[:, 0] += np.cos(age / 30)
    vectors[:, 1] += np.sin(age / 30)
    vectors[:, 2] += (weight - 70) / 24
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = {"age": age.astype(np.float32), "weight": weight.astype(np.float32)}
    return vectors.astype(np.float32), labels


TRAIN, LABELS = embeddings(400, 1)
TEST, TRUTH = embeddings(300, 2)


def fitted(kind: type[Attacker], labels: dict[str, NDArray[np.float32]] = LABELS) -> Attacker:
    attacker = kind()
    attacker.fit(TRAIN, labels, (AGE, WEIGHT), Context(seed=3))
    return attacker


def error(found: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    return float(np.mean(np.abs(found[:, 0] - truth)))


@everyone
def test_estimates_come_in_the_unit_and_beat_the_constant_guess(kind: type[Attacker]) -> None:
    found = fitted(kind).scores(TEST, Context())
    for name, share in (("age", 0.6), ("weight", 0.8)):
        assert found[name].shape == (300, 1)
        chance = np.mean(np.abs(TRUTH[name] - np.median(TRUTH[name])))
        assert error(found[name], TRUTH[name]) < share * chance


def test_kernel_ridge_agrees_with_scikit_learn() -> None:
    from sklearn.kernel_ridge import KernelRidge

    attacker = fitted(KernelRidgeRegression)
    gamma = 1 / (TRAIN.shape[1] * TRAIN.var(dtype=np.float64))
    mean, spread = LABELS["age"].mean(dtype=np.float64), LABELS["age"].std(dtype=np.float64)
    peer = KernelRidge(alpha=attacker.settings["penalty"], kernel="rbf", gamma=gamma)
    peer.fit(TRAIN.astype(np.float64), (LABELS["age"] - mean) / spread)
    expected = mean + spread * peer.predict(TEST.astype(np.float64))
    np.testing.assert_allclose(attacker.scores(TEST, Context())["age"][:, 0], expected, atol=0.01)


def test_neighbours_agree_with_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsRegressor

    peer = KNeighborsRegressor(15, weights="distance").fit(TRAIN, LABELS["age"].astype(np.float64))
    probes = np.concatenate([TEST, TRAIN[:3]])  # the last three stand on a training face
    found = fitted(NearestNeighbourRegression).scores(probes, Context())["age"][:, 0]
    np.testing.assert_allclose(found, peer.predict(probes), atol=0.02)
    np.testing.assert_allclose(found[-3:], LABELS["age"][:3], atol=1e-3)


@everyone
def test_state_is_arrays_that_give_the_same_answers_again(kind: type[Attacker], tmp_path: Path) -> None:
    attacker = fitted(kind)
    save_file(attacker.state(), tmp_path / "state.safetensors")
    twin = kind()
    twin.restore(load_file(tmp_path / "state.safetensors"))
    before, after = attacker.scores(TEST, Context()), twin.scores(TEST, Context())
    for name in ("age", "weight"):
        np.testing.assert_array_equal(before[name], after[name])


@everyone
def test_unknown_numbers_are_left_out(kind: type[Attacker]) -> None:
    age = LABELS["age"].copy()
    age[::3] = np.nan
    some = fitted(kind, {**LABELS, "age": age}).scores(TEST, Context())
    np.testing.assert_array_equal(some["weight"], fitted(kind).scores(TEST, Context())["weight"])
    alone = kind()
    alone.fit(TRAIN[np.isfinite(age)], {"age": age[np.isfinite(age)]}, (AGE,), Context())
    # The kernel's width comes from all embeddings, labelled or not.
    np.testing.assert_allclose(some["age"], alone.scores(TEST, Context())["age"], atol=0.2)


@everyone
def test_embeddings_that_are_all_the_same_leave_the_mean(kind: type[Attacker]) -> None:
    attacker = kind()
    same = np.repeat(TRAIN[:1], len(TRAIN), axis=0)
    attacker.fit(same, LABELS, (AGE,), Context())
    found = attacker.scores(TEST, Context())["age"]
    np.testing.assert_allclose(found, LABELS["age"].mean(), rtol=1e-5)


def test_together_they_answer_as_alone() -> None:
    team: dict[str, Attacker] = {kind.id: kind() for kind in KINDS}
    fit_together(team, TRAIN, LABELS, (AGE, WEIGHT), Context(seed=3))
    found = scores_together(team, TEST, Context())
    for kind in KINDS:
        answer = found[kind.id]
        assert not isinstance(answer, BenchError)
        np.testing.assert_array_equal(answer["age"], fitted(kind).scores(TEST, Context())["age"])


@everyone
def test_what_cannot_be_learned_is_refused(kind: type[Attacker]) -> None:
    gender = np.arange(400, dtype=np.float32) % 2
    with pytest.raises(InputError, match="gender has classes"):
        kind().fit(TRAIN, {"gender": gender}, (GENDER,), Context())
    with pytest.raises(InputError, match="one value of it"):
        kind().fit(TRAIN, {"age": np.full(400, 30, np.float32)}, (AGE,), Context())
    with pytest.raises(BenchError, match="has not been trained"):
        kind().scores(TEST, Context())
