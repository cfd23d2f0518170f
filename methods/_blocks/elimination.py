"""Incremental variable elimination, which IVE and Multi-IVE share.

Terhorst, Damer, Kirchbuchner and Kuijper, "Suppressing Gender and Age in Face Templates Using Incremental
Variable Elimination", ICB 2019: train a tree ensemble to read the attribute, drop the variables it finds most
important, and start over with those that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, InputError, UsageError

ENSEMBLES = ("random_forest", "extra_trees", "gradient_boosting", "xgboost")


@dataclass(frozen=True)
class Round:
    """One elimination: `count` variables go, those with the largest sum of importances over `targets`.

    targets: int64 (N,) class indices counted from 0 without gaps, -1 where unknown.
    """

    targets: tuple[NDArray[np.int64], ...]
    count: int


@dataclass(frozen=True)
class Ensemble:
    """The learner whose importances decide. kind: one of `ENSEMBLES`."""

    kind: str = "random_forest"
    trees: int = 30

    def importances(
        self, vectors: NDArray[np.float32], target: NDArray[np.int64], seed: int
    ) -> NDArray[np.float64]:
        """Importance (D,) of each variable for reading `target`, summing to 1 (to 0 if nothing tells)."""
        known = target >= 0
        model = self._model(seed)
        model.fit(vectors[known], np.unique(target[known], return_inverse=True)[1])
        return np.asarray(model.feature_importances_, np.float64)

    def _model(self, seed: int) -> Any:
        if self.kind == "xgboost":
            from xgboost import XGBClassifier

            return XGBClassifier(n_estimators=self.trees, random_state=seed, n_jobs=1)
        from sklearn import ensemble

        models = {
            "random_forest": ensemble.RandomForestClassifier,
            "extra_trees": ensemble.ExtraTreesClassifier,
            "gradient_boosting": ensemble.GradientBoostingClassifier,
        }
        if self.kind not in models:
            raise UsageError(f"unknown ensemble '{self.kind}'; known: {', '.join(ENSEMBLES)}")
        return models[self.kind](n_estimators=self.trees, random_state=seed)


def schedule(width: int, steps: int, eliminations: int, share: float) -> list[int]:
    """How many of `width` variables go in each step: `eliminations` in each of `steps`.

    share: where not 0, this part of the width goes instead, spread evenly over at most `steps` steps.
    Raises InputError where that eliminates nothing, or leaves nothing.
    """
    if not share:
        counts = [eliminations] * steps
    else:
        total = round(share * width)
        counts = [len(part) for part in np.array_split(np.arange(total), max(1, min(steps, total)))]
    if not 0 < sum(counts) < width:
        raise InputError(
            f"cannot eliminate {sum(counts)} of {width} variables; fewer must go than there are: set the "
            "option share (part of the variables to eliminate, between 0 and 1), or steps and eliminations"
        )
    return counts


def eliminate(
    vectors: NDArray[np.float32],
    rounds: Sequence[Round],
    ensemble: Ensemble,
    ctx: Context,
    *,
    blocked: int = 0,
) -> NDArray[np.int64]:
    """Variables to eliminate, indices into the columns of `vectors` (N, D), in the order in which they go.

    blocked: the first so many columns stay, however telling they are.
    Raises InputError where the rounds ask for more variables than may go.
    """
    left = np.arange(vectors.shape[1])
    wanted = sum(r.count for r in rounds)
    if wanted > len(left) - blocked:
        raise InputError(
            f"cannot eliminate {wanted} of {len(left)} variables of which {blocked} are blocked; "
            "lower the option share, or steps and eliminations, or blocked"
        )
    gone: list[int] = []
    for number, this in enumerate(rounds):
        importances = np.zeros(len(left))
        for which, target in enumerate(this.targets):
            seed = int(np.random.SeedSequence([ctx.seed, number, which]).generate_state(1)[0])
            importances += ensemble.importances(vectors[:, left], target, seed)
        importances[left < blocked] = -1
        worst = np.argsort(-importances, kind="stable")[: this.count]
        gone += left[worst].tolist()
        left = np.delete(left, worst)
        ctx.report(number + 1, len(rounds), f"eliminating variables, {len(left)} left")
    return np.array(gone, np.int64)
