"""SSR-Net for age, trained on the IMDB half of IMDB-WIKI."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, bgr, stretched


class SsrNetAgeImdb(PretrainedAttacker):
    title = "SSR-Net age IMDB"
    paper = "Yang et al., SSR-Net, IJCAI 2018"
    reads = "image"
    predicts = ("age",)
    pretrained = Pretrained(
        file="ssrnet_age_imdb.onnx",
        sha256="0c2d4af6ba4806ebfcce3ba8976e89e38147e05101ac3213ac7485101cc5f6a9",
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/imdb",
    )
    alignment = celeba_box(7, 50, 169, 214, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return stretched(bgr(crops))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"age": outputs["age_years"].reshape(-1, 1)}
