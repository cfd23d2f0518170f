"""Which snapshot a method keeps and how strongly it applies it, decided on VALIDATION."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Protocol

from bench.api import Auxiliaries, BenchError, Context, Faces, Protected, Variant, Verdict

_MATCHING_WEIGHT = 4.0


class Protect(Protocol):
    """A method's protect with everything but the output decided."""

    def __call__(self, faces: Faces, variant: Variant) -> Protected: ...


@dataclass(frozen=True)
class Choice:
    """The winning candidate: index of the snapshot, strength, and the figures of all candidates."""

    snapshot: int
    strength: float
    figures: list[dict[str, Any]]


def choose(
    apply: Callable[[int, float], Protect],
    snapshots: int,
    strengths: Sequence[float],
    variants: Sequence[Variant],
    auxiliaries: Auxiliaries,
    ctx: Context,
    *,
    keep_matching: float,
) -> Choice:
    """Judge every snapshot at every strength on `variants` and take the one with the highest mean `score`.

    apply: (index of a snapshot, strength) -> the method's protect with them.
    A single candidate is taken without judging it.
    """
    candidates = list(product(range(snapshots), strengths))
    if len(candidates) == 1:
        return Choice(*candidates[0], figures=[])
    figures = []
    for number, (snapshot, strength) in enumerate(candidates):
        ctx.report(number, len(candidates), f"judging candidate {number + 1} of {len(candidates)}")
        protect = apply(snapshot, strength)
        verdicts = {v.name: auxiliaries.judge(partial(protect, variant=v), v) for v in variants}
        figures.append(_row(snapshot, strength, verdicts, keep_matching))
    best = max(range(len(candidates)), key=lambda i: figures[i]["score"])
    return Choice(*candidates[best], figures=figures)


def score(verdict: Verdict, keep_matching: float) -> float:
    """Privacy less damage: -(mean leak of the judges) - (loss of kept attributes) - 4 x (matching missing).

    keep_matching: share of the originals' TMR at FMR 1 % that should remain; more than that earns nothing.
    """
    if not verdict.leak:
        raise BenchError("the judges returned no leak: VALIDATION must label an obfuscated attribute")
    leak = sum(verdict.leak.values()) / len(verdict.leak)
    missing = max(0.0, keep_matching - verdict.matching)
    return -leak - max(0.0, verdict.kept_drop) - _MATCHING_WEIGHT * missing


def _row(
    snapshot: int, strength: float, verdicts: dict[str, Verdict], keep_matching: float
) -> dict[str, Any]:
    scores = [score(v, keep_matching) for v in verdicts.values()]
    return {
        "snapshot": snapshot,
        "strength": strength,
        "score": sum(scores) / len(scores),
        "verdicts": {
            name: {
                "leak": dict(v.leak),
                "reduction": dict(v.reduction),
                "matching": v.matching,
                "kept_drop": v.kept_drop,
            }
            for name, v in verdicts.items()
        },
    }
