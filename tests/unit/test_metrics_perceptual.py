"""The distance of feature maps against the same formula written with arrays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.perceptual import layer_distance


def maps(channels: int, height: int, width: int, seed: int) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(0, 3, (channels, height, width)).clip(min=0)
    return found.astype(np.float32)


def obvious(a: NDArray[np.float32], b: NDArray[np.float32], head: NDArray[np.float32]) -> float:
    x, y = (m.astype(np.float64) / (np.linalg.norm(m.astype(np.float64), axis=0) + 1e-10) for m in (a, b))
    return float(np.tensordot(head, (x - y) ** 2, 1).mean())


@pytest.mark.parametrize("shape", [(64, 31, 33), (5, 1, 1), (7, 16, 32), (3, 40, 41)])
def test_as_the_formula(shape: tuple[int, int, int]) -> None:
    a, b = maps(*shape, seed=1), maps(*shape, seed=2)
    head = np.random.default_rng(3).uniform(0, 1, shape[0]).astype(np.float32)
    assert layer_distance(a, b, head) == pytest.approx(obvious(a, b, head), rel=1e-6)
    assert layer_distance(a, b, head) == layer_distance(b, a, head)


def test_equal_maps_are_at_nothing_and_scale_does_not_count() -> None:
    a, head = maps(64, 20, 30, seed=1), np.ones(64, np.float32)
    assert layer_distance(a, a.copy(), head) == 0
    assert layer_distance(a, 4 * a, head) == 0
    assert layer_distance(a, 3 * a, head) == pytest.approx(0, abs=1e-12)


def test_pixels_where_nothing_answers_are_at_the_origin() -> None:
    a, b, head = maps(4, 2, 2, seed=1) + 1, np.zeros((4, 2, 2), np.float32), np.ones(4, np.float32)
    assert layer_distance(a, b, head) == pytest.approx(1, rel=1e-6)
    assert layer_distance(b, b, head) == 0
