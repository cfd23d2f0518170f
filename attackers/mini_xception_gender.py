"""mini_XCEPTION for gender, trained on IMDB-WIKI; needs a wide crop."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, grey, log_probabilities, normalised


class MiniXceptionGender(PretrainedAttacker):
    title = "mini_XCEPTION gender"
    paper = "Arriaga et al., arXiv:1710.07557"
    reads = "image"
    predicts = ("gender",)
    pretrained = Pretrained(
        file="gender_mini_xception_imdb.onnx",
        sha256="a8a861988dba44e5f8bda8bb6243e7787db301e6b6e14e2417df85e04e9d0f3d",
        licence="MIT",
        source="oarriaga/face_classification, trained_models/gender_models/gender_mini_XCEPTION.21-0.95.hdf5",
    )
    alignment = celeba_box(23, 47, 153, 218, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(grey(crops), (127.5,), (127.5,))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"gender": log_probabilities(outputs["prob_woman_man"])}
