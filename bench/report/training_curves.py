"""Loss curves of trained methods: a CSV and a figure of small panels for each.

<folder>/<method>[-<part>].csv     columns step, loss, value
<folder>/<method>[-<part>].png     one panel a loss
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.files import write_atomically
from bench.report.print_style import figure_style, render
from bench.report.style import CONTROL_COLOUR, Look, slug
from bench.report.tables import csv_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("step", "loss", "value")
_MOST_COLUMNS = 4


@dataclass(frozen=True)
class Training:
    """How one training went.

    curves: loss -> its means over equal stretches of the training, in order.
    steps: of the whole training; None where unknown: the CSV's step is then empty.
    """

    method: str
    part: str
    curves: Mapping[str, Sequence[float]]
    steps: int | None = None

    @property
    def name(self) -> str:
        return f"{self.method}-{self.part}" if self.part else self.method


def write_training_curves(
    folder: Path, trainings: Sequence[Training], looks: Mapping[str, Look]
) -> list[Path]:
    """Write the curves of `trainings` into `folder` and return the files; equal inputs give equal bytes.

    looks: colour of each method, grey for those it lacks. A training whose files are there with the same
    curves is left alone, and files of other trainings stay: they may be of another command.
    """
    written = []
    for training in trainings:
        if not training.curves:
            continue
        table = folder / f"{slug(training.name)}.csv"
        picture = table.with_suffix(".png")
        frame = curve_table(training)
        data = csv_text(frame, digits=None).encode()
        written += [table, picture]
        if picture.is_file() and table.is_file() and table.read_bytes() == data:
            continue
        colour = looks[training.method].colour if training.method in looks else CONTROL_COLOUR
        # The table comes last: it is what tells the next call that both are there.
        write_atomically(picture, render(training_figure(training, frame, colour), "png"))
        write_atomically(table, data)
    return written


def curve_table(training: Training) -> pd.DataFrame:
    """Columns step (the last one that a mean covers), loss, value; in order of loss, then step."""
    import pandas as pd

    parts = []
    for loss, values in training.curves.items():
        part = pd.DataFrame({"step": pd.NA, "loss": loss, "value": np.asarray(values, np.float64)})
        if training.steps is not None:
            part["step"] = np.round(_ends(len(values)) * training.steps).astype(np.int64)
        parts.append(part.astype({"step": "Int64"}))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def training_figure(training: Training, table: pd.DataFrame, colour: str) -> Figure:
    """One panel a loss, over the steps of the training. table: what `curve_table` returned for it."""
    from matplotlib.figure import Figure

    with figure_style():
        losses = list(training.curves)
        columns = min(_MOST_COLUMNS, len(losses))
        rows = -(-len(losses) // columns)
        width, height = 0.35 + 1.95 * columns, 0.8 + 1.45 * rows
        figure = Figure(figsize=(width, height), dpi=100)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.55 / width,
            right=1 - 0.15 / width,
            top=1 - 0.6 / height,
            bottom=0.45 / height,
            wspace=0.36,
            hspace=0.48,
        )
        for axes, loss in zip(grid, losses, strict=False):
            _panel(axes, table[table["loss"] == loss], training.steps, colour)
            axes.set_title(loss, fontsize=8)
        for axes in grid[len(losses) :]:
            axes.set_axis_off()
        label = "step" if training.steps is not None else "share of the training"
        figure.supxlabel(label, fontsize=8.5, y=0.08 / height)
        title = f"{training.name}: training losses"
        figure.text(0.1 / width, 1 - 0.1 / height, title, ha="left", va="top", fontsize=9, fontweight="bold")
        return figure


def _panel(axes: Axes, table: pd.DataFrame, steps: int | None, colour: str) -> None:
    import seaborn as sns

    whole = steps or 1
    sns.lineplot(
        x=whole * _ends(len(table)), y=table["value"].to_numpy(), ax=axes, color=colour, lw=1.2, errorbar=None
    )
    axes.set(xlim=(0, whole), xlabel="", ylabel="")
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=6.6, pad=1, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _ends(count: int) -> NDArray[np.float64]:
    """Where the stretches of a training cut into `count` end, as shares of it."""
    return (np.arange(count) + 1) / count
