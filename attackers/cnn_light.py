"""Light CNN with max-feature-map activations on pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attackers._blocks.pixel import PixelAttacker

if TYPE_CHECKING:
    from torch import nn


class CNNLight(PixelAttacker):
    """Light CNN (Wu et al., TIFS 2018).

    size: side in pixels the faces are resized to. widths: channels of the stages. features: width of
    the last layer. steps, batch, rate, weight_decay: of the training.
    """

    title = "CNN, Light CNN"
    reads = "image"
    adaptive = False  # training it takes a minute a method
    options = {
        "size": 64,
        "widths": [16, 24, 48, 64],
        "features": 128,
        "steps": 450,
        "batch": 64,
        "rate": 3e-3,
        "weight_decay": 0.05,
    }
    presets = {
        "check": {"widths": [4, 4], "features": 8, "steps": 3, "batch": 8},
        "paper": {
            "size": 128,
            "widths": [48, 96, 192, 128, 128],
            "features": 256,
            "steps": 8000,
            "rate": 1e-3,
        },
    }

    def _trunk(self) -> tuple[nn.Module, int]:
        from attackers._blocks.networks import light_trunk

        s = self.settings
        return light_trunk(s["widths"], s["size"], s["features"]), s["features"]
