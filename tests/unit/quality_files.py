"""Made-up weights with the names and shapes of the real ones, pinned as a user's files are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.io import savemat

from bench.foreign import Pretrained
from bench.metrics.niqe import FEATURES


def declare(path: Path) -> Pretrained:
    return Pretrained(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "none", "this test")


def images(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def backbone(metric: str) -> torch.nn.Module:
    """The convolutions of torchvision's network behind an LPIPS, with random weights."""
    from torchvision.models import AlexNet, squeezenet1_1
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    if metric == "lpips_vgg":
        return make_layers(cfgs["D"], batch_norm=False)
    return (squeezenet1_1(weights=None) if metric == "lpips" else AlexNet()).features


def save_backbone(path: Path, features: torch.nn.Module) -> Pretrained:
    save_file({f"features.{k}": v.contiguous() for k, v in features.state_dict().items()}, path)
    return declare(path)


def save_niqe(path: Path) -> Pretrained:
    rng = np.random.default_rng(1)
    root = rng.normal(0, 0.2, (FEATURES, 2 * FEATURES))
    parameters = {"mu_prisparam": rng.uniform(0.1, 2, (1, FEATURES)), "cov_prisparam": root @ root.T}
    savemat(path, parameters)
    return declare(path)


def forest(features: int, rng: np.random.Generator, trees: int = 4, inner: int = 31) -> dict[str, Any]:
    """Complete binary trees as MATLAB's regRF keeps them: children and features count from 1, 0 is none."""
    nodes = 2 * inner + 1
    left, right = np.zeros((2, nodes, trees), np.int32)
    left[:inner] = 2 * np.arange(inner)[:, None] + 2
    right[:inner] = left[:inner] + 1
    asked = np.zeros((nodes, trees), np.int32)
    asked[:inner] = rng.integers(1, features + 1, (inner, trees))
    return {
        "lDau": left,
        "rDau": right,
        "nodestatus": np.where(left > 0, -3, -1),
        "nrnodes": float(nodes),
        "upper": rng.uniform(0, 2, (nodes, trees)),
        "avnode": rng.uniform(0, 10, (nodes, trees)),
        "mbest": asked,
    }


def save_nrqm(path: Path) -> Pretrained:
    """A struct `model` with `linear` (4, 1) and `rf`, a cell of three forests, in the order pyiqa reads."""
    rng = np.random.default_rng(2)
    forests = np.empty((1, 3), object)
    for n, features in enumerate((18, 45, 75)):
        forests[0, n] = forest(features, rng)
    savemat(path, {"model": {"linear": rng.uniform(0, 1, (4, 1)), "rf": forests}})
    return declare(path)
