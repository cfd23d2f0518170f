"""Outputs of a method that differ in one number, such as FlowSAN's stages, as series over that number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_NUMBER = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]+)=(-?\d*\.?\d+)(?![\w.])")


class Series(NamedTuple):
    """name: of the number. rest: what else the variants are called, empty for nothing. at: number -> variant,
    increasing."""

    name: str
    rest: str
    at: dict[float, str]


def series(variants: Iterable[str]) -> list[Series]:
    """Every series of at least two variants: `n=1`, `n=2` differ in n, `avg-n=2` belongs to another series.

    A variant with several numbers belongs to a series of its last one.
    """
    found: dict[tuple[str, str], dict[float, str]] = {}
    for variant in variants:
        matches = list(_NUMBER.finditer(variant))
        if matches:
            last = matches[-1]
            rest = variant[: last.start()] + variant[last.end() :]
            found.setdefault((last[1], rest.strip("-+;,_ ")), {})[float(last[2])] = variant
    return [
        Series(name, rest, dict(sorted(at.items())))
        for (name, rest), at in sorted(found.items())
        if len(at) > 1
    ]
