"""OpenFace nn4.small2, 128-D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import OPENFACE_96
from bench.pretrained import normalised, rgb
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn


class OpenFaceNN4(TorchMatcher):
    """OpenFace aligns by three of 68 points and an affine map; here five and a similarity serve."""

    title = "OpenFace nn4.small2"
    paper = "Amos et al., OpenFace, CMU-CS-16-118, 2016"
    pretrained = Pretrained(
        file="openface_nn4_small2.safetensors",
        sha256="",
        licence="Apache-2.0 (cmusatyalab/openface)",
        source="thnkim/OpenFacePytorch, openface.pth (nn4.small2.v1)",
    )
    alignment = OPENFACE_96

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_inceptions import OpenFaceNN4Small2

        return OpenFaceNN4Small2()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), (0.0,), (255.0,))
