"""MobileFaceNet with ReLU6, trained on refined MS-Celeb-1M, 128-D."""

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import ARCFACE_112
from bench.pretrained import PretrainedMatcher, normalised, rgb

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)


class MobileFaceNetMs1m(PretrainedMatcher):
    title = "MobileFaceNet MS1M"
    paper = "Chen et al., MobileFaceNets, CCBR 2018"
    pretrained = Pretrained(
        file="mobilefacenet_ms1m_foamliu.onnx",
        sha256="19788ce481f1b004cbe9a8494cdcacbc1e434e28a106d32f0cc9ad1a04b19c20",
        licence="Apache-2.0",
        source="foamliu/MobileFaceNet, weights/MobileFaceNet.onnx",
    )
    alignment = ARCFACE_112

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), _IMAGENET_MEAN, _IMAGENET_DEVIATION)
