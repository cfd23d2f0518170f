"""Features for distances of sets, by made-up weights with the names and shapes of the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from quality_files import backbone, declare, images, save_backbone
from safetensors.torch import load_file, save_file

from bench.errors import Unavailable
from bench.quality import features, measures
from bench.quality.features import InceptionFeatures, SqueezeFeatures
from bench.weights import WeightsFolder


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the names of pytorch-fid's file, with its classifier of 1,008 classes."""
    torch.manual_seed(0)
    tensors = {k: v.clone() for k, v in features.inception().state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor)
        elif name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 1:
            tensor.normal_(0, 0.2)
    tensors |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    path = tmp_path_factory.mktemp("inception") / "inception.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def folder(inception: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsFolder:
    squeeze = save_backbone(inception.parent / "squeeze.safetensors", backbone("lpips"))
    monkeypatch.setattr(features, "SQUEEZENET", squeeze)
    monkeypatch.setattr(features, "INCEPTION", declare(inception))
    return WeightsFolder(inception.parent)


# -- SqueezeNet --------------------------------------------------------------------------------------


def test_squeezenet_is_torchvisions_up_to_its_classifier(folder: WeightsFolder) -> None:
    from torchvision.transforms.functional import normalize

    faces = images(3, 64)
    tensor = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        maps = backbone("lpips").eval()(normalize(tensor, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    found = SqueezeFeatures(folder)(faces)
    assert found.shape == (3, 512)
    assert found.dtype == np.float32
    assert np.allclose(found, maps.mean(dim=(2, 3)).numpy(), rtol=1e-3, atol=1e-5)
    assert SqueezeFeatures(folder)(faces[:0]).shape == (0, 512)


@pytest.mark.skipif("BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights")
def test_the_real_squeezenet_tells_images_apart() -> None:
    found = SqueezeFeatures(WeightsFolder(Path(os.environ["BENCH_WEIGHTS"])))(images(4, 64))
    assert np.isfinite(found).all()
    assert found.std(axis=0).max() > 0


def test_the_recipe_of_squeezenet(folder: WeightsFolder) -> None:
    checksum = features.SQUEEZENET.sha256[:8]
    expected = f"squeezenet1.1,pooled=512,rgb,size=64x64,crop=0,weights={checksum}"
    assert SqueezeFeatures(folder).recipe(64, 64) == expected


def test_torch_on_another_device_finds_the_same(folder: WeightsFolder) -> None:
    """Its "cpu:0" stands in for a graphics card."""
    faces = images(2, 64)
    here, there = SqueezeFeatures(folder)(faces), SqueezeFeatures(folder, "cpu:0")(faces)
    assert np.allclose(here, there, rtol=1e-3, atol=1e-5 * here.std())


# -- Inception ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
def test_inception_as_pyiqas_by_the_same_file(folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyiqa loads its own file inside; here it is kept from that and given ours."""
    from pyiqa.archs import inception as referee
    from pyiqa.archs.fid_arch import ResizeDataset

    def ours(network: torch.nn.Module, *_: object) -> None:
        network.load_state_dict(load_file(folder.root / "inception.safetensors"), strict=True)

    monkeypatch.setattr(referee, "load_pretrained_network", ours)
    network = referee.InceptionV3(output_blocks=[3]).eval()
    faces = images(2, 80)
    from PIL import Image

    for n, face in enumerate(faces):
        Image.fromarray(face).save(folder.root / f"{n}.png")
    resized = ResizeDataset([folder.root / f"{n}.png" for n in range(2)], "clean")
    with torch.no_grad():
        expected = network((torch.stack([resized[0], resized[1]]) - 128) / 128)[0].flatten(1).numpy()
    found = InceptionFeatures(folder)(faces)
    assert found.shape == (2, 2048)
    assert found.std() > 0
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.std())


def test_the_recipe_of_inception(folder: WeightsFolder) -> None:
    checksum = features.INCEPTION.sha256[:8]
    assert InceptionFeatures(folder).recipe(64, 60) == (
        f"inception2015,pooled=2048,rgb,size=299x299,from=64x60,bicubic,crop=0,weights={checksum}"
    )


def test_another_networks_file_does_not_fit(folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "INCEPTION", features.SQUEEZENET)
    with pytest.raises(Unavailable, match="does not fit"):
        InceptionFeatures(folder)


@pytest.mark.parametrize(
    ("extractor", "pretrained"),
    [(SqueezeFeatures, measures.SQUEEZENET), (InceptionFeatures, measures.INCEPTION)],
)
def test_a_missing_file_is_told_at_construction(extractor: type, pretrained, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unavailable) as caught:
        extractor(WeightsFolder(tmp_path))
    assert pretrained.file in caught.value.reason
    assert pretrained.source in caught.value.remedy
