"""One training step of the Semi-Adversarial Network family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, l1_loss

from bench.api import Auxiliaries
from methods._blocks.images import luma
from methods._blocks.opponents import Opponents, kept_loss, matching_loss
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.training import Batch, Task

_HIDDEN = frozenset({"gender"})


class SanTask(Task):
    """J_D on the same-gender output, J_G on both, J_M as `matching_on` says (see `methods/san.py`).

    prototypes: mean female and mean male face, float32 (2, 3, S, S) in [0, 1].
    settings: options of the method. Faces of unknown gender are left out of the step.
    """

    def __init__(
        self,
        network: SanAutoencoder,
        prototypes: Tensor,
        auxiliaries: Auxiliaries,
        settings: Mapping[str, Any],
    ) -> None:
        self.network = self.product = network
        self.modules = {"network": network}
        self.optimisers = {"adam": torch.optim.Adam(network.parameters(), lr=settings["rate"])}
        self.prototypes = prototypes
        self.settings = settings
        self.opponents = Opponents(
            auxiliaries,
            confidence=settings["confidence"],
            viewed=settings["viewed"],
            turns=settings["turns"],
        )

    def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
        known = batch.labels["gender"] >= 0
        if not bool(known.any()):
            return {}
        images, gender = batch.images[known], batch.labels["gender"][known]
        losses = self.losses(images, gender, number, batch.generator)
        s = self.settings
        total = s["lambda_pixel"] * losses["pixel"] + s["lambda_gender"] * losses["gender"]
        if "match" in losses:
            total = total + s["lambda_match"] * losses["match"]
        if "kept" in losses:
            total = total + s["lambda_kept"] * losses["kept"]
        self.optimisers["adam"].zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimisers["adam"].step()
        return losses

    def losses(
        self, images: Tensor, gender: Tensor, number: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """`pixel`, `gender`, and where they are asked for `match` and `kept`, in step `number`.

        images: (N, 3, S, S) in [0, 1]; gender: int64 (N,), 0 or 1.
        """
        grey = luma(images)
        same_face = self.prototypes[gender]
        maps = self.network.features(grey, same_face)
        same = self.network.combine(maps, same_face, grey)
        opposite = self.network.combine(maps, self.prototypes[1 - gender], grey)
        shown = torch.cat([same, opposite]).expand(-1, 3, -1, -1)
        wanted = {"gender": torch.cat([gender, 1 - gender])}
        looks = self.opponents.look(shown, number, generator)
        losses = {
            "pixel": self._pixel(same, grey),
            # The paper adds the losses of the two outputs; the mean over both is half of that.
            "gender": 2 * self.opponents.towards(looks, wanted),
        }
        if self._matching(number):
            losses["match"] = self._match(shown[: len(images)], shown[len(images) :], images)
        if self.settings["lambda_kept"]:
            before = self.opponents.look_at_originals(torch.cat([images, images]), number)
            losses["kept"] = kept_loss(looks, before, _HIDDEN)
        return losses

    def _matching(self, number: int) -> bool:
        return number >= self.settings["matching_from"] * self.settings["steps"]

    def _pixel(self, same: Tensor, grey: Tensor) -> Tensor:
        if self.settings["pixel_loss"] == "l1":
            return l1_loss(same, grey)
        return binary_cross_entropy(same, grey)

    def _match(self, same: Tensor, opposite: Tensor, originals: Tensor) -> Tensor:
        with torch.no_grad():
            reference = self.opponents.embedding(originals)
        on = self.settings["matching_on"]
        if on == "mean":
            both = self.opponents.embedding(torch.cat([same, opposite]))
            return matching_loss((both[: len(same)] + both[len(same) :]) / 2, reference)
        return matching_loss(self.opponents.embedding(same if on == "sm" else opposite), reference)
