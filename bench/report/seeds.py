"""How much the figures of a run move when everything is trained again with another seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.metrics.uncertainty import seed_spread

if TYPE_CHECKING:
    import pandas as pd

_LINE = ("dataset", "level", "attribute", "label_source", "method", "variant")
_FIGURES = ("leak", "leak_static", "leak_aware", "reduction", "tmr", "tmr_kept")
COLUMNS = (*_LINE, "figure", "seeds", "mean", "sd", "low", "high")


def seed_table(board: pd.DataFrame) -> pd.DataFrame:
    """One line per leaderboard line and figure: mean and standard deviation over the seeds, and the 95 %
    interval of the mean (Student's t), on the same test people.

    It stands beside the interval over identities, which says nothing of training again. A figure that fewer
    than two seeds have is left out.
    """
    import pandas as pd

    lines = []
    for key, group in board.groupby(list(_LINE), dropna=False, sort=True):
        for figure in _FIGURES:
            values = group[figure].to_numpy(np.float64)
            values = values[np.isfinite(values)]
            if len(values) > 1:
                lines.append((*key, figure, len(values), *seed_spread(values)))
    return pd.DataFrame.from_records(lines, columns=list(COLUMNS))
