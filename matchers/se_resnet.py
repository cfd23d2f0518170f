"""SE-ResNet trained with a plain softmax loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchers._blocks.trained import TrainedMatcher, map_side

if TYPE_CHECKING:
    from torch import nn


class SEResNet(TrainedMatcher):
    """Residual network with squeeze and excitation (Hu et al., CVPR 2018), learning by cross-entropy.

    size: side in pixels the faces are resized to. widths, depths: channels and blocks of the four stages.
    strides: of the stem and the four stages. features: length of the embedding. steps, batch, rate,
    weight_decay: of the training. The preset `paper` has the size and widths of SE-ResNet-34.
    """

    title = "SE-ResNet, softmax"
    paper = "Hu et al., CVPR 2018"
    options = {
        "size": 64,
        "widths": [16, 32, 64, 128],
        "depths": [1, 1, 1, 1],
        "strides": [2, 1, 2, 2, 2],
        "features": 128,
        "steps": 420,
        "batch": 64,
        "rate": 3e-3,
        "weight_decay": 0.05,
    }
    presets = {
        "check": {"widths": [4, 4, 8, 8], "features": 16, "steps": 3, "batch": 8},
        "paper": {
            "size": 224,
            "widths": [64, 128, 256, 512],
            "depths": [3, 4, 6, 3],
            "strides": [4, 1, 2, 2, 2],
            "features": 512,
            "steps": 20000,
            "batch": 256,
            "rate": 1e-3,
        },
    }

    def _trunk(self) -> nn.Module:
        from torch import nn

        from matchers._blocks.trunks import SEBlock, Trunk, flat_neck

        s = self.settings
        neck = flat_neck(s["widths"][-1], map_side(s["size"], s["strides"]), s["features"])
        return Trunk(SEBlock, neck, s["widths"], s["depths"], s["strides"], nn.ReLU())

    def _head(self, identities: int) -> nn.Module:
        from matchers._blocks.margins import SoftmaxHead

        return SoftmaxHead(self.settings["features"], identities)
