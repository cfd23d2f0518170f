"""mini_XCEPTION for expressions, trained on FER2013: whether a face smiles, from its `happy`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, grey, log_probabilities, normalised

_HAPPY = 3


class MiniXceptionEmotion(PretrainedAttacker):
    title = "mini_XCEPTION smiling"
    paper = "Arriaga et al., arXiv:1710.07557"
    reads = "image"
    predicts = ("smiling",)
    pretrained = Pretrained(
        file="emotion_mini_xception_fer2013.onnx",
        sha256="1a7a40237aae18542ccdc06d09dc1defc9684c2afbbb10c4d3c36c1d7bf3ac9d",
        licence="MIT",
        source=(
            "oarriaga/face_classification, trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5"
        ),
    )
    alignment = celeba_box(43, 87, 133, 178, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(grey(crops), (127.5,), (127.5,))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        expressions = outputs["prob7"].astype(np.float64)
        others = np.delete(expressions, _HAPPY, axis=1).sum(axis=1)
        return {"smiling": log_probabilities(np.stack([others, expressions[:, _HAPPY]], axis=1))}
