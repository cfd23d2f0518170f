"""InsightFace's IR-50 with the ArcFace loss, 512-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import ARCFACE_112
from bench.pretrained import normalised, rgb
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn


class ArcFaceIR50(TorchMatcher):
    title = "ArcFace IR-50"
    paper = "Deng et al., ArcFace, CVPR 2019"
    pretrained = Pretrained(
        file="arcface_ir50.safetensors",
        sha256="",
        licence="MIT (code); models for non-commercial research only",
        source="deepinsight/insightface, arcface_torch, iresnet50",
    )
    alignment = ARCFACE_112

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_resnets import IResNet

        return IResNet((3, 4, 14, 3))

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), (127.5,), (127.5,))
