"""What a user may add under the names of image quality's networks and models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from quality_files import backbone, save_backbone, save_niqe, save_nrqm
from safetensors.torch import load_file, save_file

from bench.errors import InputError
from bench.quality.added import check_quality_file
from bench.quality.features import inception


@pytest.mark.parametrize(
    ("name", "metric"), [("alexnet_features", "lpips_alex"), ("vgg16_features", "lpips_vgg")]
)
def test_backbones_with_their_classifier_or_without(name: str, metric: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_backbone(path, backbone(metric))
    check_quality_file(name, path)
    tensors = load_file(path)
    save_file(tensors | {"classifier.1.weight": torch.zeros(3, 3)}, path)
    check_quality_file(name, path)
    save_file(tensors | {"features.0.bias": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"features.0.bias is \(3,\), expected \(64,\)"):
        check_quality_file(name, path)
    save_file(tensors | {"extra": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"extra .* is unknown"):
        check_quality_file(name, path)


def test_a_backbone_is_not_anothers(tmp_path: Path) -> None:
    save_backbone(tmp_path / "squeeze.safetensors", backbone("lpips"))
    with pytest.raises(InputError, match=r"does not hold alexnet_features: .* is missing.*and .* more"):
        check_quality_file("alexnet_features", tmp_path / "squeeze.safetensors")


def test_the_inception_by_the_names_of_pytorch_fid(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in inception().state_dict().items()}
    assert shapes["Mixed_7c.branch_pool.conv.weight"] == (192, 2048, 1, 1)
    tensors = {k: torch.zeros(s) for k, s in shapes.items()} | {"fc.weight": torch.zeros(1008, 2048)}
    path = tmp_path / "file.safetensors"
    save_file(tensors, path)
    check_quality_file("inception_fid_2015", path)
    del tensors["Conv2d_1a_3x3.conv.weight"]
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"Conv2d_1a_3x3.conv.weight \(32, 3, 3, 3\) is missing"):
        check_quality_file("inception_fid_2015", path)


def test_nrqms_model(tmp_path: Path) -> None:
    save_nrqm(tmp_path / "nrqm.mat")
    check_quality_file("nrqm_model", tmp_path / "nrqm.mat")
    save_niqe(tmp_path / "niqe.mat")
    with pytest.raises(InputError, match="does not hold NRQM's model"):
        check_quality_file("nrqm_model", tmp_path / "niqe.mat")


def test_other_names_are_no_concern(tmp_path: Path) -> None:
    check_quality_file("mobilefacenet_y1_insightface", tmp_path / "absent")
