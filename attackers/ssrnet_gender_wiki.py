"""SSR-Net for gender, trained on the WIKI half of IMDB-WIKI."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import celeba_box
from bench.pretrained import PretrainedAttacker, bgr, stretched, two_class


class SsrNetGenderWiki(PretrainedAttacker):
    title = "SSR-Net gender WIKI"
    paper = "Yang et al., SSR-Net, IJCAI 2018"
    reads = "image"
    predicts = ("gender",)
    pretrained = Pretrained(
        file="ssrnet_gender_wiki.onnx",
        sha256="f4ddc50364967e06223a04624675a75d7e8dfe5971a2abb8261d4354f981facb",
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/wiki_gender_models",
    )
    alignment = celeba_box(7, 50, 169, 214, side=64)

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return stretched(bgr(crops))

    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        return {"gender": two_class(outputs["male_score"][:, 0])}
