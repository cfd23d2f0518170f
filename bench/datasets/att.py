"""AT&T Database of Faces, formerly ORL: 40 people, ten grey photos each (Samaria and Harter, 1994).

    att_faces/sN/M.pgm      or orl_faces/, or one of them as .zip, read in place

Nothing but the identity is published, so that no attribute can be attacked: a set for matching alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.api import Attribute
from bench.components.survey import Problem
from bench.datasets._layout import Layout
from bench.datasets._photos import Photo, PhotoDataset

LAYOUT = Layout(
    "AT&T faces",
    ("att_faces", "orl_faces", "ORL", ""),
    re.compile(r"(?:.*/)?(?P<key>s(?P<person>\d{1,2})/\d{1,2})\.pgm"),
    "s1/1.pgm",
    (".pgm",),
)


class ATT(PhotoDataset):
    """No attributes. Options: see `PhotoDataset`."""

    title = "AT&T"
    paper = "Samaria, Harter, Parameterisation of a Stochastic Model for Human Face Identification, WACV 1994"
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return ()

    def _photos(self) -> Sequence[Photo]:
        return [Photo(f.key, f.name, f.files, f"s{f['person']}") for f in LAYOUT.find(self.roots)]

    def _label_problems(self) -> Sequence[Problem]:
        return LAYOUT.strangers(self.roots)
