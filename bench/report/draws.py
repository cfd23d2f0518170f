"""The pooled figures of a run in every resample, as one compact file beside its rows.

Two figures of one draw of people differ by what the methods do and not by who was drawn: `compare` subtracts
them resample by resample.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.outside import parquet_table
from bench.report.contrast import is_contrasted
from bench.scoring.rows import SampleKey

DRAWS = "resamples.parquet"
_FIGURES = "figures"


def draws_file(drawn: Mapping[SampleKey, NDArray[np.float64]]) -> bytes:
    """A Parquet file with the columns of `SampleKey` and `figures`, float32 (B,), NaN where undefined: of
    those that are compared.

    Seven digits are far below what a thousand resamples can tell apart. Equal inputs give equal bytes.
    """
    import pyarrow as pa
    from pyarrow import parquet

    ordered = sorted(key for key in drawn if is_contrasted(key))
    columns = {name: pa.array([getattr(k, name) for k in ordered], _type(name)) for name in SampleKey._fields}
    figures = [np.asarray(drawn[key], np.float32) for key in ordered]
    columns[_FIGURES] = pa.array(figures, pa.list_(pa.float32()))
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def read_draws(path: Path) -> dict[SampleKey, NDArray[np.float32]]:
    """What `draws_file` wrote. Raises InputError for a file that is none."""
    import pyarrow as pa

    try:
        table = parquet_table(path)
        keys = zip(*(table[name].to_pylist() for name in SampleKey._fields), strict=True)
        figures = [
            np.asarray(one.values.to_numpy(zero_copy_only=False), np.float32) for one in table[_FIGURES]
        ]
    except (InputError, KeyError, TypeError, AttributeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} holds no resamples: {error}; repeat the run's command") from error
    return dict(zip(map(SampleKey._make, keys), figures, strict=True))


def _type(name: str) -> Any:
    import pyarrow as pa

    return pa.int64() if name == "seed" else pa.string()
