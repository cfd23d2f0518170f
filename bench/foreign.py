"""How a component names the foreign file it needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrained:
    """A file of foreign weights that a component needs; never part of the project.

    file: name in the weights folder. sha256: of its bytes. licence, source: for the user to judge.
    """

    file: str
    sha256: str
    licence: str
    source: str
