"""FaceNet: Inception-ResNet-v1 trained on VGGFace2, 512-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import FACENET_160
from bench.pretrained import normalised, rgb
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn


class FaceNetVggFace2(TorchMatcher):
    title = "FaceNet VGGFace2"
    paper = "Schroff et al., FaceNet, CVPR 2015"
    pretrained = Pretrained(
        file="facenet_vggface2.safetensors",
        sha256="",
        licence="MIT (repositories)",
        source="timesler/facenet-pytorch, 20180402-114759-vggface2 (davidsandberg/facenet)",
    )
    alignment = FACENET_160
    unused = ("logits.",)

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_inceptions import InceptionResnetV1

        return InceptionResnetV1()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), (127.5,), (128.0,))
