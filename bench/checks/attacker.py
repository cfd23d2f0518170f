"""The contract of attackers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import discover
from bench.checks.common import (
    CHECK_PRESET,
    Finding,
    context,
    same,
    tried,
    two_pools,
    unit_vectors,
    untouched,
)
from bench.components.attacker import Attacker, Scores
from bench.errors import ContractError
from bench.faces import GENDER, Attribute, Faces

_WIDTH = 24
_ROUNDING = 1e-3


def check_attacker(name: str) -> Iterator[Finding]:
    """Findings about the attacker called `name`."""
    attacker: Attacker = discover.load_class("attacker", name)(preset=CHECK_PRESET)
    yield tried("scores every attribute, before and after being stored", lambda: _attacks(attacker))


def _attacks(attacker: Attacker) -> None:
    faces, others = two_pools()
    inputs, probes = _read(attacker)
    before = _array(inputs).copy(), _array(probes).copy()
    with tempfile.TemporaryDirectory() as folder:
        lent = context(folder)
        twin = type(attacker)(preset=CHECK_PRESET)
        if attacker.trained:
            attacker.fit(inputs, faces.labels, _learnable(attacker, faces), lent)
            untouched(_array(inputs), before[0], "_fit")
            twin.restore(attacker.state())
        attacker.prepare(lent)
        twin.prepare(lent)
        scores, again = attacker.scores(probes, lent), twin.scores(probes, lent)
        untouched(_array(probes), before[1], "_scores")
        few = attacker.scores(_some(probes), lent)
    if not scores:
        raise ContractError("no attribute is scored")
    for attribute, values in scores.items():
        classes = len(faces.attribute(attribute).classes) or 1
        if values.shape != (len(probes), classes):
            raise ContractError(
                f"scores of {attribute} must be ({len(probes)}, {classes}), got {values.shape}"
            )
        same(values, again[attribute], f"of {attribute} after `restore`")
        if np.abs(values[_ROWS] - few[attribute]).max() > _ROUNDING * max(1.0, float(np.abs(values).max())):
            raise ContractError(
                f"scores of {attribute} depend on the company: what is said of a face must not change with "
                "the other faces or their order"
            )
    if attacker.reads == "embedding" and attacker.learns == "classes":
        _right_way_round(scores, others)


_ROWS = np.arange(7)[::-1]


def _read(attacker: Attacker) -> tuple[Any, Any]:
    """What it learns from and what it scores: faces, or embeddings that tell their gender."""
    if attacker.reads == "image":
        return two_pools()
    if attacker.reads != "embedding":
        raise ContractError(f"reads must be 'embedding' or 'image', not {attacker.reads!r}")
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2, _WIDTH)).astype(np.float32)
    found = tuple(unit_vectors(faces, centres, rng) for faces in two_pools())
    return found[0], found[1]


def _array(inputs: Any) -> np.ndarray:
    return inputs.images if isinstance(inputs, Faces) else inputs


def _some(inputs: Any) -> Any:
    return inputs.take(_ROWS) if isinstance(inputs, Faces) else inputs[_ROWS]


def _learnable(attacker: Attacker, faces: Faces) -> list[Attribute]:
    numbers = type(attacker).learns == "numbers"
    return [
        a for a in faces.attributes if a.is_number == numbers and len(np.unique(faces.labels[a.name])) > 1
    ]


def _right_way_round(scores: Scores, faces: Faces) -> None:
    """Raises ContractError where gender, which these embeddings tell plainly, is read the wrong way round."""
    if GENDER.name not in scores:
        return
    said = scores[GENDER.name].argmax(axis=1)
    right = float((said == faces.labels[GENDER.name]).mean())
    if right < 0.2:
        raise ContractError(
            f"names the wrong gender of {1 - right:.0%} of embeddings that tell it plainly; columns of "
            "scores go in the order of `attribute.classes`, and a larger score is a likelier class"
        )
