"""The evaluation of Li et al., adaptive obfuscation of facial attributes (ACM Multimedia 2021, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.protocols.definition import Item, Protocol
from bench.report.paper_tables import BEFORE, Quantity, Sheet, Subject, frame
from bench.report.tables import ORIGINAL_PROTECTED

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("hair", "eyebrows", "eyes", "nose", "mouth")
COUNTS = (1, 2, 3, 4)
MATCHERS = {"arcface": "ArcFace", "se_resnet": "VGG Face", "cosface": "CosFace"}
"""Our matchers and the names of Tables 3 and 4, in their order."""

POINTS = {"0.01": "fmr=0.01", "0.1": "fmr=0.1"}


def outputs(count: int) -> list[str]:
    """The variants of `stargan` that change `count` parts."""
    return ["+".join(parts) for parts in combinations(PARTS, count)]


def _subjects(method: str) -> dict[str, list[Subject]]:
    """Columns of the tables: 1 to 4 parts, adaptive. With StarGAN every combination of as many parts."""
    if method == "stargan":
        return {f"{k}_parts": [("stargan", name) for name in outputs(k)] for k in COUNTS}
    return {f"{k}_parts": [(method, f"k={k}")] for k in COUNTS} | {"adaptive": [(method, "adaptive")]}


def _cell(get: Callable[[Subject], Quantity], subjects: list[Subject]) -> Quantity:
    """The figure of one variant, or the mean over several, which has no interval; unknown unless all are."""
    found = [get(who) for who in subjects]
    if len(found) == 1:
        return found[0]
    return Quantity(float(np.mean([q.value for q in found])))


def _table_2(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    lines: list[dict[str, Any]] = []
    for name, method in (("StarGAN", "stargan"), ("Li et al.", "li_mm21")):
        line: dict[str, Any] = {}
        for column, subjects in _subjects(method).items():
            for metric in ("lpips", "fid"):
                quantity = _cell(partial(sheet.quality, metric), subjects)
                line |= quantity.columns(f"{column}_{metric}")
        if any(value == value for value in line.values()):
            lines.append({"method": name, "dataset": " + ".join(sheet.datasets), **line})
    return frame(lines)


def _tables_3_4(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    lines: list[dict[str, Any]] = []
    columns = {"original": [BEFORE]} | _subjects("li_mm21")
    for matcher in sheet.matchers(list(MATCHERS)) or sheet.matchers():
        line: dict[str, Any] = {}
        measured = False
        for column, (who,) in columns.items():
            for far, point in POINTS.items():
                quantity = sheet.get("tmr", who, component=matcher, condition=ORIGINAL_PROTECTED, point=point)
                line |= quantity.columns(f"{column}_tar_at_far_{far}")
                measured |= quantity.known and who != BEFORE
        if measured:
            named = {"matcher": MATCHERS.get(matcher, matcher), "dataset": " + ".join(sheet.datasets)}
            lines.append(named | line)
    return frame(lines)


PROTOCOL = Protocol(
    title="Li et al., Adaptively Facial Attributes Obfuscation (ACM Multimedia 2021)",
    settings={
        "methods": (
            *(f"li_mm21:k={k}" for k in COUNTS),
            "li_mm21:adaptive",
            *(f"stargan:{name}" for k in COUNTS for name in outputs(k)),
        ),
        "attackers": ("svm",),
        "matchers": tuple(sorted(MATCHERS)),
        "extractors": ("se_resnet",),
        "attributes": ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips"),
        "pairs": "1000/2000",
    },
    items=(
        Item(
            "table_2",
            "Table 2: LPIPS and FID against the number of obfuscated parts",
            _table_2,
            "LPIPS or FID of li_mm21:k=1..4 or li_mm21:adaptive, or of every stargan output of some count",
        ),
        Item(
            "tables_3_4",
            "Tables 3 and 4: TAR at FAR 0.01 and 0.1 (VGGFace2 and CelebA)",
            _tables_3_4,
            "TMR at FMR 1 % or 10 % of li_mm21, original against protected",
        ),
    ),
    absent={
        "Table 5": "it is a study with 25 people",
        "Figures 4 to 6": "example faces are in the report's own sheet of faces",
    },
    notes=(
        "Mated pairs are two photos of one person; in the authors' code they are a photo and its own edited "
        "copy, which is far easier. VGGFace2 has 500 and 1,000 pairs in the paper: `--set pairs=500/1000`.",
        "LPIPS is from the original; in the authors' code it is the mean distance among one face's outputs.",
        "The paper attacks no attribute; one attacker keeps the lines of the leaderboard.",
    ),
)
