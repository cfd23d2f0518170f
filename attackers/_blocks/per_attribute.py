"""What attackers on embeddings share: one model an attribute, known labels only, arrays as state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Attacker, Attribute, BenchError, Context, InputError, Scores, State
from bench.components.method_base import sample_seeds

Float = NDArray[np.floating]

# Below this a probability says no more than "never seen among the neighbours or trees".
_LEAST = 1e-4

# Embeddings that differ by less, relative to their largest component, differ by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Task:
    """The labelled part of one attribute.

    rows: indices of the samples with a known label. codes: int64, their class among `present`, without gaps.
    present: class indices that occur. total: classes of the attribute. seed: differs between attributes.
    """

    name: str
    rows: NDArray[np.intp]
    codes: NDArray[np.int64]
    present: NDArray[np.int64]
    total: int
    seed: int

    @property
    def priors(self) -> NDArray[np.float64]:
        """Share of each present class."""
        return np.bincount(self.codes) / len(self.codes)

    @property
    def facts(self) -> State:
        """What `spread` needs to know of a fitted model."""
        return {"present": self.present, "total": np.array([self.total])}


def tasks(labels: Mapping[str, NDArray[np.int64]], attributes: Sequence[Attribute], seed: int) -> list[Task]:
    """One task an attribute. Raises InputError for an attribute that is a number."""
    found = []
    seeds = sample_seeds(seed, "attribute", [a.name for a in attributes])
    for attribute, own in zip(attributes, seeds, strict=True):
        if attribute.is_number:
            raise InputError(f"{attribute.name} is a number; attackers tell classes apart: give its groups")
        rows = np.flatnonzero(labels[attribute.name] >= 0)
        present, codes = np.unique(labels[attribute.name][rows], return_inverse=True)
        codes = codes.astype(np.int64)
        found.append(
            Task(attribute.name, rows, codes, present, len(attribute.classes), int(own % np.uint64(2**31)))
        )
    return found


def reported(found: Sequence[Task], attacker: str, ctx: Context) -> Iterator[Task]:
    """The tasks one after another, telling `ctx` how far it is."""
    for done, task in enumerate(found):
        ctx.report(done, len(found), f"{attacker} learns {task.name}")
        yield task
    ctx.report(len(found), len(found), f"{attacker} has learned {len(found)} attributes")


def spread(values: Float, model: State) -> NDArray[np.float32]:
    """Scores (N, k) of the present classes -> (N, K): a class that was never seen stays below all others."""
    scores = np.repeat(values.min(axis=1, keepdims=True) - 1, int(model["total"][0]), axis=1)
    scores[:, model["present"]] = values
    return scores.astype(np.float32)


def balanced_log(probabilities: Float, priors: NDArray[np.float64]) -> Float:
    """log p_k - log prior_k (N, K): the decision as if all classes were equally frequent.

    Logit adjustment (Menon et al., ICLR 2021, equation 9). Privacy is judged by balanced accuracy, on which
    an attacker that always names the commonest class is at chance.
    """
    balanced: Float = np.log(np.maximum(probabilities, _LEAST)) - np.log(priors * len(priors))
    return balanced


def indistinct(vectors: NDArray[np.float32]) -> bool:
    """Whether all vectors (N, D) are the same, up to rounding: a method left nothing to learn from."""
    return bool(np.abs(vectors - vectors[0]).max() <= _ROUNDING * np.abs(vectors[0]).max())


class ArrayAttacker(Attacker):
    """An attacker whose state is a flat dictionary of arrays: `<attribute>/<key>`, and what all share."""

    def state(self) -> State:
        state: State | None = getattr(self, "_state", None)
        if state is None:
            raise BenchError(f"{self.id} has not been trained; call fit or restore first")
        return state

    def restore(self, state: State) -> None:
        self._state = dict(state)

    def _models(self) -> dict[str, State]:
        """The arrays of each attribute."""
        models: dict[str, State] = {}
        for path, values in self.state().items():
            name, _, key = path.rpartition("/")
            if name:
                models.setdefault(name, {})[key] = values
        return models


# Key of a model that had nothing to learn from.
_NOTHING = "nothing"


class PerAttribute(ArrayAttacker):
    """Fill in `_learn` and `_probabilities`; attributes are learned one by one, independently.

    Trained on embeddings that are all the same, it finds every class equally likely, whatever it is shown.
    """

    @abstractmethod
    def _learn(self, vectors: NDArray[np.float32], task: Task) -> State:
        """A model of `task` from its labelled vectors (n, D), as arrays."""

    @abstractmethod
    def _probabilities(self, name: str, model: State, vectors: NDArray[np.float32]) -> Float:
        """Probability of each present class (N, k), from what `_learn` returned for attribute `name`."""

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found = tasks(labels, attributes, ctx.seed)
        state: State = {}
        nothing = indistinct(inputs)
        for task in reported(found, self.id, ctx):
            learned = {_NOTHING: np.array([True])} if nothing else self._learn(inputs[task.rows], task)
            model = learned | task.facts | {"priors": task.priors}
            state |= {f"{task.name}/{key}": values for key, values in model.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        scores = {}
        for name, model in self._models().items():
            if _NOTHING in model:
                values: Float = np.zeros((len(inputs), len(model["present"])))
            else:
                values = balanced_log(self._probabilities(name, model, inputs), model["priors"])
            scores[name] = spread(values, model)
        return scores
