"""Equal inputs get equal answers, exactly.

A network's answer for a row depends, in the last bit, on where in which batch the row stood. On images that
a method made all equal this rounding would be the only difference left; it follows the order of the pool, and
an AUC would read something out of it. So each distinct row is computed once and its answer copied.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.faces import Faces


def distinct(columns: list[NDArray[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row of each distinct content over all `columns` (N, ...), and for each of the N rows which one
    it is."""
    first: dict[bytes, int] = {}
    rows: list[int] = []
    inverse = np.empty(len(columns[0]), np.intp)
    for i in range(len(columns[0])):
        digest = blake2b(digest_size=16)
        for column in columns:
            digest.update(np.ascontiguousarray(column[i]).tobytes())
        inverse[i] = first.setdefault(digest.digest(), len(rows))
        if inverse[i] == len(rows):
            rows.append(i)
    return np.array(rows, np.intp), inverse


def distinct_faces(faces: Faces, *, aligned: bool) -> tuple[Faces, NDArray[np.intp]]:
    """The distinct faces and, for each of `faces`, its row among them. aligned: landmarks matter too."""
    columns: list[NDArray[Any]] = [faces.images]
    if aligned and faces.landmarks is not None:
        columns.append(faces.landmarks)
    rows, inverse = distinct(columns)
    return faces.take(rows), inverse
