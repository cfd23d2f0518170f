"""Improved residual network trained with the additive angular margin of ArcFace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchers._blocks.trained import TrainedMatcher, map_side

if TYPE_CHECKING:
    from torch import nn


class ArcFace(TrainedMatcher):
    """IR blocks (BN-conv-BN-PReLU-conv-BN) and the ArcFace loss s cos(theta + m) (Deng et al., CVPR 2019).

    scale, margin: s and m; the margin is in radians and exists in training only. Other options as in
    `se_resnet`. The preset `paper` is the IR-50 layout at 112 px with s = 64 and m = 0.5; s and m are smaller
    by default because a few hundred identities and steps do not converge with those.
    """

    title = "IR-ResNet, ArcFace"
    paper = "Deng et al., CVPR 2019"
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
            "depths": [3, 4, 14, 3],
            "strides": [1, 2, 2, 2, 2],
            "features": 512,
            "scale": 64.0,
            "margin": 0.5,
            "steps": 20000,
            "batch": 256,
            "rate": 1e-3,
        },
    }

    def _trunk(self) -> nn.Module:
        from torch import nn

        from matchers._blocks.trunks import IRBlock, Trunk, flat_neck

        s = self.settings
        neck = flat_neck(s["widths"][-1], map_side(s["size"], s["strides"]), s["features"])
        return Trunk(IRBlock, neck, s["widths"], s["depths"], s["strides"], nn.PReLU(s["widths"][0]))

    def _head(self, identities: int) -> nn.Module:
        from matchers._blocks.margins import ArcFaceHead

        s = self.settings
        return ArcFaceHead(s["features"], identities, s["scale"], s["margin"])
