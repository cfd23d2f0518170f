"""Quality figures that need foreign files: which, and how many images they look at."""

from __future__ import annotations

from dataclasses import dataclass

from bench.foreign import Pretrained
from bench.weights import PRETRAINED

SQUEEZENET = PRETRAINED["squeezenet1_1_features"].pretrained
ALEXNET = PRETRAINED["alexnet_features"].pretrained
VGG16 = PRETRAINED["vgg16_features"].pretrained
INCEPTION = PRETRAINED["inception_fid_2015"].pretrained
NIQE = PRETRAINED["niqe_modelparameters"].pretrained
NRQM = PRETRAINED["nrqm_model"].pretrained


@dataclass(frozen=True)
class Measure:
    """files: all must be at hand. most: images it looks at, at most; 0: as many as the run says."""

    files: tuple[Pretrained, ...]
    most: int = 0


BY_IMAGE = {
    "lpips": Measure((SQUEEZENET,)),
    "lpips_alex": Measure((ALEXNET,)),
    "lpips_vgg": Measure((VGG16,)),
    "niqe": Measure((NIQE,)),
    # NRQM takes seconds an image.
    "pi": Measure((NIQE, NRQM), most=16),
}
"""Figures of each image; their mean is reported."""

BY_SET = {
    "fid": Measure((INCEPTION,)),
    "kid": Measure((INCEPTION,)),
    "fd_squeeze": Measure((SQUEEZENET,)),
    "kd_squeeze": Measure((SQUEEZENET,)),
}
"""Distances of the set of protected from the set of original images."""

SET_FACTOR = 8
"""Sets are so many times as large as the sample that other figures look at, if the pool has as many."""
