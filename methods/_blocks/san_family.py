"""What SAN, its ensemble and FlowSAN share: settings, prototypes, one trained network with its strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Faces, InputError, State, resize, to_tensor, to_uint8

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.san_autoencoder import SanAutoencoder

PAPER: dict[str, Any] = {
    "size": 224,
    "keep_detail": False,
    "widths": [8, 12, 256, 128],
    "residual": False,
    "steps": 393_375,
    "batch": 8,
    "rate": 2e-4,
    "decay_from": 1.0,
    "average": 0.0,
    "snapshots": 1,
    "pixel_loss": "bce",
    "matching_on": "op",
    "matching_from": 0.25,
    "lambda_pixel": 1.0,
    "lambda_gender": 1.0,
    "lambda_match": 1.0,
    "lambda_kept": 0.0,
    "confidence": 1.0,
    "viewed": False,
    "turns": [],
    "strengths": [1.0],
    "keep_matching": 0.85,
}
"""The printed network, its schedule and its losses; see `methods/san.py`."""

QUICK: dict[str, Any] = {
    "size": 64,
    "keep_detail": True,
    "widths": [16, 24, 64, 32],
    "residual": True,
    "batch": 16,
    "rate": 2e-3,
    "decay_from": 0.5,
    "average": 0.99,
    "matching_from": 0.0,
    "lambda_match": 4.0,
    "lambda_kept": 0.5,
    "confidence": 0.8,
    "viewed": True,
    "keep_matching": 0.75,
}
"""What small faces and minutes of training need."""

CHECK: dict[str, Any] = {"size": 0, "widths": [4, 4, 8, 8], "steps": 4, "viewed": True, "lambda_kept": 0.5}
"""The same code in seconds."""


@dataclass(frozen=True)
class Prototypes:
    """means: mean female and mean male face, uint8 (2, S, S, 3). male_share: of faces of known gender."""

    means: NDArray[np.uint8]
    male_share: float

    @classmethod
    def of(cls, faces: Faces, size: int) -> Prototypes:
        """Of `faces`, brought to `size` px; faces of unknown gender count in neither.

        Raises InputError when one of the two is missing.
        """
        gender = faces.labels["gender"]
        means = []
        for value in (0, 1):
            rows = np.flatnonzero(gender == value)
            if not rows.size:
                raise InputError(f"SAN needs faces of both genders in DEVELOP; gender {value} is missing")
            parts = np.array_split(rows, len(rows) // 512 + 1)
            total = sum(faces.images[part].sum(0, dtype=np.float64) for part in parts)
            means.append((total / len(rows)).round().astype(np.uint8))
        share = float((gender == 1).sum() / np.isfinite(gender).sum())
        return cls(to_uint8(resize(to_tensor(np.stack(means)), size)), share)

    @classmethod
    def restored(cls, state: State) -> Prototypes:
        """From what `state` returned."""
        return cls(state["prototypes"], float(state["male_share"][0]))

    def state(self) -> State:
        return {"prototypes": self.means, "male_share": np.array([self.male_share], np.float32)}

    def tensor(self, device: Any, size: int = 0) -> Tensor:
        """Female and male, float32 (2, 3, size, size) in [0, 1]; at their own size if 0."""
        own = to_tensor(self.means, device)
        return resize(own, size) if size else own

    def neutral(self, device: Any, size: int) -> Tensor:
        """The mean of both by their shares, float32 (1, 3, size, size) in [0, 1]."""
        both = self.tensor(device, size)
        return self.male_share * both[1:] + (1 - self.male_share) * both[:1]


@dataclass
class Stage:
    """A Semi-Adversarial Network with the strength its change is applied with (1: as it was trained)."""

    network: SanAutoencoder
    strength: float = 1.0

    def __call__(self, grey: Tensor, same: Tensor, joined: Tensor) -> Tensor:
        """Grey faces (N, 1, H, W) in [0, 1] joined with the prototypes `joined`; `same`: of their own
        gender, both (N, 3, H, W) in [0, 1]. Returns (N, 1, H, W) in [0, 1].
        """
        from bench.inference.algebra import evaluated

        drawn = evaluated(self.network, grey.device)(grey, same, joined)
        return (grey + self.strength * (drawn - grey)).clamp(0, 1)


def new_network(settings: Any, seed: int) -> SanAutoencoder:
    """Untrained, with the `widths` and `residual` of `settings`."""
    import torch

    from methods._blocks.san_autoencoder import SanAutoencoder

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return SanAutoencoder(settings["widths"], residual=settings["residual"])
