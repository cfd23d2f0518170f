"""Intel's face re-identification network: MobileNetV2 with squeeze-excitation, 256-D."""

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import INTEL_128
from bench.pretrained import PretrainedMatcher, bgr


class IntelReid(PretrainedMatcher):
    title = "Intel re-id"
    paper = "Intel Open Model Zoo, face-reidentification-retail-0095"
    pretrained = Pretrained(
        file="face_reidentification_retail_0095.onnx",
        sha256="b3cae2ac7e6a31eb07ec8a29035d2b8007c1d631397199260620802228d093db",
        licence="Apache-2.0 (Intel Open Model Zoo); the carrying repository states none",
        source="thstung/Employee-Auto-Checking, Models/face-reidentification-retail-0095/FP32",
    )
    alignment = INTEL_128

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return bgr(crops)
