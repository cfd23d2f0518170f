"""InsightFace's MobileFaceNet y1, ArcFace loss on refined MS-Celeb-1M, 128-D; it normalises pixels itself."""

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import ARCFACE_112
from bench.pretrained import PretrainedMatcher, rgb


class MobileFaceNetY1(PretrainedMatcher):
    title = "MobileFaceNet y1"
    paper = "Deng et al., ArcFace, CVPR 2019; Chen et al., MobileFaceNets, CCBR 2018"
    pretrained = Pretrained(
        file="mobilefacenet_y1_insightface.onnx",
        sha256="cb1db861afbc870676789485eb53980ae33c035dde9787552c7925756bf7e3ec",
        licence="MIT (repository); models for non-commercial research only",
        source="terryshyan/libovface, models/model-y1-0000",
    )
    alignment = ARCFACE_112

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rgb(crops)
