"""What the figures for print share: settings, sheet, title, legend, and the files they become.

Equal inputs give equal bytes: no date and no random id goes into a file. Text in an SVG stays text.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
INK, QUIET = "#23272e", "#8a9099"
FONT = 7.5


@contextmanager
def figure_style() -> Iterator[None]:
    """Settings of every figure, while it is drawn and while it is saved."""
    import matplotlib as mpl
    import seaborn as sns

    own = {
        "svg.hashsalt": "veilbench",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": QUIET,
        "grid.color": "#e4e6ea",
        "grid.linewidth": 0.6,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 8.5,
        "xtick.labelsize": FONT,
        "ytick.labelsize": FONT,
        "legend.fontsize": FONT,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    settings = {**sns.axes_style("whitegrid"), **sns.plotting_context("paper"), **own}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A name in a script that the font lacks is boxes in the PNG; the SVG and the page have the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def render(figure: Figure, kind: str) -> bytes:
    """The figure as a file of `kind`: `png` (200 dots per inch) or `svg`."""
    said: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=said)
    return buffer.getvalue()


def sheet(width: float, height: float, **margins: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    figure.subplots_adjust(**margins)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def title_of(figure: Figure, text: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, text, ha="left", va="top", fontsize=9, fontweight="bold")


def legend_of(figure: Figure, handles: Sequence[Any], x: float, y: float) -> None:
    """A column of entries below (x, y), in smaller print when there are many."""
    room = 72 * y * float(figure.get_figheight())
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(x, y),
        frameon=False,
        handlelength=1.4,
        handletextpad=0.4,
        fontsize=min(FONT, room / (1.6 * len(handles))),
    )


def shortened(name: str, width: int = 24) -> str:
    return textwrap.shorten(name, width, placeholder="…") if " " in name else name[:width]
