"""InsightFace's gender and age network (MobileNet 0.25); it normalises pixels itself."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import ARCFACE_112
from bench.pretrained import PretrainedAttacker, rgb


class InsightFaceGenderAge(PretrainedAttacker):
    title = "InsightFace gender-age"
    paper = "insightface, gender-age model of 2018"
    reads = "image"
    predicts = ("gender", "age")
    pretrained = Pretrained(
        file="genderage_mobilenet_insightface.onnx",
        sha256="dc53138f14bef1d504e6c863b8e431be4c585ac72f18789f089ee4f01649e528",
        licence="MIT (repository); models for non-commercial research only",
        source="deepinsight/insightface, gender-age/model/model-0000.params",
    )
    alignment = ARCFACE_112

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rgb(crops)

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        logits = outputs["logits202"].astype(np.float64)
        gender = logits[:, :2] - np.logaddexp(logits[:, :1], logits[:, 1:2])
        # A hundred yes-no questions "older than k years?"; the age is the number of yeses.
        older = logits[:, 2:].reshape(len(logits), 100, 2)
        return {"gender": gender, "age": (older[..., 1] > older[..., 0]).sum(axis=1, keepdims=True)}
