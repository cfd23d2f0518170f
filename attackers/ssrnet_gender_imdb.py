"""SSR-Net for gender, trained on the IMDB half of IMDB-WIKI."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, bgr, stretched, two_class


class SsrNetGenderImdb(PretrainedAttacker):
    title = "SSR-Net gender IMDB"
    paper = "Yang et al., SSR-Net, IJCAI 2018"
    reads = "image"
    predicts = ("gender",)
    pretrained = Pretrained(
        file="ssrnet_gender_imdb.onnx",
        sha256="db14ef656196cd2933aedae6a23b50b40e5c2f5761e74e4f3e190e82f4653f54",
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/imdb_gender_models",
    )
    alignment = celeba_box(7, 50, 169, 214, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return stretched(bgr(crops))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"gender": two_class(outputs["male_score"][:, 0])}
