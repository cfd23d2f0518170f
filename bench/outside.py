"""Reads small files that others made: regular ones of bounded size, and formats that run no code.

Whatever is wrong with them is an InputError that names the file.
"""

from __future__ import annotations

import io
import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_TABLE = 2**30
"""Bytes of a list or table of labels; the largest published one, VGGFace2's landmarks, has a third."""
MOST_RECORD = 2**26
"""Bytes of a record of a run, or of a table of measured speeds."""
MOST_SETTINGS = 2**18
"""Bytes of a configuration."""

_MOST_VALUES = 100_000
_MOST_ROWS = 5_000_000
_MOST_COLUMNS = 200
_MOST_UNPACKED = 2**32
_MOST_MATRIX = 2**28
_MAT_HEADER, _MAT_COMPRESSED = 128, 15


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most`; a pipe or a device is refused before it is read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"cannot read {path}: it is no regular file; give the file itself")
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; check the path and its permissions"
        ) from error
    except ValueError as error:  # a path with a NUL
        raise InputError(f"cannot read {str(path)!r}: {error}; correct the path") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most:,} bytes, which no such file has; give the right one")
    return data


def read_text(path: Path, most: int) -> str:
    """As `read_bytes`, UTF-8 with or without a byte-order mark; line ends as they are."""
    return decoded(read_bytes(path, most), str(path))


def decoded(data: bytes, where: str) -> str:
    """The text in `data`, UTF-8 with or without a byte-order mark. where: what to call it in a message."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{where}, line {line}: not UTF-8 text; save the file as UTF-8") from error


def parse_json(data: bytes) -> Any:
    """The value in `data`. A key that stands twice, NaN and endless nesting are errors.

    Raises ValueError; the caller knows what to do about it.
    """
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:80]!r} stands twice")
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def parse_yaml(text: str) -> Any:
    """The value of a YAML document of plain data. A key that stands twice, aliases that unfold to more than
    some hundred thousand values, and endless nesting are errors.

    Raises ValueError on one line; the caller knows what to do about it.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _unfolded(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(_of_yaml(error)) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(f"a value cannot be read: {error}") from error


def _of_yaml(error: Any) -> str:
    """What a YAML parser says, on one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(str(problem).split())}"


def _unfolded(node: Any, known: dict[int, int]) -> int:
    """How many values a node stands for once its aliases are followed. Raises ValueError."""
    if (found := known.get(id(node))) is not None:
        if not found:
            raise ValueError("a value holds itself")
        return found
    known[id(node)] = 0
    children = []
    if isinstance(node.value, list):
        children = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        pairs = [item[0] for item in node.value if isinstance(item, tuple)]
        keys = [key.value for key in pairs if isinstance(key.value, str) and key.value != "<<"]
        if len(set(keys)) < len(keys):
            twice = next(key for place, key in enumerate(keys) if key in keys[:place])
            raise ValueError(f"the key {twice[:80]!r} stands twice")
    total = 1 + sum(_unfolded(child, known) for child in children)
    if total > _MOST_VALUES:
        raise ValueError(f"it unfolds to more than {_MOST_VALUES:,} values")
    known[id(node)] = total
    return total


def parquet_table(path: Path) -> pa.Table:
    """The table in a Parquet file. What it announces is judged before anything is unpacked, for a small file
    can hold any number of equal rows. Raises InputError."""
    from pyarrow import parquet

    with _reading_parquet(path), parquet.ParquetFile(path) as file:
        _refuse_large(path, file.metadata)
        return file.read()


def read_parquet(path: Path) -> pd.DataFrame:
    """As `parquet_table`, for pandas."""
    table = parquet_table(path)
    with _reading_parquet(path):
        return table.to_pandas()


@contextmanager
def _reading_parquet(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (
        *(OSError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError),
        pa.ArrowException,
    ) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())[:300]}") from error


def _refuse_large(path: Path, announced: Any) -> None:
    groups = [announced.row_group(place) for place in range(announced.num_row_groups)]
    rows, columns, size = announced.num_rows, announced.num_columns, sum(g.total_byte_size for g in groups)
    if rows > _MOST_ROWS or columns > _MOST_COLUMNS or size > _MOST_UNPACKED:
        raise InputError(
            f"{path} announces {rows:,} rows of {columns:,} columns in {size:,} bytes; expected at most "
            f"{_MOST_ROWS:,} of {_MOST_COLUMNS:,} in {_MOST_UNPACKED:,}: it is no table of a run"
        )


def read_mat(path: Path) -> dict[str, Any]:
    """The variables in a MAT file, whose reading runs no code. What it unpacks to is counted first.

    Raises ValueError for what is no MAT file of version 5 or lower; the caller knows what to do about it.
    """
    from scipy.io import loadmat

    data = read_bytes(path, _MOST_MATRIX)
    _refuse_mat_bomb(data)
    try:
        found: dict[str, Any] = loadmat(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # scipy raises whatever a broken file leads it to
        raise ValueError(f"it is no MAT file that can be read: {error}") from error
    return found


def _refuse_mat_bomb(data: bytes) -> None:
    """Raises ValueError where the compressed variables of a MAT file unpack to more than a fixed bound."""
    order: Literal["little", "big"] = "big" if data[126:128] == b"MI" else "little"
    place, unpacked = _MAT_HEADER, 0
    while place + 8 <= len(data):
        kind, size = (int.from_bytes(data[at : at + 4], order) for at in (place, place + 4))
        if kind == _MAT_COMPRESSED:
            unpacked += _unpacked_size(data[place + 8 : place + 8 + size])
        if unpacked > _MOST_MATRIX:
            raise ValueError(f"it unpacks to more than {_MOST_MATRIX:,} bytes")
        place += 8 + size


def _unpacked_size(packed: bytes) -> int:
    """Bytes that a zlib stream unpacks to, counted up to the bound and a little more."""
    stream, total = zlib.decompressobj(), 0
    try:
        while packed and total <= _MOST_MATRIX:
            total += len(stream.decompress(packed, 2**20))
            packed = stream.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"a variable is damaged: {error}") from error
    return total
