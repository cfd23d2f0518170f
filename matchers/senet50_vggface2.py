"""SE-ResNet-50 trained on VGGFace2, 2048-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import VGGFACE2_224
from bench.pretrained import bgr, normalised
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn

_MEAN_BGR = (91.4953, 103.8827, 131.0912)


class SENet50VggFace2(TorchMatcher):
    title = "SE-ResNet-50 VGGFace2"
    paper = "Cao et al., VGGFace2, FG 2018"
    pretrained = Pretrained(
        file="senet50_vggface2.safetensors",
        sha256="",
        licence="non-commercial research (VGGFace2); MIT (port)",
        source="cydonia999/VGGFace2-pytorch, senet50_ft",
    )
    alignment = VGGFACE2_224
    unused = ("fc.",)

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_resnets import SENet50

        return SENet50()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(bgr(crops), _MEAN_BGR, (1.0,))
