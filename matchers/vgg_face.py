"""VGG-Face: VGG-16 trained on 2,622 people, 4096-D from its second fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.api import Pretrained
from bench.geometry import VGGFACE2_224
from bench.pretrained import normalised, rgb
from bench.pretrained_torch import TorchMatcher

if TYPE_CHECKING:
    from torch import nn

_MEAN_RGB = (129.1863, 104.7624, 93.5940)


class VggFace(TorchMatcher):
    """The MatConvNet release and its port read RGB; the Caffe and Lua ones of the same network read BGR, so
    their first layer would have to be turned around.

    The crop is that of VGGFace2, by the same group and just as loose; the paper takes the centre of 224 from
    a face of 256 as well, without numbers for the detector's box.
    """

    title = "VGG-Face"
    paper = "Parkhi et al., Deep Face Recognition, BMVC 2015"
    pretrained = Pretrained(
        file="vgg_face.safetensors",
        sha256="",
        licence="CC BY-NC 4.0 (Visual Geometry Group)",
        source="vgg_face_dag, the PyTorch port of VGG-Face's MatConvNet release",
    )
    alignment = VGGFACE2_224
    unused = ("fc8.",)

    @classmethod
    def _build(cls) -> nn.Module:
        from matchers._blocks.published_resnets import VggFace16

        return VggFace16()

    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalised(rgb(crops), _MEAN_RGB, (1.0,))
