"""Verification on Labeled Faces in the Wild, View 2: the official ten folds (Huang et al. 2007)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.protocols.definition import Item, Protocol
from bench.report.paper_figures import QUIET, ROC, Drawing, curve_bands, curve_figure
from bench.report.paper_tables import BEFORE, Sheet, frame
from bench.report.tables import ORIGINAL_ORIGINAL, POOL
from bench.results import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "accuracy": ("verification_accuracy", "folds=10"),
    "auc": ("auc", ""),
    "eer": ("eer", ""),
    "tmr_at_fmr_0.1": ("tmr", "fmr=0.1"),
    "tmr_at_fmr_0.01": ("tmr", "fmr=0.01"),
}


def _table(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, AUC, EER and TMR of every matcher, and their mean, on the originals."""
    lines: list[dict[str, Any]] = []
    for matcher in (*sheet.matchers(), POOL):
        found = {
            name: sheet.get(metric, BEFORE, component=matcher, condition=ORIGINAL_ORIGINAL, point=point)
            for name, (metric, point) in _COLUMNS.items()
        }
        if not found["accuracy"].known:
            continue
        line: dict[str, Any] = {"matcher": matcher}
        for name, quantity in found.items():
            line |= {name: quantity.value, f"{name}_low": quantity.low, f"{name}_high": quantity.high}
        lines.append(line)
    return frame(lines)


def _figure(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
    originals = (curves["method"] == ORIGINAL) & (curves["condition"] == ORIGINAL_ORIGINAL)
    bands = curve_bands(curves, ROC, [("Originals", QUIET, (), originals)])
    return curve_figure(bands, ROC, title="LFW View 2, mean over matchers")


PROTOCOL = Protocol(
    title="LFW View 2 (Huang, Ramesh, Berg, Learned-Miller, 2007)",
    settings={
        "dataset": "lfw",
        "dataset_options": {"pools": "view2"},
        # Where a face is as large as in the published 250 px photographs, resampling costs least.
        "size": 224,
        "pairs": "published",
        "methods": (ORIGINAL,),
        "attackers": (),
        "quality_images": 0,
    },
    items=(
        Item(
            "view_2",
            "6,000 pairs: accuracy over ten folds, AUC, EER, TMR",
            _table,
            "a matcher's comparisons of the published pairs",
        ),
        Item("roc", "ROC over the 6,000 pairs", _figure, "ROC curves of the originals"),
    ),
    absent={},
    notes=(
        "Each fold is decided at the threshold that is best on the nine others. Matchers are used as they "
        "were published and learn nothing from LFW (unrestricted, labelled outside data).",
        "Faces are found, aligned and brought to the run's size like those of every dataset; a photograph "
        "without a face found is a failure to acquire: its pairs are counted and left out.",
    ),
)
