"""The tidy table: one measured value a row. Every number the project publishes lives here first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

SCHEMA_VERSION = 3
ORIGINAL = "original"
"""The control that protects nothing; every figure is held against its own."""
OK, FAILED, UNAVAILABLE, UNDEFINED = "ok", "failed", "unavailable", "undefined"


@dataclass(frozen=True)
class Row:
    """One value with everything needed to read it. What does not apply is None, never 0.

    method, variant: as typed, `privacynet` and `gender+race`. method_role: `method` or `control`.
    attribute: what is measured; None for whole-image metrics. role: `obfuscated` or `kept` by this variant.
    label_source: whose labels the method was told. threat: rung of the attackers' ladder, or `worst` of all;
        see `bench.ladder`.
    component_kind, component: `attacker` `svm@se_resnet`, `matcher` `arcface`, `quality` and its recipe; the
        component `pool` stands for all unseen ones: their mean, or the worst of them for `leak`.
    seen: the component was trained against; such rows stay out of every headline.
    metric: see `bench.report.tables.METRICS`. condition: which side of a comparison is protected
        (`original-original`, `original-protected`, `protected-protected`). policy: the threshold is `reset`
        on the scores at hand or `fixed` on the originals'. operating_point: `fmr=0.01`.
    value, ci_low, ci_high: the figure and its 95 % interval over identities. n: samples or comparisons.
    n_failed: samples that could not be processed. status: `ok`, `failed`, `unavailable`, or `undefined` (no
        value on these data); reason: why.
    flags: space-separated. higher_is: `better`, `worse` or `neither` for who wants privacy and matching.
    reported: the figure a paper prints for the same quantity. cell: key of the work behind the value.
    """

    method: str
    variant: str
    method_role: str
    dataset: str
    metric: str
    value: float | None
    level: str = "image"
    attribute: str | None = None
    role: str | None = None
    label_source: str | None = "truth"
    threat: str | None = None
    component_kind: str | None = None
    component: str | None = None
    seen: bool = False
    condition: str | None = None
    policy: str | None = None
    operating_point: str | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    n_failed: int | None = None
    seed: int = 0
    status: str = OK
    reason: str | None = None
    flags: str = ""
    unit: str | None = None
    higher_is: str = "neither"
    reported: float | None = None
    cell: str | None = None


COLUMNS = tuple(f.name for f in fields(Row))
_INTEGERS = ("n", "n_failed", "seed")
_FLOATS = ("value", "ci_low", "ci_high", "reported")
_BOOLEANS = ("seen",)


def to_frame(rows: Iterable[Row | dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table with fixed columns and types; absent is <NA> or NaN."""
    import pandas as pd

    records = [asdict(r) if isinstance(r, Row) else r for r in rows]
    table = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    types: dict[str, Any] = dict.fromkeys(COLUMNS, "string")
    types |= dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(_FLOATS, "float64")
    types |= dict.fromkeys(_BOOLEANS, "bool")
    return table.astype(types)


def read_rows(path: Path) -> pd.DataFrame:
    """The rows in a Parquet file, which others may have made. Raises InputError for what is no such file, and
    for a column of `COLUMNS` with values of another type; which columns must be there is the caller's to say.
    """
    from pandas.api import types

    from bench.errors import InputError
    from bench.outside import read_parquet

    table = read_parquet(path)
    for name in (name for name in COLUMNS if name in table.columns):
        column = table[name].dropna()
        if name in _BOOLEANS:
            fits = types.is_bool_dtype(column.dtype)
        elif name in (*_INTEGERS, *_FLOATS):
            fits = types.is_numeric_dtype(column.dtype) or column.empty
        else:
            fits = types.infer_dtype(column) in ("string", "empty", "categorical")
        if not fits:
            raise InputError(f"{path}, column {name}: {column.dtype} values; repeat the run's command")
    return table
