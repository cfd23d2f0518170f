"""The evaluation of Gender-AN (Tang et al., IEEE Internet of Things Journal 2022, section IV)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import MetricError
from bench.metrics.privacy import reduction
from bench.protocols.definition import Item, Protocol
from bench.report.paper_figures import (
    BLUE,
    ORANGE,
    QUIET,
    RED,
    ROC,
    Bar,
    Drawing,
    Entry,
    bars,
    curve_bands,
    curve_figure,
)
from bench.report.paper_tables import BEFORE, Quantity, Sheet, Subject, frame
from bench.report.tables import ORIGINAL_ORIGINAL, PROTECTED_PROTECTED
from bench.results import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

CLASSIFIERS = {"svm": "SVM", "random_forest": "RF", "mlp": "MLP", "knn": "KNN"}
"""Our attackers and the names of Tables III and V."""

MODELS: dict[str, tuple[Subject, str]] = {
    "PrivacyNet": (("privacynet", "gender"), RED),
    "Gender-AN": (("gender_an", "GAttrAM"), BLUE),
}
BOTH = ("gender_an", "GAttrAM-age")
COMBINATIONS = ("G", "GAttr", "GM", "GA", "GAttrM", "GAttrA", "GAM", "GAttrAM")
AUXILIARY = {"attractive": "Attractiveness", "heavy_makeup": "Heavy_Makeup", "young": "Age"}
RANDOM = 0.5


def _table_3(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    return frame([line for name, (subject, _) in MODELS.items() for line in _lines(sheet, subject, name)])


def _lines(sheet: Sheet, subject: Subject, model: str, attribute: str = "gender") -> Iterator[dict[str, Any]]:
    """R_or, R_adv and Reduction of every classifier; `reduction` is equation 9 of the two accuracies."""
    for attacker in sheet.attackers(CLASSIFIERS):
        before = sheet.get("accuracy", BEFORE, component=attacker, attribute=attribute)
        after = sheet.get("accuracy", subject, component=attacker, attribute=attribute)
        balanced = sheet.get("reduction", subject, component=attacker, attribute=attribute)
        if not after.known:
            continue
        family, _, extractor = attacker.partition("@")
        yield {
            "model": model,
            "attribute": attribute,
            "classifier": CLASSIFIERS[family],
            "embedding": extractor,
            **before.columns("r_or"),
            **after.columns("r_adv"),
            "reduction": _reduction(before, after),
            "reduction_reported": balanced.reported,
            **{k: v for k, v in balanced.columns("reduction_balanced").items() if "reported" not in k},
            "flags": after.flags,
        }


def _reduction(before: Quantity, after: Quantity) -> float:
    """Equation 9; NaN where the classifier does no better than chance on originals, or was not tried."""
    if not before.known:
        return math.nan
    try:
        return float(reduction(before.value, after.value, RANDOM))
    except MetricError:
        return math.nan


def _table_4(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    subjects = {"Original": BEFORE} | {name: subject for name, (subject, _) in MODELS.items()}
    lines = []
    for name, subject in subjects.items():
        found = {m: sheet.quality(m, subject) for m in ("lpips", "niqe", "pi")}
        if any(q.known for q in found.values()):
            columns = [q.columns(m) for m, q in found.items()]
            lines.append({"model": name, **columns[0], **columns[1], **columns[2]})
    return frame(lines)


def _table_5(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    return frame(
        [line for a in ("gender", "young") for line in _lines(sheet, BOTH, "Gender-AN, gender and age", a)]
    )


def _change(metric: str, title: str, ylabel: str, level: float | None) -> Any:
    """Figures 2 to 4: a panel an auxiliary attribute, a pair of bars a classifier."""

    def make(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
        panels = {
            label: [
                Bar(
                    _classifier(attacker),
                    model,
                    colour,
                    sheet.get(metric, subject, component=attacker, attribute=attribute),
                )
                for attacker in sheet.attackers(CLASSIFIERS)
                for model, (subject, colour) in reversed(MODELS.items())
            ]
            for attribute, label in AUXILIARY.items()
        }
        return bars(panels, title=title, ylabel=ylabel, level=level)

    return make


def _classifier(attacker: str) -> str:
    family, _, _ = attacker.partition("@")
    return CLASSIFIERS[family]


def _figure_5(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
    method, variant, condition = curves["method"], curves["variant"], curves["condition"]
    original = (method == ORIGINAL) & (condition == ORIGINAL_ORIGINAL)
    entries: list[Entry] = [("Original", QUIET, (), original)]
    for name, (subject, colour) in MODELS.items():
        mine = (method == subject[0]) & (variant == subject[1]) & (condition == PROTECTED_PROTECTED)
        entries.append((name, colour, (), mine))
    return curve_figure(curve_bands(curves, ROC, entries), ROC, title="Face matching, both faces protected")


def _figure_7(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
    attackers = sheet.attackers(CLASSIFIERS)
    if not attackers:
        return None
    found = []
    for name in COMBINATIONS:
        after = _mean(sheet, ("gender_an", name), attackers)
        if after.known:
            found.append(Bar(name, "Original", BLUE, _mean(sheet, BEFORE, attackers)))
            found.append(Bar(name, "Gender-AN", ORANGE, after))
    title = "Gender: mean accuracy of the classifiers"
    return bars({"combination of attributes": found}, title=title, ylabel="accuracy", level=RANDOM)


def _mean(sheet: Sheet, subject: Subject, attackers: list[str]) -> Quantity:
    """Mean accuracy over the classifiers, as figure 7 shows it: without an interval; unknown unless all are
    known, since means over different classifiers do not compare."""
    found = [sheet.get("accuracy", subject, component=a, attribute="gender") for a in attackers]
    return Quantity(float(np.mean([q.value for q in found])))


_KEPT = "kept attributes attractive, heavy_makeup and young of gender_an:GAttrAM or privacynet:gender"

PROTOCOL = Protocol(
    title="Gender-AN (Tang et al., IEEE Internet of Things Journal 2022)",
    settings={
        "methods": ("gender_an", "privacynet:gender"),
        "attackers": tuple(CLASSIFIERS),
        "matchers": ("arcface", "cosface", "se_resnet"),
        "extractors": ("se_resnet",),
        "attributes": ("gender", *AUXILIARY),
    },
    items=(
        Item(
            "table_3",
            "Table III: accuracy of unseen gender classifiers and Reduction",
            _table_3,
            "accuracy of gender of gender_an:GAttrAM or privacynet:gender under svm, random_forest, mlp, knn",
        ),
        Item(
            "table_4",
            "Table IV: image quality",
            _table_4,
            "LPIPS or NIQE of gender_an:GAttrAM or privacynet:gender",
        ),
        Item(
            "table_5",
            "Table V: gender and age perturbed together",
            _table_5,
            "accuracy of gender or young of gender_an:GAttrAM-age under svm, random_forest, mlp, knn",
        ),
        Item(
            "figure_2",
            "Figure 2: change of accuracy of auxiliary attributes",
            _change("cac", "Auxiliary attributes: R_or - R_adv", "CAC", 0.0),
            _KEPT,
        ),
        Item(
            "figure_3",
            "Figure 3: mean squared change of auxiliary attribute vectors",
            _change("attribute_mse", "Auxiliary attributes: MSE before and after", "MSE", None),
            _KEPT,
        ),
        Item(
            "figure_4",
            "Figure 4: cross-entropy of auxiliary attribute vectors",
            _change("attribute_cross_entropy", "Auxiliary attributes: cross-entropy", "nats", None),
            _KEPT,
        ),
        Item(
            "figure_5",
            "Figure 5: ROC of face matchers",
            _figure_5,
            "curves of gender_an:GAttrAM or privacynet:gender, protected against protected",
        ),
        Item(
            "figure_7",
            "Figure 7: mean accuracy on eight combinations of attributes",
            _figure_7,
            "accuracy of gender of outputs of gender_an; all eight come with `--variants all`",
        ),
    ),
    absent={
        "Figure 6": "example faces are in the report's own sheet of faces",
        "Figure 7, half-way bars": "a method keeps the weights it chose, not those at half of its training",
    },
    notes=(
        "Classifiers read embeddings of a network that Gender-AN is not trained against; the paper's read "
        "those of the very network that it is.",
        "`reduction` is equation 9 of plain accuracies with chance 0.5, as printed; `reduction_balanced` is "
        "of balanced accuracies, which alone makes 0.5 the chance level of unequal classes.",
        "CAC is of balanced accuracies. The paper does not state its pairs; all pairs are compared.",
    ),
)
