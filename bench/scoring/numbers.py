"""Rows on numbers, age in years above all: how far attackers are off, and how far they were moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import MetricError
from bench.faces import Attribute
from bench.ladder import STATIC, WORST
from bench.metrics import privacy
from bench.metrics.uncertainty import resampled_mean, worst_case
from bench.results import Row
from bench.scoring.privacy import WEAK, Reading
from bench.scoring.rows import POOL, Population, RowMaker

READS_BELOW = 0.9
"""MAE on originals, as a share of the constant guess's, up to which an attacker counts as able to read a
number; a weaker one is flagged and left out of the pool, as one with a low AUC is for classes."""
Float = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Guess:
    """What can be had without looking. name: as reasons say it. mae: its error. errors: that in each resample
    (B,). n: faces behind it."""

    name: str
    mae: float
    errors: Float
    n: int


@dataclass(frozen=True)
class Estimate:
    """How one attacker does on the faces whose number is known: exact, and in each resample (B,).

    after: errors on protected faces. before: MAE on originals. chance: MAE of the constant guess on the same
    faces.
    """

    attacker: str
    n: int
    n_failed: int
    before: float
    after: privacy.AgeErrors
    chance: float
    errors: Float

    @property
    def reads(self) -> bool:
        return self.before <= READS_BELOW * self.chance


@dataclass(frozen=True)
class Shift:
    """How far protection moved one attacker's answers from those on the originals. errors: (B,).

    reach: MAE of its own answers on originals about their median: what a constant answer would give.
    """

    attacker: str
    n: int
    n_failed: int
    mae: float
    reach: float
    errors: Float


def number_rows(
    make: RowMaker,
    attribute: Attribute,
    labels: NDArray[np.floating] | None,
    rungs: Mapping[str, Sequence[Reading]],
    people: Population,
) -> list[Row]:
    """labels: float (N,), NaN where unknown; None where the dataset does not say. rungs: rung -> what its
    attackers say, scores (N, 1) in the attribute's unit; one without attackers gives no rows.

    Against the truth: `mae` of every attacker with its signed mean `error_bias` and `error_spread`, since
    whoever knows an offset subtracts it; of the pool the least over the attackers of a rung and the constant
    guess, which anybody can make (`mae_chance`), the minimum taken inside each resample; of several rungs
    also over all of them. Of `static` only those that read originals (`READS_BELOW`) count. Against the same
    attacker's answers on the originals, static ones only: `mae_shift`, of the pool the mean over those that
    read originals, or over all where there is no truth to tell.
    """
    template = replace(
        make.template, attribute=attribute.name, unit=attribute.unit, component_kind="attacker"
    )
    here = replace(make, template=template)
    answering = {rung: readings for rung, readings in rungs.items() if readings}
    if not answering:
        reason = f"no attacker of this run estimates {attribute.name}"
        return [here.undefined("mae" if labels is not None else "mae_shift", reason, component=POOL)]
    moved, rows = _each(here, "mae_shift", {STATIC: answering.get(STATIC, ())}, _shift(people))
    if labels is None:
        return rows + _shift_rows(here, moved[STATIC], set())
    try:
        guess = _guess(labels, people)
    except MetricError as error:
        return [here.undefined("mae", str(error), component=POOL)]
    found, rows = _each(here, "mae", answering, _estimate(labels, people))
    weak = {one.attacker for one in found.get(STATIC, []) if not one.reads}
    return rows + _truth_rows(here, attribute, found, guess) + _shift_rows(here, moved[STATIC], weak)


def _each(
    make: RowMaker,
    metric: str,
    rungs: Mapping[str, Sequence[Reading]],
    measure: Callable[[Reading], T],
) -> tuple[dict[str, list[T]], list[Row]]:
    """What `measure` finds of every reading, by rung, and a row for each of which it finds nothing."""
    found: dict[str, list[T]] = {}
    rows = []
    for rung, readings in rungs.items():
        here = replace(make, template=replace(make.template, threat=rung))
        found[rung] = []
        for reading in readings:
            try:
                found[rung].append(measure(reading))
            except MetricError as error:
                rows.append(here.undefined(metric, str(error), component=reading.attacker))
    return found, rows


# -- against the truth -------------------------------------------------------------------------------


def _guess(labels: NDArray[np.floating], people: Population) -> Guess:
    known = np.isfinite(labels)
    if not known.any():
        raise MetricError("no test face has a known number")
    middle, mae = privacy.constant_guess(labels[known])
    errors = resampled_mean(people.draw, people.identities[known], np.abs(labels[known] - middle))
    return Guess(f"the constant guess {middle:.4g}", mae, errors, int(known.sum()))


def _estimate(labels: NDArray[np.floating], people: Population) -> Callable[[Reading], Estimate]:
    """Measures a reading against the truth; raises MetricError when failures leave no face."""

    def measure(reading: Reading) -> Estimate:
        rows, n_failed = _answered(reading, np.isfinite(labels))
        truth = labels[rows].astype(np.float64)
        protected, original = _answers(reading, rows)
        return Estimate(
            attacker=reading.attacker,
            n=len(truth),
            n_failed=n_failed,
            before=privacy.age_errors(truth, original).mae,
            after=privacy.age_errors(truth, protected),
            chance=privacy.constant_guess(truth)[1],
            errors=resampled_mean(people.draw, people.identities[rows], np.abs(protected - truth)),
        )

    return measure


def _truth_rows(
    make: RowMaker, attribute: Attribute, found: Mapping[str, Sequence[Estimate]], guess: Guess
) -> list[Row]:
    chance: dict[str, Any] = {"component": POOL, "n": guess.n, "n_failed": 0, "reason": guess.name}
    rows = [make.row("mae_chance", guess.mae, guess.errors, **chance)]
    candidates: list[tuple[str, Estimate]] = []
    for rung, estimates in found.items():
        here = replace(make, template=replace(make.template, threat=rung))
        for one in estimates:
            rows += _attacker_rows(here, one, static=rung == STATIC)
        able = [(rung, one) for one in estimates if rung != STATIC or one.reads]
        rows += _pool_rows(here, attribute, able, guess)
        candidates += able
    if make.template.role == "obfuscated":
        here = replace(make, template=replace(make.template, threat=WORST))
        rows += _pool_rows(here, attribute, candidates, guess, name_rung=True)
    return rows


def _attacker_rows(make: RowMaker, one: Estimate, *, static: bool) -> list[Row]:
    shared: dict[str, Any] = {"component": one.attacker, "n": one.n, "n_failed": one.n_failed}
    if static and not one.reads:
        shared["flags"] = WEAK
    beside = f"{one.before:.4g} on originals, {one.chance:.4g} without looking"
    return [
        make.row("mae", one.after.mae, one.errors, higher_is=_higher_is(make), reason=beside, **shared),
        make.row("error_bias", one.after.bias, **shared),
        make.row("error_spread", one.after.spread, **shared),
    ]


def _pool_rows(
    make: RowMaker,
    attribute: Attribute,
    candidates: Sequence[tuple[str, Estimate]],
    guess: Guess,
    *,
    name_rung: bool = False,
) -> list[Row]:
    shared: dict[str, Any] = {"component": POOL}
    if not candidates:
        reason = (
            f"no attacker reads {attribute.name} off the originals "
            f"(MAE at most {READS_BELOW:g} of the constant guess's, {guess.mae:.4g})"
        )
        return [make.undefined("mae", reason, **shared)]
    rung, strongest = min(candidates, key=lambda found: found[1].after.mae)
    name = strongest.attacker + (f", {rung}" if name_rung else "")
    value = min(strongest.after.mae, guess.mae)
    if strongest.after.mae >= guess.mae:
        name = f"{guess.name}, since {name} is off by {strongest.after.mae:.4g}"
    least = -worst_case([-guess.errors, *(-one.errors for _, one in candidates)])
    columns = {
        **shared,
        "n": max(one.n for _, one in candidates),
        "n_failed": max(one.n_failed for _, one in candidates),
        "reason": f"strongest attacker: {name}",
    }
    return [make.row("mae", value, least, higher_is=_higher_is(make), **columns)]


# -- against the answers on the originals ------------------------------------------------------------


def _shift(people: Population) -> Callable[[Reading], Shift]:
    """Measures a reading against itself on originals; raises MetricError when failures leave no face."""

    def measure(reading: Reading) -> Shift:
        rows, n_failed = _answered(reading, np.ones(len(reading.protected), bool))
        protected, original = _answers(reading, rows)
        return Shift(
            attacker=reading.attacker,
            n=len(original),
            n_failed=n_failed,
            mae=privacy.age_errors(original, protected).mae,
            reach=privacy.constant_guess(original)[1],
            errors=resampled_mean(people.draw, people.identities[rows], np.abs(protected - original)),
        )

    return measure


def _shift_rows(make: RowMaker, shifts: Sequence[Shift], weak: set[str]) -> list[Row]:
    """weak: attackers that cannot read originals."""
    here = replace(make, template=replace(make.template, threat=STATIC))
    rows = []
    for one in shifts:
        flags = WEAK if one.attacker in weak else ""
        shared: dict[str, Any] = {"component": one.attacker, "n": one.n, "n_failed": one.n_failed}
        reason = f"a constant answer would be off by {one.reach:.4g}"
        rows.append(
            here.row(
                "mae_shift",
                one.mae,
                one.errors,
                higher_is=_higher_is(make),
                reason=reason,
                flags=flags,
                **shared,
            )
        )
    counted = [one for one in shifts if one.attacker not in weak]
    if not counted:
        return rows
    columns: dict[str, Any] = {
        "component": POOL,
        "n": max(one.n for one in counted),
        "n_failed": max(one.n_failed for one in counted),
        "reason": f"mean of {len(counted)} attackers; a constant answer would be off by "
        f"{np.mean([one.reach for one in counted]):.4g}",
    }
    value, errors = float(np.mean([one.mae for one in counted])), np.mean([c.errors for c in counted], axis=0)
    return [*rows, here.row("mae_shift", value, errors, higher_is=_higher_is(make), **columns)]


# -- shared ------------------------------------------------------------------------------------------


def _answered(reading: Reading, asked: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """The asked faces (N,) with an answer on both sides, and how many have none."""
    answered = np.isfinite(reading.protected).all(axis=1) & np.isfinite(reading.original).all(axis=1)
    failed = int((asked & ~answered).sum())
    if not (asked & answered).any():
        raise MetricError(f"{reading.attacker}: {failed} failures leave no face")
    return asked & answered, failed


def _answers(reading: Reading, rows: NDArray[np.bool_]) -> tuple[Float, Float]:
    """The numbers (n,) said of the protected faces and of the originals at `rows`."""
    return reading.protected[rows, 0].astype(np.float64), reading.original[rows, 0].astype(np.float64)


def _higher_is(make: RowMaker) -> str:
    """An error hides what should be hidden, and spoils what should survive."""
    return "better" if make.template.role == "obfuscated" else "worse"
