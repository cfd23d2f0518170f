"""Attackers on one set of embeddings at a time: what several of them need is computed once.

Support vectors, nearest neighbours and polynomial kernels all start from the inner products of the embeddings
with the training embeddings, and that product of matrices is most of their work. Here it is made once, in
blocks of bounded memory, for all attackers and attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.components.attacker import Attacker, KernelAttacker, Scores, joined_scores
from bench.components.base import Context
from bench.components.products import Products, product_blocks
from bench.errors import BenchError, ContractError
from bench.faces import Attribute

Answer = TypeVar("Answer")


def fit_together(
    attackers: Mapping[str, Attacker],
    vectors: NDArray[np.float32],
    labels: Mapping[str, NDArray[np.float32]],
    attributes: Sequence[Attribute],
    ctx: Context,
) -> dict[str, dict[str, Any] | BenchError]:
    """Train each of `attackers` (name -> attacker on embeddings) as its `fit` does, with the same result.

    vectors: float32 (N, D), finite. labels: attribute -> float32 (N,), NaN where unknown. Attackers of
    `KernelAttacker` share the products of the vectors with one another.

    Returns what `fit` returned by name, or the error in its place where an attacker failed: the others are
    trained all the same, and the caller tells by `isinstance(answer, BenchError)`. An error that is not a
    BenchError comes as a ContractError whose `__cause__` it is.
    """
    products = Products(vectors, vectors)

    def fit(attacker: Attacker) -> dict[str, Any]:
        if isinstance(attacker, KernelAttacker):
            return attacker.fit_products(products, labels, attributes, ctx)
        return attacker.fit(vectors, labels, attributes, ctx)

    return {name: _attempt(attacker, partial(fit, attacker)) for name, attacker in attackers.items()}


def scores_together(
    attackers: Mapping[str, Attacker], vectors: NDArray[np.float32], ctx: Context
) -> dict[str, Scores | BenchError]:
    """Scores of each of `attackers` (name -> fitted attacker on embeddings), bit for bit those of `scores`.

    vectors: float32 (N, D), finite. Kernel attackers with equal references read the same blocks
    of products, at most 4 million pairs at a time; the others are called one after another.

    Returns the scores by name, or the error in their place, as `fit_together` does.
    """
    answers: dict[str, Scores | BenchError] = {}
    for names, references in _sharing(attackers, answers):
        answers |= _streamed({name: attackers[name] for name in names}, references, vectors, ctx)
    for name, attacker in attackers.items():
        if name not in answers:
            answers[name] = _attempt(attacker, partial(attacker.scores, vectors, ctx))
    return {name: answers[name] for name in attackers}


def _sharing(
    attackers: Mapping[str, Attacker], answers: dict[str, Scores | BenchError]
) -> list[tuple[list[str], NDArray[np.float32]]]:
    """Names of kernel attackers with equal references; the error of one that has none goes to `answers`."""
    groups: list[tuple[list[str], NDArray[np.float32]]] = []
    for name, attacker in attackers.items():
        if not isinstance(attacker, KernelAttacker):
            continue
        references = _attempt(attacker, attacker.references)
        if isinstance(references, BenchError):
            answers[name] = references
            continue
        for names, others in groups:
            if references is others or np.array_equal(references, others):
                names.append(name)
                break
        else:
            groups.append(([name], references))
    return groups


def _streamed(
    attackers: Mapping[str, Any], references: NDArray[np.float32], vectors: NDArray[np.float32], ctx: Context
) -> dict[str, Scores | BenchError]:
    parts: dict[str, list[Scores]] = {name: [] for name in attackers}
    failed: dict[str, Scores | BenchError] = {}
    for block in product_blocks(vectors, references):
        for name in parts.keys() - failed.keys():
            found = _attempt(attackers[name], partial(attackers[name].block_scores, block, ctx))
            if isinstance(found, BenchError):
                failed[name] = found
            else:
                parts[name].append(found)
    joined = {name: joined_scores(found) for name, found in parts.items() if name not in failed}
    return {**joined, **failed}


def _attempt(attacker: Attacker, work: Callable[[], Answer]) -> Answer | BenchError:
    """What `work` returns, or its error: the failure of one attacker is no other attacker's business."""
    try:
        return work()
    except BenchError as error:
        return error
    except Exception as error:
        wrapped = ContractError(f"{attacker.id} failed: {type(error).__name__}: {error}")
        wrapped.__cause__ = error
        return wrapped
