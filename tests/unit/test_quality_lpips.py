"""LPIPS against the `lpips` package, with made-up backbones; with the real one where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from quality_files import backbone, declare, images, save_backbone
from safetensors.torch import load_file, save_file

from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.quality import perceptual
from bench.quality.measures import SQUEEZENET
from bench.quality.perceptual import BACKBONES, Lpips
from bench.weights import WeightsFolder

pytestmark = pytest.mark.filterwarnings("ignore:.*weights.*:UserWarning:torchvision")


def use(monkeypatch: pytest.MonkeyPatch, metric: str, pretrained: Pretrained) -> None:
    monkeypatch.setitem(BACKBONES, metric, (BACKBONES[metric][0], pretrained))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsFolder:
    """A random SqueezeNet under the name of the real one."""
    use(monkeypatch, "lpips", save_backbone(tmp_path / "squeeze.safetensors", backbone("lpips")))
    return WeightsFolder(tmp_path)


def package(metric: str, layers: dict[str, torch.Tensor]) -> Any:
    """The package's network with its backbone filled from `features.N.*`."""
    import lpips

    reference = lpips.LPIPS(net=BACKBONES[metric][0], pnet_rand=True, verbose=False)
    for part in reference.net.children():
        for name, layer in part.named_children():
            prefix = f"features.{name}."
            layer.load_state_dict(
                {k.removeprefix(prefix): v for k, v in layers.items() if k.startswith(prefix)}
            )
    return reference


def expected(reference: Any, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    x, y = (torch.from_numpy(i).permute(0, 3, 1, 2).float() / 255 for i in (a, b))
    with torch.no_grad():
        found: NDArray[np.float32] = reference(x, y, normalize=True).flatten().numpy()
    return found


@pytest.mark.parametrize("metric", ["lpips", "lpips_alex", pytest.param("lpips_vgg", marks=pytest.mark.slow)])
def test_as_the_package(metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, metric, save_backbone(tmp_path / "made_up.safetensors", backbone(metric)))
    measure = Lpips(WeightsFolder(tmp_path), metric)
    a, b = images(5, 64), images(5, 64, seed=1)
    reference = package(metric, load_file(tmp_path / "made_up.safetensors"))
    found = measure(a, b)
    assert found.dtype == np.float32
    assert np.allclose(found, expected(reference, a, b), rtol=1e-6, atol=0)
    assert found.std() > 0
    assert BACKBONES[metric][0] in measure.recipe(64, 64)


@pytest.mark.skipif("BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights")
def test_as_the_package_with_the_real_backbone() -> None:
    weights = WeightsFolder(Path(os.environ["BENCH_WEIGHTS"]))
    a, b = images(3, 96), images(3, 96, seed=1)
    reference = package("lpips", load_file(weights.path(SQUEEZENET)))
    assert np.allclose(Lpips(weights)(a, b), expected(reference, a, b), rtol=1e-5, atol=0)


def test_equal_images_are_at_nothing_and_order_does_not_matter(folder: WeightsFolder) -> None:
    measure = Lpips(folder)
    a, b = images(3, 64), images(3, 64, seed=1)
    assert np.array_equal(measure(a, a), np.zeros(3, np.float32))
    assert np.allclose(measure(a, b), measure(b, a), rtol=1e-5)
    assert measure(a[:0], b[:0]).shape == (0,)


def test_what_is_known_of_the_originals_changes_nothing(
    folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, originals = Lpips(folder), images(4, 64)
    known = measure.known(originals)
    one = sum(layer.nbytes for layer in known.maps[0])
    assert (len(known.maps), known.size) == (4, 4 * one)
    monkeypatch.setattr(perceptual, "_KEPT_BYTES", 2.5 * one)
    some = measure.known(originals)
    assert (len(some.maps), some.size) == (2, 2 * one)
    assert measure.known(originals[:0]).maps == []
    for other in (images(4, 64, seed=1), originals):
        plain = measure(originals, other)
        assert np.array_equal(measure(originals, other, known), plain)
        assert np.array_equal(measure(originals, other, some), plain)


def test_on_a_graphics_card_the_package_compares(
    folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which torch's "cpu:0" stands in for, a device by its number."""
    a, b = images(3, 64), images(3, 64, seed=1)
    here = Lpips(folder)(a, b)
    monkeypatch.setattr(Lpips, "_maps", None)
    there = Lpips(folder, device="cpu:0")
    known = there.known(a)
    assert known == ([], 0)
    assert np.allclose(there(a, b, known), here, rtol=1e-6)


def test_unlike_shapes_are_refused(folder: WeightsFolder) -> None:
    with pytest.raises(InputError, match="one shape"):
        Lpips(folder)(images(2, 64), images(2, 65))


def test_the_random_numbers_of_the_caller_stay(folder: WeightsFolder) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    Lpips(folder)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_recipe_says_everything(folder: WeightsFolder) -> None:
    checksum = BACKBONES["lpips"][1].sha256[:8]
    assert Lpips(folder).recipe(112, 96) == (
        f"lpips:squeeze,v0.1,rgb,size=112x96,crop=0,backbone={checksum},lpips={perceptual.version('lpips')}"
    )


def test_a_backbone_that_does_not_fit(folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, folder.root / "other.safetensors")
    use(monkeypatch, "lpips", declare(folder.root / "other.safetensors"))
    with pytest.raises(Unavailable, match="does not fit the squeeze backbone"):
        Lpips(folder)


def test_a_backbone_of_other_shapes_does_not_fit(
    folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = load_file(folder.root / "squeeze.safetensors")
    tensors["features.0.bias"] = torch.zeros(65)
    save_file(tensors, folder.root / "other.safetensors")
    use(monkeypatch, "lpips", declare(folder.root / "other.safetensors"))
    with pytest.raises(Unavailable, match="does not fit the squeeze backbone"):
        Lpips(folder)


@pytest.mark.parametrize("metric", BACKBONES)
def test_a_missing_file_is_told_at_construction(metric: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Lpips(WeightsFolder(tmp_path), metric)
    pretrained = BACKBONES[metric][1]
    assert pretrained.file in caught.value.reason
    assert pretrained.source in caught.value.remedy
