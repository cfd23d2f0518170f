"""My idea: whose photos these are, who took them, under which terms; paper and address.

A folder a person, and in it photos named by f or m and a number, as my_idea/ann/f1.png; or my_idea.zip, which
is read in place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.api import Attribute
from bench.datasets._labels import gender
from bench.datasets._layout import Layout
from bench.datasets._photos import Photo, PhotoDataset
from bench.faces import GENDER

LAYOUT = Layout(
    "My idea",
    ("my_idea", ""),
    re.compile(r"(?:.*/)?(?P<key>(?P<person>[^/]+)/(?P<gender>[fm])\d+)\.(?:png|jpg)"),
    "ann/f1.png",
)
LANDMARKS = np.array([[22, 30], [42, 30], [32, 40], [23, 46], [40, 46]], np.float32)
"""Of photos aligned by their publisher, all the same: x, y in pixels of left eye, right eye, nose tip and
corners of the mouth as seen in the photo. Of any others leave them out, and faces are looked for."""


class MyIdea(PhotoDataset):
    """Attributes: gender, by the file's name. Options: see `PhotoDataset`."""

    title = "My idea"
    paper = ""
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER,)

    def _photos(self) -> Sequence[Photo]:
        return [
            Photo(f.key, f.name, f.files, f["person"], {"gender": gender(f["gender"])}, LANDMARKS)
            for f in LAYOUT.find(self.roots)
        ]
