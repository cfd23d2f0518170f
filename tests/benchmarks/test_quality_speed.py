"""Speed of quality figures beside their peers, in one run: `pytest tests/benchmarks -m benchmark -s`.

Times are CPU seconds of this process, one thread, the works taking turns, medians. Goals: NIQE at least 10
times faster than pyiqa, to a relative difference of 1e-5; a Fréchet distance at least 8 times faster than
with `scipy.linalg.sqrtm` once the reference is known, at 1,024 and 2,048 features. Only what does not depend
on the machine is asserted: that the figures agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.metrics.distribution import Gaussian, frechet_distance
from bench.metrics.niqe import FEATURES, niqe

pytestmark = pytest.mark.benchmark

ROUNDS, IMAGES = 3, 16


def pictures(size: int) -> NDArray[np.uint8]:
    """Smooth grey surfaces with noise: of colours, pyiqa's luma depends on the processor."""
    rng = np.random.default_rng(6)
    coarse = rng.integers(0, 256, (IMAGES, 9, 9), dtype=np.uint8)
    smooth = np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse])
    noisy = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    return np.repeat(noisy[..., None], 3, axis=3)


def cpu_seconds(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.process_time()
    result = work(*arguments)
    return time.process_time() - start, result


def median_of(work: Callable[..., Any], *arguments: Any, rounds: int = ROUNDS) -> tuple[float, Any]:
    runs = [cpu_seconds(work, *arguments) for _ in range(rounds)]
    return float(np.median([seconds for seconds, _ in runs])), runs[-1][1]


@pytest.mark.parametrize("size", [224, 256])
def test_niqe_beside_pyiqa(benchmark: Any, capsys: pytest.CaptureFixture[str], size: int) -> None:
    from pyiqa.archs.niqe_arch import calculate_niqe

    torch.set_num_threads(1)
    images = pictures(size)
    rng = np.random.default_rng(5)
    root = rng.normal(0, 0.1, (FEATURES, 2 * FEATURES))
    mean, covariance = rng.uniform(0.1, 2, FEATURES), root @ root.T
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    known = {"mu_pris_param": torch.from_numpy(mean), "cov_pris_param": torch.from_numpy(covariance)}

    def peer(batch: int) -> NDArray[np.float64]:
        with torch.inference_mode():
            parts = [calculate_niqe(part, **known).reshape(-1) for part in tensor.split(batch)]
        return torch.cat(parts).numpy()

    niqe(images[:1], mean, covariance)  # compiles or loads the kernels
    peer(IMAGES)
    ours, found = median_of(niqe, images, mean, covariance)
    alone, expected = median_of(peer, 1)
    together, _ = median_of(peer, IMAGES)
    benchmark.pedantic(niqe, args=(images, mean, covariance), rounds=ROUNDS)
    worst = float(np.max(np.abs(found / expected - 1)))
    ratios = {"one at a time": alone / ours, f"batches of {IMAGES}": together / ours}
    benchmark.extra_info.update(size=size, images_per_second=IMAGES / ours, difference=worst, **ratios)
    with capsys.disabled():
        says = ", ".join(f"{ratio:.1f} x pyiqa {how}" for how, ratio in ratios.items())
        print(f"\nNIQE at {size} px: {IMAGES / ours:.0f} images/s, {says}; relative difference {worst:.1e}")
    assert worst <= 1e-5


@pytest.mark.parametrize("dimensions", [1024, 2048])
def test_frechet_beside_sqrtm(benchmark: Any, capsys: pytest.CaptureFixture[str], dimensions: int) -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    scale = np.linspace(0.5, 2, dimensions)
    a = Gaussian.of(rng.standard_normal((2 * dimensions, dimensions)))
    b = Gaussian.of(rng.standard_normal((2 * dimensions, dimensions)) * scale + 0.1)

    def peer() -> float:
        root = sqrtm(a.covariance @ b.covariance)
        return float(np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * root.real))

    once, _ = cpu_seconds(lambda: a.cholesky)
    ours, found = median_of(frechet_distance, a, b)
    theirs, expected = median_of(peer, rounds=1 if dimensions > 1024 else ROUNDS)
    benchmark.pedantic(frechet_distance, args=(a, b), rounds=1)
    benchmark.extra_info.update(dimensions=dimensions, ratio=theirs / ours, reference_once=once)
    with capsys.disabled():
        print(
            f"\nFréchet distance, {dimensions:,} features: {ours:.3f} s (reference once {once:.3f} s), "
            f"sqrtm {theirs:.2f} s: {theirs / ours:.1f} x; differing by {abs(found / expected - 1):.1e}"
        )
    assert found == pytest.approx(expected, rel=1e-8)
