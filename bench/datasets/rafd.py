"""RaFD, Radboud Faces Database: 67 people, eight emotions, three gazes, five cameras (Langner et al., 2010).

    RafdAAA_NN_Group_gender_emotion_gaze.jpg     in RaFD/, in the folder itself, or in RaFD.zip

AAA is the camera's angle, 090 from the front; NN the person. No race is published: the group tells Caucasian
and Moroccan adults and (Caucasian) children apart, and is not called race here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.api import Attribute
from bench.components.survey import Problem
from bench.datasets._labels import gender
from bench.datasets._layout import Found, Layout
from bench.datasets._photos import Photo, PhotoDataset
from bench.errors import InputError, unknown_name
from bench.faces import GENDER

GROUP = Attribute("group", ("Caucasian", "Moroccan", "Kid"))
EMOTION = Attribute(
    "emotion",
    ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
)
LAYOUT = Layout(
    "RaFD",
    ("RaFD", "rafd", ""),
    re.compile(
        r"(?:.*/)?(?P<key>Rafd(?P<angle>000|045|090|135|180)_(?P<person>\d{2})_(?P<group>[A-Za-z]+)_"
        r"(?P<gender>female|male)_(?P<emotion>[a-z]+)_(?P<gaze>left|frontal|right))\.jpg"
    ),
    "Rafd090_01_Caucasian_female_angry_frontal.jpg",
    (".jpg",),
)

_ANGLES = {"frontal": ("090",), "three-quarter": ("045", "090", "135"), "all": ()}
"""Value of option `angles` -> cameras; empty: every one."""


class RaFD(PhotoDataset):
    """Attributes: gender, emotion, group.

    Options: angles: `frontal` (1,608 photos, what the literature uses), `three-quarter` or `all`; the
    landmarks of full profiles are guesses. limit, skip_damaged: see `PhotoDataset`.
    """

    title = "RaFD"
    paper = "Langner et al., Presentation and validation of the Radboud Faces Database, Cogn. & Emotion 2010"
    watch = ("gender", "emotion")
    options = {"angles": "frontal", "limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER, EMOTION, GROUP)

    def _photos(self) -> Sequence[Photo]:
        angles = self.settings["angles"]
        if angles not in _ANGLES:
            raise unknown_name("value of dataset option angles", angles, _ANGLES)
        wanted = [f for f in LAYOUT.find(self.roots) if f["angle"] in (_ANGLES[angles] or (f["angle"],))]
        return [Photo(f.key, f.name, f.files, f["person"], _labels(f)) for f in wanted]

    def _label_problems(self) -> Sequence[Problem]:
        return LAYOUT.strangers(self.roots)


def _labels(photo: Found) -> dict[str, float]:
    labels = {GENDER.name: gender(photo["gender"])}
    for attribute in (EMOTION, GROUP):
        if photo[attribute.name] not in attribute.classes:
            what = f"'{photo[attribute.name]}' is no {attribute.name} of the publisher's"
            raise InputError(
                f"image {photo.name} in {photo.files.where}: {what} ({', '.join(attribute.classes)}); "
                "give it the publisher's name or remove it"
            )
        labels[attribute.name] = float(attribute.classes.index(photo[attribute.name]))
    return labels
