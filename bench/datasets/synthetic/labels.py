"""Names and coding of everything the renderer knows about a face."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

LABELS: Final = (
    "gender",  # 0 female, 1 male
    "age",  # years, 16..80
    "age_group",  # 0: <= 30, 1: 31..45, 2: > 45
    "young",  # 1: younger than 40
    "race",  # 0, 1, 2
    "heavy_makeup",
    "attractive",
    "smiling",
    "eyeglasses",
    "receding_hairline",
    "bushy_eyebrows",
    "narrow_eyes",
    "big_nose",
    "big_lips",
)

LANDMARKS: Final = ("left_eye", "right_eye", "nose_tip", "left_mouth", "right_mouth")
"""Left and right as seen in the image (the person's right eye is `left_eye`)."""

AGE_GROUP_EDGES: Final = (30.0, 45.0)
YOUNG_BELOW: Final = 40.0


class Part(IntEnum):
    """Values of the part map."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    EYEBROWS = 3
    EYES = 4
    NOSE = 5
    MOUTH = 6
    EARS = 7
    NECK_AND_CLOTHES = 8
