"""Convolutional network on wavelet bands of the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attackers._blocks.pixel import PixelAttacker

if TYPE_CHECKING:
    from torch import nn


class CNNWavelet(PixelAttacker):
    """Convolutions on Haar bands with blur pooling (Zhang, ICML 2019).

    size: side in pixels the faces are resized to, even. widths: channels of the stages. depth: convolutions
    a stage. steps, batch, rate, weight_decay: of the training.
    """

    title = "CNN, wavelet bands"
    reads = "image"
    adaptive = False  # training it takes a minute a method
    options = {
        "size": 64,
        "widths": [24, 48, 96, 128],
        "depth": 1,
        "steps": 450,
        "batch": 64,
        "rate": 3e-3,
        "weight_decay": 0.05,
    }
    presets = {
        "check": {"widths": [4, 8], "steps": 3, "batch": 8},
        "paper": {"size": 112, "widths": [64, 128, 256, 512], "depth": 2, "steps": 8000, "rate": 1e-3},
    }

    def _trunk(self) -> tuple[nn.Module, int]:
        from attackers._blocks.networks import wavelet_trunk

        widths = self.settings["widths"]
        return wavelet_trunk(widths, self.settings["depth"]), widths[-1]
