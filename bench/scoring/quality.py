"""Rows on image quality: means over the test faces that were looked at, and distances of sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.uncertainty import resampled_mean
from bench.results import Row
from bench.scoring.rows import Population, RowMaker

HIGHER_IS = {
    "psnr": "better",
    "ssim": "better",
    **dict.fromkeys(("lpips", "lpips_alex", "lpips_vgg"), "worse"),
    **dict.fromkeys(("niqe", "niqe_fitted", "pi"), "worse"),
    **dict.fromkeys(("fid", "kid", "fd_squeeze", "kd_squeeze"), "worse"),
}

_NO_INTERVAL = "no interval: people drawn twice make a set less varied, which by itself raises this distance"


def quality_rows(
    make: RowMaker, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], people: Population
) -> list[Row]:
    """arrays, facts: what `bench.stages.quality` or `bench.stages.metric` stored. A row a metric, undefined
    where it has no value."""
    found = []
    for metric, recipe in facts["recipes"].items():
        shared = _shared(metric, recipe, facts)
        if metric in facts["refused"]:
            found.append(make.undefined(metric, facts["refused"][metric], **shared))
        elif metric in facts["sets"]:
            shared["n"] = facts["set_images"]
            samples = arrays.get(f"samples:{metric}")
            reason = _NO_INTERVAL if samples is None else None
            found.append(make.row(metric, facts["sets"][metric], samples, reason=reason, **shared))
        elif f"value:{metric}" in arrays:
            rows = arrays[f"rows:{metric}"].astype(np.int64)
            found.append(_mean_row(make, metric, arrays[f"value:{metric}"], rows, shared, people))
    return found


def _shared(metric: str, recipe: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "component_kind": "quality",
        "component": recipe,
        "n_failed": int(facts["failed"][metric]),
        "higher_is": (HIGHER_IS | facts.get("higher_is", {}))[metric],
        "unit": facts.get("units", {}).get(metric) or None,
    }


def _mean_row(
    make: RowMaker,
    metric: str,
    measured: NDArray[np.floating],
    rows: NDArray[np.int64],
    shared: dict[str, Any],
    people: Population,
) -> Row:
    """measured: float (M,) of the faces `rows` (M,). inf, the PSNR of equal images, leaves no mean; NaN, an
    image that has no such figure, counts as failed."""
    none = np.isnan(measured)
    shared = shared | {"n": int((~none).sum()), "n_failed": shared["n_failed"] + int(none.sum())}
    no = "no texture, so they have no" if metric in HIGHER_IS else "no"
    bare = f"{int(none.sum())} of {len(measured)} images have {no} {metric}"
    if none.all():
        return make.undefined(metric, bare, **shared)
    if (equal := int(np.isinf(measured).sum())) > 0:
        reason = (
            f"{equal} of {len(measured)} images equal the original, so their {metric} has no finite value"
        )
        return make.undefined(metric, reason, **shared)
    kept = measured[~none]
    samples = resampled_mean(people.draw, people.identities[rows[~none]], kept)
    return make.row(metric, float(np.mean(kept)), samples, reason=bare if none.any() else None, **shared)
