"""Puts the figures that papers print beside the measured ones.

`published.csv` holds every figure of the five papers' tables as printed, a row each. Its columns:

- paper ... source: the figure as printed; percentages are stored as shares.
- misprint: what is wrong with it, `misprint: ...` where a recomputation proves it, else `doubtful: ...`.
- our_dataset ... our_condition: which rows measure it here. `our_dataset` may join names with `+` (a figure
  over several test sets); `our_variant` and `our_component` are patterns (`svm@*`: an SVM on any embedding).
- agreement: `same` if dataset, metric and operating point agree and the component is of the same kind, or is
  the pool of unseen matchers in place of a commercial one; `stand-in` if another attribute classifier takes
  the place of one that cannot be had; `differs` if the quantity is another one or the figure is approximate;
  empty if nothing here measures it.
- remark: what a reader of both figures must know.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import InputError
from bench.results import OK

if TYPE_CHECKING:
    import pandas as pd

SAME, STAND_IN, DIFFERS = "same", "stand-in", "differs"
ERROR_RATE = "error_rate"
"""The one metric that is converted: accuracy = 1 - error rate is the same quantity."""

BESIDE = {
    "paper": "Paper and year.",
    "source": "Table, figure or section that prints the figure.",
    "dataset": "Dataset, of both figures.",
    "method": "Method as it is called here.",
    "variant": "Variant as it is called here.",
    "quantity": "Metric, operating point, attribute, and the paper's own component.",
    "reported": "The paper's figure, errors turned into accuracies.",
    "measured": "The figure measured here.",
    "ci_low": "Lower end of its 95 % interval.",
    "ci_high": "Upper end of its 95 % interval.",
    "component": "Component that measured it here.",
    "seed": "Seed of the run.",
    "agreement": "same, stand-in, or differs: two figures that differ in kind are shown and never joined.",
    "note": "What to know before the two are compared, misprints first.",
}
"""Columns of the table `beside`, in order."""

_EXACT = ("dataset", "method", "metric", "attribute", "operating_point", "condition")
_READ = (*_EXACT, "variant", "component", "value", "status", "level", "label_source", "threat", "policy")
_REPORTED, _PRINTED = "_reported", "_printed"


def published() -> pd.DataFrame:
    """Every figure that the papers print: the columns above; text columns without a missing value."""
    import pandas as pd

    with files("bench.papers").joinpath("published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, keep_default_na=False, dtype=str)
    return table.astype({"value": "float64"})


def with_reported(rows: pd.DataFrame, *, stand_ins: bool = False) -> pd.DataFrame:
    """The rows with `reported` filled where a paper prints the same quantity.

    rows: a table as `bench.results.to_frame` makes it. The rule: dataset, method, variant, attribute, metric,
    condition and operating point agree, the threat is the papers' (`static`, labels from the truth,
    thresholds set anew), and the component is of the same kind (`agreement` is `same`). `stand_ins`: also
    where another classifier takes the place of one that cannot be had. Approximate figures, figures over
    several datasets and other quantities of the same name are never joined. Rows of made-up faces have no
    published counterpart. Raises InputError for a missing column.
    """
    wanted = (SAME, STAND_IN) if stand_ins else (SAME,)
    found = _matches(rows)
    found = found[found["agreement"].isin(wanted)].drop_duplicates("_row")
    filled = rows.copy()
    values = filled["reported"].to_numpy(np.float64, copy=True)
    values[found["_row"].to_numpy()] = found[_REPORTED].to_numpy(np.float64)
    filled["reported"] = values
    return filled


def beside(rows: pd.DataFrame) -> pd.DataFrame:
    """Every measured figure that has a published counterpart on the same dataset, with the columns `BESIDE`.

    Also pairs that must not be joined, with the reason in `note`. Raises InputError for a missing column.
    """
    found = _matches(rows).sort_values([_PRINTED, "_row"], kind="stable")
    # A table prints the originals' figure once for each method of its own.
    found = found.drop_duplicates(["_row", "paper", "source", "quantity", _REPORTED])
    measured = rows.iloc[found["_row"].to_numpy()].reset_index(drop=True)
    table = found.reset_index(drop=True)
    for name in ("dataset", "method", "variant", "ci_low", "ci_high", "component", "seed"):
        table[name] = measured[name]
    table["measured"] = measured["value"]
    table["reported"] = table[_REPORTED]
    return table[list(BESIDE)]


def _matches(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of measured row (`_row`, its place) and printed figure (`_printed`, its place)."""
    if missing := [name for name in (*_READ, "reported") if name not in rows.columns]:
        raise InputError(f"the rows lack {', '.join(missing)}; pass a table made by bench.results.to_frame")
    measured = rows[list(_READ)].assign(_row=np.arange(len(rows)))
    text = [c for c in _READ if c != "value"]
    measured[text] = measured[text].astype("string").fillna("").astype(object)
    setting = (measured["status"] == OK) & rows["value"].notna().to_numpy() & (measured["level"] == "image")
    setting &= measured["label_source"].isin(["", "truth"]) & measured["policy"].isin(["", "reset"])
    setting &= measured["threat"].isin(["", "static"])
    pairs = measured[setting].merge(_printed(), on=list(_EXACT))
    fits = [
        fnmatchcase(variant, variants) and fnmatchcase(component, components)
        for variant, variants, component, components in pairs[
            ["variant", "our_variant", "component", "our_component"]
        ].itertuples(index=False)
    ]
    return pairs[np.array(fits, dtype=bool)]


def _printed() -> pd.DataFrame:
    """The printed figures that something here measures, one line a dataset, under our names."""
    table = published()
    table = table[table["agreement"] != ""]
    datasets = table["our_dataset"].str.split("+")
    printed = table.assign(_printed=table.index, dataset=datasets).explode("dataset")
    error = printed["metric"] == ERROR_RATE
    printed[_REPORTED] = printed["value"].where(~error, (1 - printed["value"]).round(6))
    printed["quantity"] = [_quantity(line) for line in printed.to_dict("records")]
    printed["note"] = [
        "; ".join(filter(None, both)) for both in zip(printed["misprint"], printed["remark"], strict=True)
    ]
    for name in _EXACT[1:]:
        printed[name] = printed[f"our_{name}"]
    kept = ["our_variant", "our_component", "paper", "source", "quantity", "agreement", "note"]
    return printed[[*_EXACT, *kept, _REPORTED, _PRINTED]]


def _quantity(line: Mapping[Hashable, Any]) -> str:
    point = f" at {line['our_operating_point']}" if line["our_operating_point"] else ""
    of = f" of {line['our_attribute']}" if line["our_attribute"] else ""
    by = "" if line["component"] == line["metric"] else f", {line['component']}"
    return f"{line['our_metric']}{point}{of}{by}"
