"""Sphere network of 20 layers with the CosFace loss, 512-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import SPHEREFACE_96X112
from bench.pretrained import normalised, rgb
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn


class CosFaceSphere20(TorchMatcher):
    """One look at each face; the published figure on LFW joins it with a look at its mirror image."""

    title = "CosFace Sphere20"
    paper = "Wang et al., CosFace, CVPR 2018"
    pretrained = Pretrained(
        file="cosface_sphere20.safetensors",
        sha256="",
        licence="none stated (treat as research use)",
        source="MuggleWang/CosFace_pytorch, sphere20",
    )
    alignment = SPHEREFACE_96X112

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_resnets import Sphere20

        return Sphere20()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), (127.5,), (127.5,))
