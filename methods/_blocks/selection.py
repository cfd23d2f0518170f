"""Which snapshot a method keeps and how strongly it applies it, decided on VALIDATION."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bench.api import Auxiliaries, BenchError, Context, Faces, Protected, Variant, Verdict
from bench.training import agreed

_MATCHING_WEIGHT = 4.0


class Protect(Protocol):
    """A method's protect with everything but the output decided."""

    def __call__(self, faces: Faces, variant: Variant) -> Protected: ...


@dataclass(frozen=True)
class Choice:
    """The winning snapshot's index, the strength of each variant by name, and the figures of all judged."""

    snapshot: int
    strengths: dict[str, float]
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
    """The snapshot with the highest mean `score` over `variants` at the strength nearest 1, then for each
    variant the strength with the highest score.

    apply: (index of a snapshot, strength) -> the method's protect with them.
    What there is no choice of is not judged.
    """
    usual = min(strengths, key=lambda s: abs(s - 1))
    figures: list[dict[str, Any]] = []
    scores: dict[tuple[int, float, str], float] = {}

    def judged(snapshot: int, strength: float, variant: Variant) -> float:
        key = snapshot, strength, variant.name
        if key not in scores:
            ctx.report(len(scores), total, f"judging {variant.name}, strength {strength:g}")
            protect = partial(apply(snapshot, strength), variant=variant)
            verdict = auxiliaries.judge(protect, variant)
            scores[key] = score(verdict, keep_matching)
            figures.append(_row(snapshot, strength, variant, verdict, scores[key]))
        return scores[key]

    total = len(variants) * (len(strengths) - 1 + snapshots)
    best = 0
    if snapshots > 1:
        best = max(range(snapshots), key=lambda i: sum(judged(i, usual, v) for v in variants))
    chosen = dict.fromkeys((v.name for v in variants), usual)
    if len(strengths) > 1:
        for variant in variants:
            by_strength = {s: judged(best, s, variant) for s in strengths}
            chosen[variant.name] = max(by_strength, key=by_strength.__getitem__)
    # Rounding may differ between processes that train together, and what follows must not.
    return agreed(Choice(best, chosen, figures))


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
    snapshot: int, strength: float, variant: Variant, verdict: Verdict, reached: float
) -> dict[str, Any]:
    return {
        "snapshot": snapshot,
        "strength": strength,
        "variant": variant.name,
        "score": reached,
        "leak": dict(verdict.leak),
        "reduction": dict(verdict.reduction),
        "matching": verdict.matching,
        "kept_drop": verdict.kept_drop,
    }
