"""Attackers on one set of embeddings together: the answers of one by one, from products made once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attackers.knn import NearestNeighbours
from attackers.mlp import MultiLayerPerceptron
from attackers.quadratic import Quadratic
from attackers.svm import SupportVectorMachine
from bench.api import Attacker, Attribute, BenchError, Context, ContractError, InputError, Scores
from bench.components import products
from bench.components.products import Products, product_blocks
from bench.faces import GENDER
from bench.together import fit_together, scores_together

ATTRIBUTES = (GENDER, Attribute("race", ("a", "b", "c")))
CONTEXT = Context(seed=4)


def people(count: int, seed: int) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(seed)
    gender, race = rng.integers(0, 2, count), rng.integers(0, 3, count)
    vectors = rng.normal(size=(count, 16))
    vectors[np.arange(count), race] += 2
    vectors[:, 5] += gender
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    unknown = np.where(rng.random(count) < 0.2, np.nan, gender)
    return vectors.astype(np.float32), {
        "gender": unknown.astype(np.float32),
        "race": race.astype(np.float32),
    }


TRAIN, LABELS = people(150, 1)
TEST, _ = people(90, 2)


def untrained() -> dict[str, Attacker]:
    return {
        "svm": SupportVectorMachine(),
        "mlp": MultiLayerPerceptron(preset="check"),
        "knn": NearestNeighbours(),
        "quadratic": Quadratic(),
    }


def trained() -> dict[str, Attacker]:
    attackers = untrained()
    for attacker in attackers.values():
        attacker.fit(TRAIN, LABELS, ATTRIBUTES, CONTEXT)
    return attackers


class Broken(Attacker):
    """Raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _fit(self, *_: Any) -> dict[str, Any]:
        raise self.error

    def _scores(self, inputs: Any, ctx: Context) -> Scores:
        raise self.error


class NotFinite(Quadratic):
    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        return {"gender": np.full((len(block.vectors), 2), np.nan, np.float32)}


def assert_equal(found: Any, wanted: Scores) -> None:
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


@pytest.mark.parametrize("pairs", [4_000_000, 3000, 1])
def test_scores_are_those_of_one_by_one_to_the_bit(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_BLOCK_ELEMENTS", pairs)
    attackers = trained()
    found = scores_together(attackers, TEST, CONTEXT)
    assert list(found) == list(attackers)
    for name, attacker in attackers.items():
        assert_equal(found[name], attacker.scores(TEST, CONTEXT))


def test_training_is_that_of_one_by_one_to_the_bit() -> None:
    together, alone = untrained(), trained()
    figures = fit_together(together, TRAIN, LABELS, ATTRIBUTES, CONTEXT)
    assert figures["quadratic"] == {"samples": {"gender": np.isfinite(LABELS["gender"]).sum(), "race": 150}}
    for name, attacker in together.items():
        assert {k: v.tobytes() for k, v in attacker.state().items()} == {
            k: v.tobytes() for k, v in alone[name].state().items()
        }


def test_products_are_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(products, "_BLOCK_ELEMENTS", 3000)
    products_inner: Any = Products.__dict__["inner"]
    inner = products_inner.func

    def counted(block: Products) -> NDArray[np.float32]:
        made.append(len(block.vectors))
        return inner(block)

    monkeypatch.setattr(products_inner, "func", counted)
    attackers = untrained()
    fit_together(attackers, TRAIN, LABELS, ATTRIBUTES, CONTEXT)
    assert made == [150]
    made.clear()
    scores_together(attackers, TEST, CONTEXT)
    assert made == [20, 20, 20, 20, 10]


def test_attackers_of_different_embeddings_do_not_mix() -> None:
    attackers = trained()
    other = NearestNeighbours()
    other.fit(TRAIN[::-1].copy(), {k: v[::-1] for k, v in LABELS.items()}, ATTRIBUTES, CONTEXT)
    found = scores_together({"other": other, **attackers}, TEST, CONTEXT)
    assert_equal(found["other"], other.scores(TEST, CONTEXT))
    assert_equal(found["knn"], attackers["knn"].scores(TEST, CONTEXT))


def test_no_faces_are_no_scores() -> None:
    found: Any = scores_together(trained(), TEST[:0], CONTEXT)
    assert {name: scores["race"].shape for name, scores in found.items()} == dict.fromkeys(found, (0, 3))


def test_one_that_fails_takes_nobody_along() -> None:
    attackers = trained()
    bad = NotFinite()
    bad.restore(attackers["quadratic"].state())
    crowd = {
        "told": Broken(InputError("no eyes")),
        "untrained": SupportVectorMachine(),
        "bug": Broken(ZeroDivisionError("by nought")),
        "bad": bad,
        **attackers,
    }
    found = scores_together(crowd, TEST, CONTEXT)
    assert isinstance(found["told"], InputError)
    assert "has not been trained" in str(found["untrained"])
    assert isinstance(found["bug"], ContractError)
    assert isinstance(found["bug"].__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: by nought" in str(found["bug"])
    assert "non-finite score for gender" in str(found["bad"])
    for name, attacker in attackers.items():
        assert_equal(found[name], attacker.scores(TEST, CONTEXT))


def test_one_that_cannot_learn_leaves_the_others_learning() -> None:
    crowd = {"told": Broken(InputError("too dark")), **untrained()}
    figures = fit_together(crowd, TRAIN, LABELS, ATTRIBUTES, CONTEXT)
    assert [name for name, found in figures.items() if isinstance(found, BenchError)] == ["told"]
    assert_equal(crowd["svm"].scores(TEST, CONTEXT), trained()["svm"].scores(TEST, CONTEXT))


def test_one_class_is_every_attackers_error() -> None:
    labels = {**LABELS, "race": np.zeros(150, np.float32)}
    figures = fit_together(untrained(), TRAIN, labels, ATTRIBUTES, CONTEXT)
    assert all("cannot learn race" in str(found) for found in figures.values())


def test_products_against_the_definition() -> None:
    blocks = list(product_blocks(TEST, TRAIN))
    assert len(blocks) == 1
    gaps = TEST[:, None].astype(np.float64) - TRAIN
    np.testing.assert_allclose(blocks[0].distances, (gaps**2).sum(axis=2), atol=1e-6)
    np.testing.assert_allclose(blocks[0].inner, TEST.astype(np.float64) @ TRAIN.T, atol=1e-6)
    near = Products(TRAIN, TRAIN).distances.diagonal()
    assert near.min() >= 0
    assert near.max() < 1e-6


def test_blocks_hold_at_most_four_million_pairs() -> None:
    vectors, references = np.zeros((9000, 1), np.float32), np.zeros((1000, 1), np.float32)
    assert [len(b.vectors) for b in product_blocks(vectors, references)] == [4000, 4000, 1000]
