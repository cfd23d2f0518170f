"""Labels that several publishers give."""

from __future__ import annotations

from bench.api import Attribute, yes_no

EYEGLASSES = yes_no("eyeglasses")

AFRICAN_OR_CAUCASIAN = Attribute("race", ("African descent", "Caucasian"))
"""The two races of PrivacyNet, which labels no others (Mirjalili, Raschka, Ross, TIP 2020)."""


def age_group(years: float) -> float:
    """Class index of `AGE_GROUP`, the groups of PrivacyNet: up to 30, 31 to 45, over 45."""
    return float(years > 30) + float(years > 45)


def gender(letter: str) -> float:
    """Class index of `GENDER` by the first letter of a word: f or w, and m. Raises KeyError for others."""
    return {"f": 0.0, "w": 0.0, "m": 1.0}[letter[:1].lower()]
