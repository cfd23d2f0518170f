"""LPIPS and NIQE runners, on random weights that the tests write themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.io import savemat

from bench import quality_networks
from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.metrics.niqe import niqe
from bench.quality_networks import NEEDED, Lpips, Niqe
from bench.weights import WeightsFolder


def declare(path: Path) -> Pretrained:
    return Pretrained(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "none", "this test")


def images(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone() -> torch.nn.Module:
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    return squeezenet1_1(weights=None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: torch.nn.Module) -> WeightsFolder:
    """Random weights under the names of the real ones."""
    features = {k: v for k, v in backbone.state_dict().items() if k.startswith("features.")}
    save_file(features, tmp_path / "squeeze.safetensors")
    rng = np.random.default_rng(1)
    root = rng.normal(size=(36, 72))
    savemat(tmp_path / "niqe.mat", {"mu_prisparam": rng.normal(size=(1, 36)), "cov_prisparam": root @ root.T})
    needed = {"lpips": declare(tmp_path / "squeeze.safetensors"), "niqe": declare(tmp_path / "niqe.mat")}
    monkeypatch.setattr(quality_networks, "NEEDED", needed)
    return WeightsFolder(tmp_path)


@pytest.mark.filterwarnings("ignore:.*weights.*:UserWarning:torchvision")
def test_lpips_as_the_package(folder: WeightsFolder, backbone: torch.nn.Module) -> None:
    import lpips

    reference = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    layers = dict(backbone.features.named_children())  # type: ignore[operator,union-attr]
    for part in reference.net.children():
        for name, layer in part.named_children():
            layer.load_state_dict(layers[name].state_dict())
    a, b = images(20, 64), images(20, 64, seed=1)

    def tensor(x: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255

    with torch.no_grad():
        expected = reference(tensor(a), tensor(b), normalize=True).flatten().numpy()
    found = Lpips(folder)(a, b)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.std() > 0


def test_lpips_of_equal_images_is_nothing_and_order_does_not_matter(folder: WeightsFolder) -> None:
    measure = Lpips(folder)
    a, b = images(3, 64), images(3, 64, seed=1)
    assert np.array_equal(measure(a, a), np.zeros(3, np.float32))
    assert np.allclose(measure(a, b), measure(b, a), rtol=1e-5)
    assert measure(a[:0], b[:0]).shape == (0,)


def test_lpips_refuses_unlike_shapes(folder: WeightsFolder) -> None:
    with pytest.raises(InputError, match="one shape"):
        Lpips(folder)(images(2, 64), images(2, 65))


def test_lpips_does_not_touch_the_random_numbers_of_its_caller(folder: WeightsFolder) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    Lpips(folder)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_backbone_that_does_not_fit(folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, folder.root / "other.safetensors")
    monkeypatch.setitem(quality_networks.NEEDED, "lpips", declare(folder.root / "other.safetensors"))
    with pytest.raises(Unavailable, match="does not fit the backbone"):
        Lpips(folder)


def test_niqe_is_taken_at_one_size(folder: WeightsFolder) -> None:
    measure = Niqe(folder)
    native = images(2, 224)
    assert measure.recipe == "niqe:size=224,bicubic"
    assert np.allclose(measure(native), niqe(native, measure._mean, measure._covariance), rtol=1e-6)
    for size in (64, 112, 300):
        found = measure(images(2, size))
        assert found.shape == (2,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


@pytest.mark.parametrize(("measure", "name"), [(Lpips, "lpips"), (Niqe, "niqe")])
def test_a_missing_file_is_told_at_construction(measure: type, name: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        measure(WeightsFolder(tmp_path))
    assert NEEDED[name].file in caught.value.reason
    assert NEEDED[name].source in caught.value.remedy
