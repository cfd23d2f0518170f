"""The evaluation of PrivacyNet (Mirjalili, Raschka, Ross, IEEE TIP 2020, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.protocols.definition import Item, Protocol
from bench.report.paper_figures import (
    BLUE,
    CMC,
    GREEN,
    ORANGE,
    PURPLE,
    QUIET,
    ROC,
    Bar,
    Drawing,
    Entry,
    bars,
    curve_bands,
    curve_figure,
)
from bench.report.paper_tables import BEFORE, WEAK, Quantity, Sheet, Subject
from bench.report.tables import ORIGINAL_ORIGINAL, ORIGINAL_PROTECTED, POOL
from bench.results import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

_AGE_COLOURS = {"0": GREEN, "1": PURPLE, "2": ORANGE}
_AGES = ("", "age0", "age1", "age2")
OUTPUTS = tuple(
    "+".join(filter(None, (gender, race, age)))
    for gender, race in (("", ""), ("gender", ""), ("", "race"), ("gender", "race"))
    for age in _AGES
    if gender or race or age
)
"""The fifteen outputs, by what they change: gender or not, race or not, one of three ages or none."""

MIXED = ("face_mixing", "a=0.5")
_RIVALS = (
    ("PrivacyNet", "privacynet", BLUE, ()),
    ("baseline-GAN", "baseline_gan", ORANGE, (4.0, 1.5)),
    ("face mixing", "face_mixing", GREEN, (1.0, 1.2)),
    ("controllable face privacy", "mmda", PURPLE, (5.0, 1.5, 1.0, 1.5)),
)


def short(output: str) -> str:
    """`GRA2` for `gender+race+age2`, as the paper's axes name its outputs."""
    return output.replace("gender", "G").replace("race", "R").replace("age", "A").replace("+", "")


def _error_rates(attribute: str) -> Item:
    """Figures 5 and 6: EER of every attacker on the originals and on every output."""
    number = {"gender": 5, "race": 6}[attribute]

    def make(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
        panels: dict[str, list[Bar]] = {}
        for attacker in sheet.attackers(attribute=attribute):

            def eer(subject: Subject, attacker: str = attacker) -> Quantity:
                return sheet.get("eer", subject, component=attacker, attribute=attribute)

            panels[attacker] = [Bar("Orig.", "original", QUIET, eer(BEFORE))]
            for output in OUTPUTS:
                changed = attribute in output.split("+")
                series, colour = ("perturbed", ORANGE) if changed else ("kept", BLUE)
                named = f"{attribute} {series}"
                panels[attacker].append(Bar(short(output), named, colour, eer(("privacynet", output))))
            if attribute == "gender":
                panels[attacker].append(Bar("mixing", "face mixing", GREEN, eer(MIXED)))
        panels = {
            a: [b for b in found if b.quantity.known]
            for a, found in panels.items()
            if any(b.quantity.known and b.label not in ("Orig.", "mixing") for b in found)
        }
        title = f"{attribute.capitalize()}: EER of unseen classifiers on every output (0.5 is chance)"
        return bars(panels, title=title, ylabel="EER", level=0.5)

    return Item(
        f"figure_{number}",
        f"Figure {number}: EER of {attribute} classifiers on every output",
        make,
        f"EER of {attribute} on outputs of privacynet under an attacker that reads the originals",
    )


def _age_errors() -> Item:
    """Figure 7: mean absolute error in years of every estimator on the originals and on every output.

    Against the truth where the dataset says how old people are, and then without estimators that cannot
    read originals; else against the estimator's own answers on the originals, as the paper does.
    """

    def make(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
        truth = any(sheet.get("mae", BEFORE, component=a, attribute="age").known for a in sheet.attackers())
        metric = "mae" if truth else "mae_shift"
        chance = sheet.get("mae_chance", BEFORE, component=POOL, attribute="age")
        panels: dict[str, list[Bar]] = {}
        for attacker in sheet.attackers():

            def years(subject: Subject, attacker: str = attacker) -> Quantity:
                return sheet.get(metric, subject, component=attacker, attribute="age")

            before = years(BEFORE)
            if not before.known or WEAK in before.flags.split():
                continue
            found = [Bar("Orig.", "original", QUIET, before)] if truth else []
            for output in OUTPUTS:
                age = output[-1] if "age" in output else ""
                series, colour = (f"A{age} asked for", _AGE_COLOURS[age]) if age else ("age kept", BLUE)
                found.append(Bar(short(output), series, colour, years(("privacynet", output))))
            if any(bar.quantity.known and bar.label != "Orig." for bar in found):
                panels[attacker] = [bar for bar in found if bar.quantity.known]
        against = "the true age" if truth else "the estimate on the original"
        title = f"Age: mean absolute error against {against} on every output"
        level = chance.value if truth and chance.known else None
        return bars(panels, title=title, ylabel="MAE (years)", level=level)

    return Item(
        "figure_7",
        "Figure 7: mean absolute error of age on every output",
        make,
        "age estimates of an attacker on the originals and on outputs of privacynet",
    )


def _matching(kind: str) -> Item:
    """Figures 8 and 9: the band from the worst to the best output at every FMR or rank."""
    number, name = (8, "ROC") if kind == ROC else (9, "CMC")

    def make(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
        method, condition = curves["method"], curves["condition"]
        original = (method == ORIGINAL) & (condition == ORIGINAL_ORIGINAL)
        entries: list[Entry] = [("Original", QUIET, (), original)]
        for label, rival, colour, dashes in _RIVALS:
            mine = (method == rival) & (condition == ORIGINAL_PROTECTED)
            entries.append((label, colour, dashes, mine))
        title = f"{name}: original against protected, band over each method's outputs"
        return curve_figure(curve_bands(curves, kind, entries), kind, title=title)

    return Item(
        f"figure_{number}",
        f"Figure {number}: {name} bands over the outputs",
        make,
        f"{name} curves of privacynet, original against protected",
    )


PROTOCOL = Protocol(
    title="PrivacyNet (Mirjalili, Raschka, Ross, IEEE Transactions on Image Processing 2020)",
    settings={
        "methods": ("privacynet", "baseline_gan", "face_mixing:a=0.5", "mmda"),
        "variants": "all",
        "attackers": ("default",),
        "matchers": ("default", "se_resnet"),
        "extractors": ("default",),
        "attributes": ("default",),
    },
    items=(_error_rates("gender"), _error_rates("race"), _age_errors(), _matching(ROC), _matching(CMC)),
    absent={
        "Figure 4": "example faces are in the report's own sheet of faces",
    },
    notes=(
        "The commercial classifiers, age estimator and matcher, AFFACT and IntraFace cannot be had; every "
        "unseen attacker that reads the originals has a panel in their place.",
        "Bars are missing where a figure was not measured: age and race cannot be perturbed on a dataset "
        "that does not label them, and attributes that an output keeps have no EER unless scored.",
        "EER above 0.5 is an inverted classifier, not more privacy.",
    ),
)
