"""Attackers on embeddings: they read what is there, agree with the libraries, and are stored as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from attackers import svm
from attackers._blocks.per_attribute import Task
from attackers.knn import NearestNeighbours
from attackers.mlp import MultiLayerPerceptron
from attackers.quadratic import Quadratic
from attackers.random_forest import RandomForest
from attackers.svm import SupportVectorMachine
from attackers.xgboost import XGBoost
from bench.api import Attacker, Attribute, BenchError, Context, InputError
from bench.faces import AGE, GENDER

RACE = Attribute("race", ("a", "b", "c"))
FAST: dict[type[Attacker], dict[str, Any]] = {
    SupportVectorMachine: {},
    NearestNeighbours: {},
    MultiLayerPerceptron: {"hidden": 32, "epochs": 80},
    RandomForest: {"trees": 30},
    XGBoost: {"rounds": 20},
    Quadratic: {},
}
everyone = pytest.mark.parametrize("kind", FAST, ids=lambda kind: kind.id)
Labels = Mapping[str, NDArray[np.float32]]


def embeddings(count: int, seed: int) -> tuple[NDArray[np.float32], Labels]:
    """Unit vectors (N, 10) in which gender is the sign of a product, and race one of three directions."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 10))
    race = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    gender = rng.integers(0, 2, count)
    vectors[:, 0] = rng.choice([-2, 2], count) + 0.3 * rng.normal(size=count)
    vectors[:, 1] = np.where(gender == 1, 1, -1) * vectors[:, 0] + 0.3 * rng.normal(size=count)
    vectors[np.arange(count), 2 + race] += 3
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = {"gender": gender.astype(np.float32), "race": race.astype(np.float32)}
    return vectors.astype(np.float32), labels


TRAIN, TRAIN_LABELS = embeddings(400, 1)
TEST, TEST_LABELS = embeddings(300, 2)


def fitted(kind: type[Attacker], labels: Labels = TRAIN_LABELS, seed: int = 3, **options: Any) -> Attacker:
    attacker = kind(**{**FAST[kind], **options})
    attacker.fit(TRAIN, labels, (GENDER, RACE), Context(seed=seed))
    return attacker


def accuracy(scores: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


@everyone
def test_reads_all_attributes_of_unseen_people(kind: type[Attacker]) -> None:
    scores = fitted(kind).scores(TEST, Context())
    assert scores["gender"].shape == (300, 2)
    assert scores["race"].shape == (300, 3)
    assert accuracy(scores["race"], TEST_LABELS["race"]) > 0.8
    # Trees split one component at a time, and gender is a product of two.
    hard = kind in (RandomForest, XGBoost)
    assert accuracy(scores["gender"], TEST_LABELS["gender"]) > (0.7 if hard else 0.9)


@everyone
def test_state_is_arrays_that_give_the_same_scores_again(kind: type[Attacker], tmp_path: Path) -> None:
    attacker = fitted(kind)
    save_file(attacker.state(), tmp_path / "state.safetensors")
    twin = kind(**FAST[kind])
    twin.restore(load_file(tmp_path / "state.safetensors"))
    before, after = attacker.scores(TEST, Context()), twin.scores(TEST, Context())
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


@everyone
def test_the_seed_decides_alone(kind: type[Attacker]) -> None:
    np.random.seed(1)
    first = fitted(kind).state()
    np.random.seed(2)
    second = fitted(kind).state()
    assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}


@everyone
def test_unknown_labels_are_left_out(kind: type[Attacker]) -> None:
    rng = np.random.default_rng(0)
    known = rng.random(400) < 0.7
    gender = np.where(known, TRAIN_LABELS["gender"], np.nan).astype(np.float32)
    attacker = fitted(kind, {"gender": gender, "race": TRAIN_LABELS["race"]})
    scores = attacker.scores(TEST, Context())
    np.testing.assert_array_equal(scores["race"], fitted(kind).scores(TEST, Context())["race"])
    alone = kind(**FAST[kind])
    alone.fit(TRAIN[known], {"gender": gender[known]}, (GENDER,), Context(seed=3))
    # Kernel widths and scales come from all embeddings, labelled or not, so those may differ a little.
    np.testing.assert_allclose(scores["gender"], alone.scores(TEST, Context())["gender"], atol=0.05)


@everyone
def test_a_class_that_was_never_seen_is_never_named(kind: type[Attacker]) -> None:
    race = np.where(TRAIN_LABELS["race"] == 1, np.nan, TRAIN_LABELS["race"]).astype(np.float32)
    scores = fitted(kind, {"gender": TRAIN_LABELS["gender"], "race": race}).scores(TEST, Context())["race"]
    assert scores.shape == (300, 3)
    assert set(scores.argmax(axis=1)) == {0, 2}
    seen = TEST_LABELS["race"] != 1
    assert accuracy(scores[seen], TEST_LABELS["race"][seen]) > 0.85


@everyone
def test_scores_do_not_depend_on_company(kind: type[Attacker]) -> None:
    attacker = fitted(kind)
    whole, part = attacker.scores(TEST, Context()), attacker.scores(TEST[40:50], Context())
    for name in whole:
        np.testing.assert_allclose(whole[name][40:50], part[name], atol=2e-5)


@everyone
def test_numbers_are_refused(kind: type[Attacker]) -> None:
    ages = np.linspace(20, 60, 400).astype(np.float32)
    with pytest.raises(InputError, match="age is a number"):
        kind().fit(TRAIN, {"age": ages}, (AGE,), Context())


@everyone
def test_an_untrained_one_says_so(kind: type[Attacker]) -> None:
    with pytest.raises(BenchError, match="has not been trained"):
        kind().scores(TEST, Context())


# -- agreement with the libraries ------------------------------------------------------------------


def softmaxed(scores: NDArray[np.float32], labels: NDArray[np.float32]) -> Any:
    """The probabilities behind balanced log scores."""
    priors = np.bincount(labels.astype(int)) / len(labels)
    return np.exp(scores.astype(np.float64)) * priors * len(priors)


@pytest.mark.parametrize("name", ["gender", "race"])
@pytest.mark.parametrize("shared_samples", [6000, 0])
def test_svm_equals_sklearn(name: str, shared_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.svm import SVC

    monkeypatch.setattr(svm, "_SHARED_SAMPLES", shared_samples)
    scores = fitted(SupportVectorMachine).scores(TEST, Context())[name]
    wanted = SVC(gamma="scale", class_weight="balanced", break_ties=True).fit(TRAIN, TRAIN_LABELS[name])
    decisions = wanted.decision_function(TEST)
    if name == "gender":
        decisions = np.stack([-decisions / 2, decisions / 2], axis=1)
    # libsvm stops within 1e-3 of the optimum; with its own kernel it takes the very same steps.
    np.testing.assert_allclose(scores, decisions, atol=1e-5 if shared_samples == 0 else 2e-3)
    assert (scores.argmax(axis=1) == wanted.predict(TEST)).all()


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_svm_arrays_equal_the_model_they_came_from(classes: int) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(classes)
    codes = rng.integers(0, classes, 120)
    vectors = rng.normal(size=(120, 5)) + codes[:, None]
    probes = rng.normal(size=(50, 5)) + 1
    model = SVC(gamma=0.2, break_ties=True).fit(vectors, codes)
    task = Task("any", np.arange(120), codes, np.arange(classes), classes, 0)
    gram = np.exp(-0.2 * ((probes[:, None] - vectors) ** 2).sum(2))
    decisions = gram @ svm._coefficients(model, task, 120) + model.intercept_
    scores = svm.class_scores(decisions, classes)
    wanted = model.decision_function(probes)
    np.testing.assert_allclose(scores if classes > 2 else 2 * scores[:, 1], wanted, atol=1e-10)
    assert (scores.argmax(axis=1) == model.predict(probes)).all()


@pytest.mark.parametrize("name", ["gender", "race"])
def test_knn_equals_sklearn(name: str) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    probes = np.concatenate([TEST, TRAIN[:20]])  # the last ones lie at distance 0
    scores = fitted(NearestNeighbours).scores(probes, Context())[name]
    model = KNeighborsClassifier(15, weights="distance").fit(TRAIN, TRAIN_LABELS[name])
    wanted = np.maximum(model.predict_proba(probes), 1e-4)
    np.testing.assert_allclose(softmaxed(scores, TRAIN_LABELS[name]), wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", [RandomForest, MultiLayerPerceptron])
@pytest.mark.parametrize("name", ["gender", "race"])
def test_exported_models_equal_sklearn(
    kind: type[Attacker], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    library: Any = RandomForestClassifier if kind is RandomForest else MLPClassifier
    fit, seen = library.fit, {}

    def recorded(model: Any, vectors: Any, codes: Any) -> Any:
        seen[len(np.unique(codes))] = model, vectors
        return fit(model, vectors, codes)

    monkeypatch.setattr(library, "fit", recorded)
    attacker = fitted(kind)
    model, vectors = seen[2 if name == "gender" else 3]
    # What the model was fitted on may be standardised; do to the probes what was done to it.
    spread = (vectors.std(axis=0) / TRAIN.std(axis=0)).astype(np.float64)
    probes = (TEST - TRAIN.mean(axis=0)) * spread + vectors.mean(axis=0)
    wanted = np.maximum(model.predict_proba(TEST if kind is RandomForest else probes), 1e-4)
    scores = attacker.scores(TEST, Context())[name]
    np.testing.assert_allclose(softmaxed(scores, TRAIN_LABELS[name]), wanted, rtol=1e-4)


@pytest.mark.parametrize("name", ["gender", "race"])
def test_xgboost_equals_its_library(name: str) -> None:
    import xgboost

    attacker = fitted(XGBoost)
    booster = xgboost.Booster()
    booster.load_model(bytearray(attacker.state()[f"{name}/booster"].tobytes()))
    wanted = booster.predict(xgboost.DMatrix(TEST)).astype(np.float64)
    if name == "gender":
        wanted = np.stack([1 - wanted, wanted], axis=1)
    scores = attacker.scores(TEST, Context())[name]
    np.testing.assert_allclose(softmaxed(scores, TRAIN_LABELS[name]), wanted, rtol=1e-4, atol=1e-4)


def test_quadratic_equals_kernel_ridge() -> None:
    from sklearn.kernel_ridge import KernelRidge

    scores = fitted(Quadratic).scores(TEST, Context())["race"]
    race = TRAIN_LABELS["race"].astype(int)
    weights = (len(race) / (3 * np.bincount(race)))[race]
    ridge = 0.1 * 4  # unit vectors: every diagonal element of (1 + x.y)^2 is 4
    model = KernelRidge(alpha=ridge, kernel="poly", degree=2, gamma=1, coef0=1)
    wanted = model.fit(TRAIN, 2 * np.eye(3)[race] - 1, sample_weight=weights).predict(TEST)
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


@everyone
def test_a_rare_class_is_found(kind: type[Attacker]) -> None:
    """One in ten: naming the common class always would be right nine times in ten, and tell nothing."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rare = rng.random(count) < 0.1
        vectors = rng.normal(size=(count, 8)) + 0.9 * rare[:, None]
        return vectors.astype(np.float32), rare.astype(np.float32)

    vectors, rare = draw(500)
    attacker = kind(**FAST[kind])
    attacker.fit(vectors, {"gender": rare}, (GENDER,), Context())
    probes, wanted = draw(1000)
    named = attacker.scores(probes, Context())["gender"].argmax(axis=1)
    assert named[wanted == 1].mean() > 0.5
    assert named[wanted == 0].mean() < 0.35


# -- embeddings that a method left nothing in ------------------------------------------------------


def flat(what: str, count: int) -> NDArray[np.float32]:
    if what == "zeros":
        return np.zeros((count, 10), np.float32)
    same = np.repeat(TRAIN[:1], count, axis=0)
    rounding = np.random.default_rng(0).uniform(-1, 1, same.shape).astype(np.float32)
    return same if what == "equal" else same + 1e-7 * rounding


@everyone
@pytest.mark.parametrize("what", ["equal", "rounding", "zeros"])
@pytest.mark.filterwarnings("error")
def test_equal_embeddings_get_equal_scores(kind: type[Attacker], what: str) -> None:
    attacker = kind(**FAST[kind])
    attacker.fit(flat(what, 400), TRAIN_LABELS, (GENDER, RACE), Context(seed=3))
    twin = kind(**FAST[kind])
    twin.restore(attacker.state())
    for one in (attacker, twin):
        scores = one.scores(flat(what, 300), Context())
        for name, classes in (("gender", 2), ("race", 3)):
            assert scores[name].shape == (300, classes)
            np.testing.assert_array_equal(scores[name], scores[name][:1].repeat(300, axis=0))
        # and whatever else it is shown, it has nothing to say about it
        told = one.scores(TEST, Context())["gender"]
        assert np.unique(told[:, 1] - told[:, 0]).size == 1


@everyone
@pytest.mark.filterwarnings("error")
def test_some_equal_embeddings_are_no_obstacle(kind: type[Attacker]) -> None:
    vectors = TRAIN.copy()
    vectors[:200] = TRAIN[0]
    attacker = kind(**FAST[kind])
    attacker.fit(vectors, TRAIN_LABELS, (GENDER, RACE), Context(seed=3))
    scores = attacker.scores(TEST, Context())
    assert accuracy(scores["race"], TEST_LABELS["race"]) > 0.6
