"""AR face database: 26 photos in two sessions of 126 people (Martinez and Benavente, CVC Report 24, 1998).

    m-001-01.bmp                        men and women (w) by number, the last number says what was done
    M-001-01.bmp, W-001-01.bmp          the same names in the aligned and cropped set of 165x120 px

in AR/, in the folder itself, or in a zip. The raw planes of the first edition must be converted first. A man
and a woman of one number are two people. Numbers 14 to 26 repeat 1 to 13 two weeks later: 1 neutral, 2
smile, 3 anger, 4 scream, 5 to 7 lights, 8 to 10 sunglasses, 11 to 13 scarf.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.api import Attribute, yes_no
from bench.components.survey import Problem
from bench.datasets._labels import gender
from bench.datasets._layout import Found, Layout
from bench.datasets._photos import Photo, PhotoDataset
from bench.faces import GENDER

EXPRESSION = Attribute("expression", ("neutral", "smile", "anger", "scream"))
SUNGLASSES, SCARF = yes_no("sunglasses"), yes_no("scarf")
LAYOUT = Layout(
    "AR faces",
    ("AR", "ARface", "AR_warp_zip", "AR_crop", ""),
    re.compile(
        r"(?:.*/)?(?P<key>(?P<gender>[mMwWfF])-(?P<number>\d{2,3})-(?P<photo>\d{1,2}))"
        r"\.(?:bmp|jpe?g|png|p[gp]m)"
    ),
    "m-001-01.bmp",
)
_A_SESSION = 13


class ARFace(PhotoDataset):
    """Attributes: gender, expression (of the photos without another purpose), sunglasses, scarf.

    Options: see `PhotoDataset`.
    """

    title = "AR face"
    paper = "Martinez, Benavente, The AR Face Database, CVC Technical Report 24, 1998"
    watch = ("gender",)
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER, EXPRESSION, SUNGLASSES, SCARF)

    def _photos(self) -> Sequence[Photo]:
        return [
            Photo(f.key, f.name, f.files, f"{_letter(f['gender'])}-{int(f['number']):03d}", _labels(f))
            for f in LAYOUT.find(self.roots)
        ]

    def _label_problems(self) -> Sequence[Problem]:
        return LAYOUT.strangers(self.roots)


def _letter(text: str) -> str:
    return "m" if text in "mM" else "w"


def _labels(photo: Found) -> dict[str, float]:
    done = (int(photo["photo"]) - 1) % _A_SESSION + 1
    labels = {
        GENDER.name: gender(photo["gender"]),
        SUNGLASSES.name: float(done in (8, 9, 10)),
        SCARF.name: float(done in (11, 12, 13)),
    }
    if done <= len(EXPRESSION.classes):
        labels[EXPRESSION.name] = float(done - 1)
    return labels
