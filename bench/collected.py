"""What the finished cells of a run say: rows, curves, resamples, and a few faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.engines.outcome import Outcome
from bench.planning.plan import Plan, Subject
from bench.results import FAILED, UNAVAILABLE, Row, to_frame
from bench.scoring.rows import SampleKey, sample_key, sample_name
from bench.store import Store

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE_FACES = 6
_CURVE_COLUMNS = (
    "method",
    "variant",
    "label_source",
    "seed",
    "kind",
    "matcher",
    "condition",
    "fmr",
    "tmr",
)


def collect(
    plan: Plan, outcome: Outcome, store: Store
) -> tuple[pd.DataFrame, pd.DataFrame, dict[SampleKey, np.ndarray]]:
    """Tidy rows of all subjects; the ROC and CMC curves behind the plots (kind `roc`: fmr and tmr, kind
    `cmc`: rank and rate under the same names); and the resamples of every pooled figure, paired over all
    subjects."""
    import pandas as pd

    rows: list[Row | dict[str, Any]] = []
    curves = []
    drawn: dict[SampleKey, np.ndarray] = {}
    for subject in plan.subjects:
        if subject.score not in outcome.done:
            rows.append(_lost(plan, subject, outcome))
            continue
        artefact = store.load(outcome.done[subject.score])
        found = [Row(**row) for row in artefact.facts["rows"]]
        rows += found
        for row in found:
            if (name := f"samples:{sample_name(row)}") in artefact.arrays:
                drawn[sample_key(row)] = artefact.arrays[name]
        curves += [
            _curve(subject, name, points)
            for name, points in artefact.arrays.items()
            if not name.startswith("samples:")
        ]
    for missing in plan.missing:
        rows.append(
            Row(
                method=missing.name if missing.kind == "method" else "",
                variant="",
                method_role="",
                dataset=plan.dataset.id,
                metric="",
                value=None,
                component_kind=missing.kind,
                component=missing.name,
                status=UNAVAILABLE,
                reason=f"{missing.reason}; {missing.remedy}",
            )
        )
    joined = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(_CURVE_COLUMNS))
    return to_frame(rows), joined, drawn


def usual(plan: Plan, curves: pd.DataFrame) -> pd.DataFrame:
    """Of several label sources and seeds the first: figures show one curve an output."""
    first = curves["label_source"] == plan.config.label_source[0]
    best = first.groupby([curves["method"], curves["variant"]]).transform("max")
    return curves[(first == best) & (curves["seed"] == plan.config.seed)]


def searches(plan: Plan, curves: pd.DataFrame) -> pd.DataFrame:
    """The CMC curves among them, under the names of what they are."""
    found = usual(plan, curves[curves["kind"] == "cmc"])
    return found.rename(columns={"fmr": "rank", "tmr": "rate"})


def _curve(subject: Subject, name: str, points: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    kind, matcher, condition = name.split(":")
    values = (
        subject.method,
        subject.variant.name,
        subject.label_source,
        subject.seed,
        "roc" if kind == "curve" else kind,
        matcher,
        condition,
        points[0],
        points[1],
    )
    return pd.DataFrame(dict(zip(_CURVE_COLUMNS, values, strict=True)))


def _lost(plan: Plan, subject: Subject, outcome: Outcome) -> Row:
    return Row(
        method=subject.method,
        variant=subject.variant.name,
        method_role=subject.role,
        level=subject.level,
        dataset=plan.dataset.id,
        metric="",
        value=None,
        status=FAILED,
        reason=outcome.failures[subject.score].message,
        label_source=subject.label_source,
        seed=subject.seed,
    )


def samples(plan: Plan, outcome: Outcome, store: Store) -> dict[str, np.ndarray] | None:
    """The same few test faces under every variant; None for photographs that nobody asked to see."""
    if plan.dataset.photographs and not plan.config.show_faces:
        return None
    found = {}
    usual = (plan.config.label_source[0], plan.config.seed)
    for subject in plan.subjects:
        told = (subject.label_source, subject.seed) in (usual, ("truth", plan.config.seed))
        if told and subject.protect in outcome.done and subject.name not in found:
            images = store.load(outcome.done[subject.protect]).arrays["images"]
            rows = np.linspace(0, len(images) - 1, _SAMPLE_FACES).astype(int)
            found[subject.name] = images[rows]
    return found
