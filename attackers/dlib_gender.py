"""dlib's gender network: a small VGG-like CNN trained on private images."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, log_probabilities, rgb


class DlibGender(PretrainedAttacker):
    title = "dlib gender"
    paper = "dlib-models, dnn_gender_classifier_v1"
    reads = "image"
    predicts = ("gender",)
    pretrained = Pretrained(
        file="dlib_gender_v1.onnx",
        sha256="c8412fcf57387cc8c57bd097d9331b3dd270f25ee070a159d1d1abf0ae94338f",
        licence="CC0-1.0",
        source="davisking/dlib-models, gender-classifier/dnn_gender_classifier_v1.dat.bz2",
    )
    alignment = celeba_box(34, 75, 144, 185, side=32)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rgb(crops)

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"gender": log_probabilities(outputs["prob_female_male"])}
