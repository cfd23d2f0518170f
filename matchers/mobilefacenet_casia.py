"""MobileFaceNet trained on CASIA-WebFace with ArcFace loss, 128-D."""

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import SPHEREFACE_96X112
from bench.pretrained import PretrainedMatcher, normalised, rgb


class MobileFaceNetCasia(PretrainedMatcher):
    title = "MobileFaceNet CASIA"
    paper = "Chen et al., MobileFaceNets, CCBR 2018"
    pretrained = Pretrained(
        file="mobilefacenet_casia_112x96.onnx",
        sha256="c67cdcb9cc3491273025bcdda9897539726091cc23dbe244c50c33c06c740439",
        licence="none stated (treat as research use)",
        source="Xiaoccer/MobileFaceNet_Pytorch, model/best/068.ckpt",
    )
    alignment = SPHEREFACE_96X112

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), (127.5,), (128,))
