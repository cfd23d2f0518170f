"""Speed of quality figures beside their peers, in one run: `pytest tests/benchmarks -m benchmark -s`.

Times are CPU seconds of this process, one thread, the works taking turns, medians. Goals: NIQE at least 10
times faster than pyiqa, to a relative difference of 1e-5; a Fréchet distance at least 8 times faster than
with `scipy.linalg.sqrtm` once the reference is known, at 1,024 and 2,048 features; LPIPS of the variants of a
run at least 2.5 times faster than with its package, and the Inception's features twice as fast as with its
network in eager torch. Only what does not depend on the machine is asserted: that the figures agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from bench.foreign import Pretrained
from bench.metrics.distribution import Gaussian, frechet_distance
from bench.metrics.niqe import FEATURES, niqe
from bench.quality import features, perceptual
from bench.weights import WeightsFolder

from .cpu_time import cpu_seconds

pytestmark = pytest.mark.benchmark

ROUNDS, IMAGES = 3, 16


def pictures(size: int) -> NDArray[np.uint8]:
    """Smooth grey surfaces with noise: of colours, pyiqa's luma depends on the processor."""
    rng = np.random.default_rng(6)
    coarse = rng.integers(0, 256, (IMAGES, 9, 9), dtype=np.uint8)
    smooth = np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse])
    noisy = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    return np.repeat(noisy[..., None], 3, axis=3)


def median_of(work: Callable[..., Any], *arguments: Any, rounds: int = ROUNDS) -> tuple[float, Any]:
    runs = [cpu_seconds(work, *arguments) for _ in range(rounds)]
    return float(np.median([seconds for seconds, _ in runs])), runs[-1][1]


@pytest.mark.parametrize("size", [224, 256])
def test_niqe_beside_pyiqa(
    benchmark: Any, capsys: pytest.CaptureFixture[str], compare: Callable[..., None], size: int
) -> None:
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
    compare(
        f"NIQE, {size} px",
        f"pyiqa, batches of {IMAGES}",
        together / ours,
        10,
        f"one at a time {alone / ours:.1f}; relative difference {worst:.0e}",
    )
    assert worst <= 1e-5


@pytest.mark.parametrize("dimensions", [1024, 2048])
def test_frechet_beside_sqrtm(
    benchmark: Any, capsys: pytest.CaptureFixture[str], compare: Callable[..., None], dimensions: int
) -> None:
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
    compare(
        f"Fréchet distance, {dimensions:,} features",
        "scipy.linalg.sqrtm",
        theirs / ours,
        8,
        f"reference once {once:.2f} s, each further {ours:.2f} s; "
        f"relative difference {abs(found / expected - 1):.0e}",
    )
    assert found == pytest.approx(expected, rel=1e-8)


# -- networks --------------------------------------------------------------------------------------------

VARIANTS = 30
IN_A_RUN = 128
"""Images a variant that a run looks at by default."""


def stored(folder: Path, tensors: dict[str, torch.Tensor]) -> Pretrained:
    path = folder / "made_up.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return Pretrained(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "none", "this test")


def variants(originals: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """As strong noise as a method's output differs from its original, and stronger."""
    rng = np.random.default_rng(7)
    noise = (rng.normal(0, 3 + n, originals.shape) for n in range(VARIANTS))
    return [np.clip(originals + one, 0, 255).astype(np.uint8) for one in noise]


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
@pytest.mark.parametrize(("size", "faces"), [(112, 16), (224, 8)])
def test_lpips_beside_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compare: Callable[..., None], size: int, faces: int
) -> None:
    """What a run does: many variants of the same originals, of which it keeps a share, here the same one."""
    import lpips

    torch.set_num_threads(1)
    torch.manual_seed(0)
    package = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    layers = {name: layer for part in package.net.children() for name, layer in part.named_children()}
    tensors = {f"features.{n}.{k}": v for n, layer in layers.items() for k, v in layer.state_dict().items()}
    monkeypatch.setitem(perceptual.BACKBONES, "lpips", ("squeeze", stored(tmp_path, tensors)))
    monkeypatch.setattr(perceptual, "_KEPT_BYTES", perceptual._KEPT_BYTES * faces // IN_A_RUN)
    measure = perceptual.Lpips(WeightsFolder(tmp_path))
    originals = pictures(size)[:faces]
    outputs = variants(originals)

    def peer(output: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
        x, y = (torch.from_numpy(i).permute(0, 3, 1, 2).float() / 255 for i in (originals, output))
        with torch.no_grad():
            pairs = zip(x.split(batch), y.split(batch), strict=True)
            return torch.cat([package(a, b, normalize=True).flatten() for a, b in pairs]).numpy()

    measure(originals[:1], outputs[0][:1])  # compiles or loads the kernel
    once, known = cpu_seconds(measure.known, originals)
    times: dict[str, list[float]] = {"ours": [], "together": [], "alone": []}
    worst = 0.0
    for turn, output in enumerate(outputs):
        seconds, found = cpu_seconds(measure, originals, output, known)
        times["ours"].append(seconds)
        if turn % 5 == 0:
            seconds, expected = cpu_seconds(peer, output, 8)
            times["together"].append(seconds)
            times["alone"].append(cpu_seconds(peer, output, 1)[0])
            worst = max(worst, float(np.max(np.abs(found / expected - 1))))
    each = {name: float(np.median(seconds)) for name, seconds in times.items()}
    ours = once / VARIANTS + each["ours"]
    by_eights, one_by_one = each["together"] / ours, each["alone"] / ours
    kept = f"maps of {len(known.maps)} of {faces} originals kept"
    compare(
        f"LPIPS, {VARIANTS} variants, {size} px",
        "lpips package, eager fp32, batches of 8",
        by_eights,
        2.5,
        f"one at a time {one_by_one:.1f}; {kept}; relative difference {worst:.0e}",
    )
    assert worst <= 5e-6


def test_inception_beside_eager_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compare: Callable[..., None]
) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = features.inception().eval()
    for name, tensor in network.state_dict().items():
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    monkeypatch.setattr(features, "INCEPTION", stored(tmp_path, network.state_dict()))
    extractor = features.InceptionFeatures(WeightsFolder(tmp_path))
    images = pictures(224)[:8]

    def resized() -> torch.Tensor:
        return torch.from_numpy(np.stack([features._clean(image) for image in images]))

    def peer() -> NDArray[np.float32]:
        with torch.no_grad():
            return network((resized() - 128) / 128).numpy()

    ours, theirs, found, expected = [], [], extractor(images), peer()
    for _ in range(ROUNDS):
        theirs.append(cpu_seconds(peer)[0])
        ours.append(cpu_seconds(extractor, images)[0])
    resizing, _ = median_of(resized)
    worst = float(np.max(np.abs(found - expected)) / expected.std())
    compare(
        "Inception pass, 224 px",
        "the same network, eager fp32, batches of 8",
        float(np.median(theirs) / np.median(ours)),
        2,
        f"resizing, the same in both, {resizing / np.median(ours):.0%} of ours; "
        f"difference {worst:.0e} of the features' deviation",
    )
    assert worst <= 1e-4
