"""Encoder of DR-GAN, 320-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import CASIANET_96
from bench.pretrained import bgr, normalised
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn


class DRGan(TorchMatcher):
    """The encoder half of the generator; a file of the whole generator is taken, the decoder left aside.

    The port reads BGR in [-1, 1]. It comes without numbers, and the paper's authors publish TensorFlow code:
    the file is one that somebody trained with the port.
    """

    title = "DR-GAN encoder"
    paper = "Tran et al., DR-GAN, CVPR 2017"
    pretrained = Pretrained(
        file="dr_gan.safetensors",
        sha256="",
        licence="none stated (treat as research use)",
        source="kayamin/DR-GAN, generator of single-image DR-GAN",
    )
    alignment = CASIANET_96
    unused = ("G_dec_convLayers.", "G_dec_fc.")

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_resnets import CasiaNetEncoder

        return CasiaNetEncoder()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(bgr(crops), (127.5,), (127.5,))
