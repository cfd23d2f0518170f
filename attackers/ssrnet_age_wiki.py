"""SSR-Net for age, trained on the WIKI half of IMDB-WIKI."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, bgr, stretched


class SsrNetAgeWiki(PretrainedAttacker):
    title = "SSR-Net age WIKI"
    paper = "Yang et al., SSR-Net, IJCAI 2018"
    reads = "image"
    predicts = ("age",)
    pretrained = Pretrained(
        file="ssrnet_age_wiki.onnx",
        sha256="54f1ee318f3e34b5f350e3c09c83641cfc0ce019b124187efa42dfd951f17e8c",
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/wiki",
    )
    alignment = celeba_box(7, 50, 169, 214, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return stretched(bgr(crops))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"age": outputs["age_years"].reshape(-1, 1)}
