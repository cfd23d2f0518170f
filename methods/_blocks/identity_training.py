"""What Li et al. (ACM MM 2021) add to StarGAN's training: an auxiliary recogniser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import triplet_margin_loss

from bench.api import AuxiliaryMatcher
from methods._blocks.gan_training import GanTask
from methods._blocks.training import Batch


class IdentityTask(GanTask):
    """StarGAN's step with an identity loss, which option `identity_loss` names.

    perceptual: `perceptual_distance` to the original, in the generator's loss, as the paper prints it. Its
        weight `lambda_id` grows in a straight line from 0 at the share `id_from` of the training to all of it
        at the end.
    triplet_inert: a triplet loss in the critic's, as the authors' code has it. The critic's parameters do not
        enter it, and the generator is not updated by it: training is StarGAN's, to the last bit.
    """

    def _opposed(
        self, shown: Tensor, target: Mapping[str, Tensor], number: int, batch: Batch
    ) -> dict[str, Tensor]:
        losses = super()._opposed(shown, target, number, batch)
        growth = self._growth(number)
        if self.settings["identity_loss"] == "perceptual" and growth and self.settings["lambda_id"]:
            losses["id"] = growth * perceptual_distance(self.matcher, batch.images, shown)
        return losses

    def _growth(self, number: int) -> float:
        """Share of `lambda_id` that step `number` uses."""
        start, done = self.settings["id_from"], (number + 1) / self.settings["steps"]
        return max(0.0, (done - start) / (1 - start)) if start < 1 else 0.0

    def _beside_critic(self, images: Tensor, fake: Tensor) -> dict[str, Tensor]:
        if self.settings["identity_loss"] != "triplet_inert":
            return {}
        drawn, own = (self.matcher(x / 2 + 0.5) for x in (fake, images))
        return {"id": triplet_margin_loss(drawn, own, own.roll(1, 0), margin=1.0)}


def perceptual_distance(matcher: AuxiliaryMatcher, originals: Tensor, images: Tensor) -> Tensor:
    """Eq. 7 for the last convolutional maps and the embedding: sum over layers k of |R_k(X) - R_k(X')|_2.

    Each is divided by |R_k(X)|_2, or the layer with more and larger numbers would be all that counts. Mean
    over samples; at least 0. Gradients flow into `images` alone.
    """
    with torch.no_grad():
        maps = matcher.maps(originals)
        before = (maps.flatten(1), matcher.embed_maps(maps))
    maps = matcher.maps(images)
    after = (maps.flatten(1), matcher.embed_maps(maps))
    distances = [
        (b - a).norm(dim=1) / b.norm(dim=1).clamp(min=1e-6) for b, a in zip(before, after, strict=True)
    ]
    return torch.stack(distances).sum(0).mean()
