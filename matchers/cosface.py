"""Sphere network trained with the additive cosine margin of CosFace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchers._blocks.trained import TrainedMatcher, map_side

if TYPE_CHECKING:
    from torch import nn


class CosFace(TrainedMatcher):
    """Sphere-type residual network and the CosFace loss s (cos theta - m) (Wang et al., CVPR 2018).

    scale, margin: s and m, in training only. Other options as in `se_resnet`. The preset `paper` has the
    layout of Sphere20 at 112 px with s = 64 and m = 0.35; by default both are smaller because a few hundred
    identities and steps do not converge with those.
    """

    title = "Sphere network, CosFace"
    paper = "Wang et al., CVPR 2018"
    options = {
        "size": 64,
        "widths": [16, 32, 64, 128],
        "depths": [1, 1, 1, 1],
        "strides": [2, 1, 2, 2, 2],
        "features": 128,
        "scale": 16.0,
        "margin": 0.1,
        "steps": 420,
        "batch": 64,
        "rate": 3e-3,
        "weight_decay": 0.05,
    }
    presets = {
        "check": {"widths": [4, 4, 8, 8], "features": 16, "steps": 3, "batch": 8},
        "paper": {
            "size": 112,
            "widths": [64, 128, 256, 512],
            "depths": [1, 2, 4, 1],
            "strides": [1, 2, 2, 2, 2],
            "features": 512,
            "scale": 64.0,
            "margin": 0.35,
            "steps": 20000,
            "batch": 256,
            "rate": 1e-3,
        },
    }

    def _trunk(self) -> nn.Module:
        from torch import nn

        from matchers._blocks.trunks import SphereBlock, Trunk, flat_neck

        s = self.settings
        neck = flat_neck(s["widths"][-1], map_side(s["size"], s["strides"]), s["features"])
        return Trunk(SphereBlock, neck, s["widths"], s["depths"], s["strides"], nn.PReLU(s["widths"][0]))

    def _head(self, identities: int) -> nn.Module:
        from matchers._blocks.margins import CosFaceHead

        s = self.settings
        return CosFaceHead(s["features"], identities, s["scale"], s["margin"])
