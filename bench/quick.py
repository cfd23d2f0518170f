"""A first look: the settings behind `run --quick`, beneath whatever the user sets himself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.ladder import AWARE

FLAG = "quick"
"""On every row of such a run: rows that carry it are not published."""

MEANING = (
    "A first look (`run --quick`): few people, two attackers, two rungs of the ladder, few resamples. Not to "
    "be published or compared with a full run."
)

_ANYWHERE: Mapping[str, Any] = {
    "attackers": ("knn", "svm"),
    "threats": (AWARE,),
    "adaptive_images": 600,
    "learning_images": 400,
    "resamples": 200,
    "quality_images": 24,
}
_EMBEDDED: Mapping[str, Any] = {
    "matchers": ("se_resnet",),
    "options": {"se_resnet": {"steps": 150}},
    "dataset_options": {"attack_people": 200, "test_people": 60, "test_images": 4},
}
"""On the embedded faces also these. DEVELOP keeps its size, so that weights that ship still fit."""


def with_quick(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` keys of `bench.config.RunConfig` over those of a first look, option by option.

    Raises UsageError beside a paper's protocol, which prescribes how much is done.
    """
    if given.get("protocol"):
        raise UsageError(f"--quick would cut protocol {given['protocol']} short; leave one of the two out")
    tested = given.get("test_on") or [given.get("dataset", "synthetic")]
    settings = {**_ANYWHERE, "out": Path("runs") / f"{'+'.join(tested)}-quick"}
    if list(tested) == ["synthetic"] and not given.get("test_on"):
        settings |= _EMBEDDED
    return _over(settings, given)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, and where both have a mapping under one key, both of these."""
    joined = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            joined[key] = _over(below[key], above[key])
    return joined
