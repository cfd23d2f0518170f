"""The contract of metrics of image quality."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench import discover
from bench.checks.common import CHECK_PRESET, Finding, context, same, tried, two_pools, untouched
from bench.components.base import Context
from bench.components.metric import Metric
from bench.errors import ContractError
from bench.report.added import refuse_taken

_DIRECTIONS = ("better", "worse", "neither")


def check_metric(name: str) -> Iterator[Finding]:
    """Findings about the metric called `name`."""
    metric: Metric = discover.load_class("metric", name)(preset=CHECK_PRESET)
    yield tried("has a name, a title and a direction", lambda: _metadata(name, metric))
    with tempfile.TemporaryDirectory() as folder:
        lent = context(folder)
        measured = tried("measures each image by itself", lambda: _measures(metric, lent))
        yield measured
        if measured.ok:
            yield tried("knows which way is better", lambda: _right_way_round(metric, lent))


def _metadata(name: str, metric: Metric) -> None:
    refuse_taken([name])
    cls = type(metric)
    if not cls.title or not cls.what:
        raise ContractError("title and `what`, a sentence for the reader of the table, must not be empty")
    if cls.higher_is not in _DIRECTIONS:
        raise ContractError(f"higher_is must be {', '.join(_DIRECTIONS)}, not {cls.higher_is!r}")


def _measures(metric: Metric, ctx: Context) -> None:
    originals = two_pools()[0].images
    protected = _blurred(originals)
    before = originals.copy(), protected.copy()
    metric.prepare(ctx)
    values = metric.measure(originals, protected, ctx)
    for now, then in zip((originals, protected), before, strict=True):
        untouched(now, then, "_measure")
    if np.isnan(values).all():
        raise ContractError("no image has a value, all are NaN")
    same(
        values, metric.measure(originals, protected, ctx), "when repeated; seed its randomness with ctx.seed"
    )
    parts = metric.measure(originals[::-1], protected[::-1], ctx, batch=5)[::-1]
    if not np.allclose(values, parts, rtol=1e-4, atol=1e-6, equal_nan=True):
        raise ContractError(
            "the values depend on the batch size or order: an image must have its value in any company"
        )


def _right_way_round(metric: Metric, ctx: Context) -> None:
    """Raises ContractError where every distortion is declared better than the original itself."""
    originals = two_pools()[0].images
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 40, originals.shape)
    spoilt = {
        "blurred": _blurred(originals),
        "noisy": (originals + noise).clip(0, 255).astype(np.uint8),
        "grey": np.full_like(originals, 128),
    }
    own = _mean(metric, originals, originals, ctx)
    sign = {"better": 1.0, "worse": -1.0}.get(type(metric).higher_is, 0.0)
    values = {name: _mean(metric, originals, images, ctx) for name, images in spoilt.items()}
    if sign and all(sign * value > sign * own for value in values.values()):
        told = ", ".join(f"{value:.3g} {name}" for name, value in values.items())
        raise ContractError(
            f"higher_is = {type(metric).higher_is!r} makes every spoilt image better than its original "
            f"({own:.3g} of originals, {told}); turn it round, or write 'neither'"
        )


def _mean(metric: Metric, originals: NDArray[np.uint8], images: NDArray[np.uint8], ctx: Context) -> float:
    values = metric.measure(originals, images, ctx)
    return float(np.nanmean(values)) if np.isfinite(values).any() or np.isinf(values).any() else np.nan


def _blurred(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 4 x 4 pixels."""
    n, height, width, _ = images.shape
    means = images.reshape(n, height // 4, 4, width // 4, 4, 3).mean(axis=(2, 4))
    return np.asarray(means.repeat(4, axis=1).repeat(4, axis=2).round(), np.uint8)
