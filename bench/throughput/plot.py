"""The roofline figure: what each row reaches, under what its device can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.throughput.anchors import Anchors

STEM = "roofline"


def roofline(table: Path, anchors: Anchors, folder: Path) -> list[Path]:
    """Write `roofline.png` and `.svg` of the rows in `table` that count operations; none: no figure.

    Across: operations for each byte that convolutions and products must move. Up: operations a second, the
    largest batch of each component on its fastest path and its peer.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import pandas as pd
    import seaborn as sns

    rows = pd.read_csv(table)
    rows = rows[(rows["status"] == "ok") & rows["tflops"].notna() & (rows["moved_mb"] > 0)]
    if rows.empty:
        return []
    rows = _shown(rows)
    figure, axes = plt.subplots(figsize=(10, 6.5), layout="constrained")
    sns.scatterplot(
        rows, x="intensity", y="tflops", hue="component", style="shown", s=70, ax=axes, palette="tab20"
    )
    _draw_roofs(axes, rows, anchors)
    axes.set(xscale="log", yscale="log", xlabel="FLOP a byte moved", ylabel="TFLOP/s")
    axes.set_title(f"{rows['where'].iloc[0]}: reached, and what products and copies reach")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, frameon=False)
    written = [folder / f"{STEM}.{kind}" for kind in ("png", "svg")]
    for path in written:
        figure.savefig(path, dpi=150)
    plt.close(figure)
    return written


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The peer and the fastest row of each component, with the columns that the figure needs."""
    rows = rows.assign(
        component=rows["kind"] + " " + rows["name"],
        intensity=rows["gflop"] * 1e3 / rows["moved_mb"],
        where=rows["accelerator"].astype(object).fillna(rows["processor"]),
    )
    peers = rows[rows["path"] == "peer"].assign(shown="papers' style")
    others = rows[rows["path"] != "peer"]
    fastest = others.loc[others.groupby("component")["per_second"].idxmax()].assign(shown="fastest")
    import pandas as pd

    return pd.concat([peers, fastest])


def _draw_roofs(axes: Any, rows: pd.DataFrame, anchors: Anchors) -> None:
    """min(product, copy x intensity) of each precision that a row is held against."""
    import numpy as np

    low, high = rows["intensity"].min() / 3, rows["intensity"].max() * 3
    across = np.geomspace(low, high, 200)
    for unit, dashes in zip(anchors.gemm, ("-", "--", ":"), strict=False):
        if unit in set(rows["unit"]):
            roof = np.minimum(anchors.gemm[unit], anchors.copy * across) / 1e12
            axes.plot(across, roof, dashes, color="#555555", linewidth=1.2, label=f"roof, {unit}")
