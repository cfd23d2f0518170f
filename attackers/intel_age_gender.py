"""Intel's age and gender network, in its 8-bit version."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, bgr, log_probabilities


class IntelAgeGender(PretrainedAttacker):
    title = "Intel age-gender"
    paper = "Intel Open Model Zoo, age-gender-recognition-retail-0013"
    reads = "image"
    predicts = ("gender", "age")
    pretrained = Pretrained(
        file="age_gender_retail_0013.onnx",
        sha256="b5a12fe066c3e2a9b5f27f3facc5b80eeaa58e6a475293f9f32e7cca3f74bad5",
        licence="Apache-2.0 (Intel Open Model Zoo); the carrying repository states none",
        source=(
            "denilgabani/person-recognition-reidentification-age-gender-classification, "
            "intel/age-gender-recognition-retail-0013/FP16-INT8"
        ),
    )
    alignment = celeba_box(34, 75, 142, 184, side=62)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return bgr(crops)

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {
            "gender": log_probabilities(outputs["gender_prob_female_male"]),
            "age": 100 * outputs["age_div100"],
        }
