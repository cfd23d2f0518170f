"""Rows and curves by hand for tests of what stands beside the papers. Not results of anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.results import Row

ATTACKERS = ("svm@se_resnet", "knn@se_resnet", "cnn_resnet")
MATCHERS = ("arcface", "cosface", "se_resnet")


def attacked(
    subject: str,
    value: float,
    metric: str = "accuracy",
    *,
    attackers: Iterable[str] = ATTACKERS,
    attribute: str = "gender",
    dataset: str = "celeba",
) -> list[Row]:
    """One figure of every attacker on `method:variant`, with an interval of .02 to both sides."""
    method, _, variant = subject.partition(":")
    start = Row(method, variant or "default", "method", dataset, metric, value, threat="static")
    start = replace(start, attribute=attribute, component_kind="attacker")
    return [replace(start, component=a, ci_low=value - 0.02, ci_high=value + 0.02) for a in attackers]


def matched(
    subject: str,
    value: float,
    point: str,
    *,
    matchers: Iterable[str] = MATCHERS,
    condition: str = "original-protected",
    dataset: str = "celeba",
) -> list[Row]:
    """The TMR of every matcher on `method:variant`."""
    method, _, variant = subject.partition(":")
    start = Row(method, variant or "default", "method", dataset, "tmr", value, condition=condition)
    start = replace(start, component_kind="matcher", policy="reset", operating_point=point)
    return [replace(start, component=m, ci_low=value - 0.02, ci_high=value + 0.02) for m in matchers]


def quality(subject: str, value: float, metric: str = "lpips", recipe: str = "lpips:squeeze,v0.1") -> Row:
    """A whole-image figure."""
    method, _, variant = subject.partition(":")
    row = Row(method, variant or "default", "method", "celeba", metric, value)
    return replace(row, component_kind="quality", component=recipe)


def curve(
    subject: str,
    rates: Iterable[float],
    *,
    kind: str = "roc",
    x: Iterable[float] = (0.001, 0.01, 0.1, 1.0),
    matcher: str = "arcface",
    condition: str = "original-protected",
) -> pd.DataFrame:
    """One curve of the table that a run collects."""
    method, _, variant = subject.partition(":")
    start = {"method": method, "variant": variant or "default", "matcher": matcher, "condition": condition}
    points = {"kind": kind, "fmr": np.array(list(x), np.float64), "tmr": np.array(list(rates), np.float64)}
    return pd.DataFrame({**start, **points})


def no_curves() -> pd.DataFrame:
    """A table of curves without a line."""
    return curve("original", (), x=())
