"""What a protocol is: the settings of a paper's evaluation, and its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.report.paper_figures import Drawing
from bench.report.paper_tables import Sheet

if TYPE_CHECKING:
    import pandas as pd

Curves = Any
"""A table of curves: method, variant, matcher, condition, fmr, tmr, and kind (`roc` or `cmc`)."""


class Item(NamedTuple):
    """A table or figure of a paper. stem: its file name. title: what the paper calls it, and what it shows.

    make: gives the table, or the figure with its numbers; None or an empty table if the rows lack what it
    shows. needs: what must be measured for it.
    """

    stem: str
    title: str
    make: Callable[[Sheet, pd.DataFrame], pd.DataFrame | Drawing | None]
    needs: str


ALL_PAPERS: Mapping[str, Any] = {"label_source": ("truth",), "threats": (), "pairs": "all"}
"""What no paper does otherwise unless its protocol says so: true labels, static attackers, all pairs."""


@dataclass(frozen=True)
class Protocol:
    """title: paper. settings: keys of `bench.config.RunConfig` and their values beside `ALL_PAPERS`. items:
    in the paper's order.

    absent: tables and figures of the paper that cannot be made here, and why. notes: where the evaluation
    must differ from the paper's.
    """

    title: str
    settings: Mapping[str, Any]
    items: tuple[Item, ...]
    absent: Mapping[str, str]
    notes: tuple[str, ...]
