"""Control: the same image for everybody, the lower end of every scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import SOFT_BIOMETRICS, Auxiliaries, Context, Faces, Method, Request, State, resize, to_tensor
from methods._blocks.images import luma

if TYPE_CHECKING:
    from torch import Tensor


class Constant(Method):
    """The mean grey face of DEVELOP whoever is shown: no leak, no matching. Brought to the size at hand."""

    title = "Constant face"
    role = "control"
    obfuscates = SOFT_BIOMETRICS
    trained = True
    uses_auxiliaries = False

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        mean = faces.images.mean(axis=0, dtype=np.float64).round().astype(np.uint8)
        self._face = luma(to_tensor(mean[None])).numpy()
        return {"mean_grey_level": float(self._face.mean())}

    def state(self) -> State:
        return {"face": self._face}

    def restore(self, state: State) -> None:
        self._face = state["face"]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        import torch

        face = resize(torch.from_numpy(self._face).to(images.device), images.shape[-1])
        return face.expand_as(images).contiguous()
