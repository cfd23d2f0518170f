"""What a report says of the paths that a run took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.inference.paths import EAGER, FP32


def sentence(choices: Sequence[Mapping[str, Any]]) -> str:
    """`Choice.facts` of one output as text: what was taken for each size of images, and what was refused."""
    return "; ".join(map(_one, choices)) or "nothing was evaluated"


def _one(told: Mapping[str, Any]) -> str:
    if (told["path"], told["precision"]) == (EAGER, FP32):
        text = "exact"
    else:
        when = " when it was measured here" if told["remembered"] else ""
        text = (
            f"{told['path']} in {told['precision']}, {told['speedup']:g} times as fast as exact{when}, "
            f"differs from fp32 by at most {told['deviation']:g} ({told['unit']})"
        )
    refused = ", ".join(f"{path}: {why}" for path, why in told["refused"].items())
    text += f" (refused: {refused})" if refused else ""
    return f"{text}; {told['note']}" if told["note"] else text
