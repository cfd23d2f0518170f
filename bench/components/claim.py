"""Claims: what a paper says in words, as inequalities between measured figures.

    Claim(
        id="san-matching-order",
        text="the more the gender is changed, the fewer faces match",
        source="Table 3",
        holds=(
            Figure.matched("san:sm").at_least(Figure.matched("san:nt")),
            Figure.matched("san:nt").at_least(Figure.matched("san:op")),
        ),
    )

A claim is declared beside the method it speaks of, in `claims`, and holds when all of its inequalities do.
`python -m bench claims` decides them on the results of a run (`bench.claims`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.errors import ContractError

STATIC, HEADLINE_FMR, POOL, RESET = "static", "fmr=0.01", "pool", "reset"
ORIGINAL_PROTECTED = "original-protected"


@dataclass(frozen=True)
class Figure:
    """One measured quantity, named by columns of the tidy table; None: whatever the one value there is has.

    of: whose it is, as typed: `san:op`, or `grey` where there is but one output. metric, attribute, threat,
    component, condition, policy, operating_point: as in `bench.results.Row`. Nothing names the dataset.
    """

    of: str
    metric: str
    attribute: str | None = None
    threat: str | None = None
    component: str | None = None
    condition: str | None = None
    policy: str | None = None
    operating_point: str | None = None

    @classmethod
    def read(cls, of: str, attribute: str, metric: str, threat: str = STATIC) -> Figure:
        """What the pool of unseen attackers reads of an attribute that is to be hidden, on one rung."""
        return cls(of, metric, attribute, threat, POOL)

    @classmethod
    def lost(cls, of: str, attribute: str) -> Figure:
        """CAC: what the papers' attackers lose of an attribute that should survive; positive is damage."""
        return cls(of, "cac", attribute, None, POOL)

    @classmethod
    def matched(cls, of: str, metric: str = "tmr", operating_point: str = HEADLINE_FMR) -> Figure:
        """How well protected faces match originals, mean over the unseen matchers, thresholds set on the
        scores at hand: `tmr`, or as a share of the originals' TMR `tmr_kept`."""
        return cls(of, metric, None, None, POOL, ORIGINAL_PROTECTED, RESET, operating_point)

    @classmethod
    def looks(cls, of: str, metric: str) -> Figure:
        """Image quality of an output, by the recipe of the run."""
        return cls(of, metric)

    @property
    def subject(self) -> tuple[str, str]:
        """Method and variant, as the tidy table has them."""
        method, _, variant = self.of.partition(":")
        return method, variant or "default"

    def __str__(self) -> str:
        words = [self.attribute, self.metric, self.operating_point, "of", self.of]
        if self.threat not in (None, STATIC):
            words += ["under", self.threat]
        return " ".join(w for w in words if w)

    def at_least(self, other: Figure | float, margin: float = 0.0) -> Inequality:
        """self >= other - margin."""
        short = f" - {margin:g}" if margin else ""
        return Inequality(f"{self} >= {_text(other)}{short}", (_plus(self), _minus(other)), margin)

    def at_most(self, other: Figure | float, margin: float = 0.0) -> Inequality:
        """self <= other + margin."""
        more = f" + {margin:g}" if margin else ""
        return Inequality(f"{self} <= {_text(other)}{more}", (_minus(self), _plus(other)), margin)

    def above(self, other: Figure | float) -> Inequality:
        """self > other."""
        return Inequality(f"{self} > {_text(other)}", (_plus(self), _minus(other)), strict=True)

    def below(self, other: Figure | float) -> Inequality:
        """self < other."""
        return Inequality(f"{self} < {_text(other)}", (_minus(self), _plus(other)), strict=True)

    def within(self, distance: float, of: float) -> Inequality:
        """|self - of| <= distance."""
        return Inequality(f"|{self} - {of:g}| <= {distance:g}", (_minus(self, of),), distance)

    def beyond(self, distance: float, of: float) -> Inequality:
        """|self - of| > distance."""
        return Inequality(f"|{self} - {of:g}| > {distance:g}", (_plus(self, of),), -distance, strict=True)

    def nearer(self, to: float, than: Figure) -> Inequality:
        """|self - to| < |than - to|."""
        says = f"|{self} - {to:g}| < |{than} - {to:g}|"
        return Inequality(says, (_minus(self, to), _plus(than, to)), strict=True)


@dataclass(frozen=True)
class Term:
    """weight x figure, or weight x |figure - distance_to|; a figure may be a plain number."""

    figure: Figure | float
    weight: float
    distance_to: float | None = None

    def of(self, value: Any) -> Any:
        """The term's value where its figure has `value`, a number or an array of resamples."""
        return self.weight * (value if self.distance_to is None else abs(value - self.distance_to))


@dataclass(frozen=True)
class Inequality:
    """Holds when the sum of the terms and the constant is >= 0, or > 0 if `strict`. says: the same, in words.

    It is kept in this form so that it is decided by the resampled sum: figures of one draw of identities
    move together, and their difference is surer than either.
    """

    says: str
    terms: tuple[Term, ...]
    constant: float = 0.0
    strict: bool = False

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The measured figures it is about."""
        return tuple(t.figure for t in self.terms if isinstance(t.figure, Figure))

    def margin(self, value_of: Callable[[Figure], Any]) -> Any:
        """The sum, from the value or the resamples of each figure: how far it is from failing."""
        parts = (t.of(value_of(t.figure) if isinstance(t.figure, Figure) else t.figure) for t in self.terms)
        return sum(parts, self.constant)


@dataclass(frozen=True)
class Claim:
    """A testable statement. id: unique in the project, in-lower-case. text: what is claimed, in plain words.

    source: where it stands, and which bound was chosen here because none is printed. holds: all of these must
    hold. paper: who claims it, if not the method's own paper. Raises ContractError for an id of another form
    and for a claim about nothing measured.
    """

    id: str
    text: str
    source: str
    holds: tuple[Inequality, ...]
    paper: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.id):
            raise ContractError(f"the claim id {self.id!r} must be words-joined-by-hyphens in lower case")
        if not self.holds or not all(i.figures for i in self.holds):
            raise ContractError(f"claim {self.id} must hold at least one figure against something")


def _text(other: Figure | float) -> str:
    return str(other) if isinstance(other, Figure) else f"{other:g}"


def _plus(figure: Figure | float, distance_to: float | None = None) -> Term:
    return Term(figure, 1.0, distance_to)


def _minus(figure: Figure | float, distance_to: float | None = None) -> Term:
    return Term(figure, -1.0, distance_to)
