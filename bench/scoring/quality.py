"""Rows on image quality: the mean over the test faces that were looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.uncertainty import resampled_mean
from bench.results import Row
from bench.scoring.rows import Population, RowMaker

HIGHER_IS = {"psnr": "better", "ssim": "better", "lpips": "worse", "niqe": "worse"}


def quality_rows(
    make: RowMaker,
    values: Mapping[str, NDArray[np.floating]],
    rows: NDArray[np.int64],
    recipes: Mapping[str, str],
    n_failed: int,
    people: Population,
) -> list[Row]:
    """values: metric -> float (M,) of the faces `rows` (M,); inf allowed for PSNR of equal images, which
    has no mean."""
    found = []
    for metric, measured in values.items():
        shared: dict[str, Any] = {
            "component_kind": "quality",
            "component": recipes[metric],
            "n": len(measured),
            "n_failed": n_failed,
            "higher_is": HIGHER_IS[metric],
        }
        if not np.isfinite(measured).all():
            equal = int(np.isinf(measured).sum())
            reason = (
                f"{equal} of {len(measured)} images equal the original, so their {metric} has no finite value"
            )
            found.append(make.undefined(metric, reason, **shared))
            continue
        samples = resampled_mean(people.draw, people.identities[rows], measured)
        found.append(make.row(metric, float(np.mean(measured)), samples, **shared))
    return found
