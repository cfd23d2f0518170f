"""One step of WGAN-GP training of a generator that is told attributes (PrivacyNet, section 3; STGAN)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench.api import Auxiliaries
from bench.training import adam, descend
from methods._blocks.critic import gradient_penalty, wasserstein_loss
from methods._blocks.labels import LabelCode, target_labels
from methods._blocks.networks import Critic
from methods._blocks.opponents import Opponents, kept_loss, matching_loss
from methods._blocks.stu import StganCritic
from methods._blocks.training import Batch, Task


class GanTask(Task):
    """A critic update in every step, a generator update in each `critic_steps`-th.

    generator: images in [-1, 1] and what `code.guide` says -> images in [-1, 1].
    size: side of the training images. settings: options of the method; every `lambda_*` of 0 drops its term.
    Hooks with an underscore are what members of the family differ in.
    """

    def __init__(
        self,
        generator: nn.Module,
        code: LabelCode,
        size: int,
        auxiliaries: Auxiliaries,
        settings: Mapping[str, Any],
        *,
        seed: int,
    ) -> None:
        s = self.settings = settings
        self.generator = self.product = generator
        self.code = code
        self.matcher = auxiliaries.matcher
        with torch.random.fork_rng([]):
            torch.manual_seed(seed + 1)
            self.critic = self._new_critic(size)
        self.modules = {"generator": generator, "critic": self.critic}
        betas = (s["beta1"], s["beta2"])
        self.optimisers = {
            "generator": adam(generator.parameters(), s["rate"], betas),
            "critic": adam(self.critic.parameters(), s["critic_rate"], betas),
        }
        self.opponents = Opponents(
            auxiliaries, confidence=s["confidence"], viewed=s["viewed"], turns=s["turns"]
        )

    def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images * 2 - 1
        source = {name: batch.labels[name] for name in self.code.classes}
        target = self._targets(source, batch)
        generates = (number + 1) % self.settings["critic_steps"] == 0
        with torch.set_grad_enabled(generates):
            # Images are float32 in any precision: classifiers resize them, losses compare them.
            fake = self.generator(images, self.code.guide(source, target)).float()
        losses = self._critic_step(images, fake.detach(), source, batch)
        if generates:
            losses |= self._generator_step(images, fake, source, target, number, batch)
        return losses

    def _new_critic(self, size: int) -> nn.Module:
        s = self.settings
        return Critic(size, self.code.width, width=s["critic_width"], depth=s["critic_depth"])

    def _targets(self, source: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Labels to aim at. Option `targets`: `drawn` (where a method has no such option) changes each
        attribute of each face to another class with probability `change`; `shuffled` gives each face the
        labels of another one of the batch, where both are known."""
        if self.settings.get("targets", "drawn") == "shuffled":
            order = batch.uniform().argsort()
            unknown = {name: (label < 0) | (label[order] < 0) for name, label in source.items()}
            return {n: torch.where(unknown[n], label, label[order]) for n, label in source.items()}
        draws = batch.uniform(len(source), 2)
        changed = draws[:, :, 0] < self._change().to(draws.device)
        others = target_labels(source, dict.fromkeys(source, "other"), self.code.classes, draws[:, :, 1])
        columns = enumerate(source.items())
        return {name: torch.where(changed[:, i], others[name], label) for i, (name, label) in columns}

    def _change(self) -> Tensor:
        """Probability of each attribute to be changed, float32 (attributes,)."""
        return torch.full((len(self.code.classes),), self.settings["change"])

    def _reconstruction(
        self, images: Tensor, fake: Tensor, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
    ) -> Tensor:
        """What should be the images again: here the cycle, back from the target to the source."""
        back: Tensor = self.generator(fake, self.code.guide(target, source)).float()
        return back

    def _beside_critic(self, images: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Further terms of the critic's loss, by name; each weighs its `lambda_*`."""
        return {}

    def _critic_step(
        self, images: Tensor, fake: Tensor, source: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        real_scores, logits = self.critic(images)
        losses = {
            "critic": wasserstein_loss(real_scores, self.critic(fake)[0]),
            "penalty": gradient_penalty(lambda x: self.critic(x)[0], images, fake, batch.uniform()),
            "critic_labels": self.code.loss(logits, source),
        }
        losses |= self._beside_critic(images, fake)
        descend(self.optimisers["critic"], self._weighted(losses, "critic"))
        return losses

    def _generator_step(
        self,
        images: Tensor,
        fake: Tensor,
        source: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        number: int,
        batch: Batch,
    ) -> dict[str, Tensor]:
        scores, logits = self.critic(fake)
        losses = {"adversarial": -scores.float().mean(), "labels": self.code.loss(logits, target)}
        if self.settings["lambda_rec"]:
            losses["rec"] = l1_loss(self._reconstruction(images, fake, source, target), images)
        if self.settings["lambda_pixel"]:
            losses["pixel"] = l1_loss(fake, images)
        losses |= self._opposed(fake / 2 + 0.5, target, number, batch)
        descend(self.optimisers["generator"], self._weighted(losses, "adversarial"))
        return losses

    def _opposed(
        self, shown: Tensor, target: Mapping[str, Tensor], number: int, batch: Batch
    ) -> dict[str, Tensor]:
        """Losses of the auxiliaries for images in [0, 1]."""
        s = self.settings
        losses: dict[str, Tensor] = {}
        if s["lambda_match"]:
            with torch.no_grad():
                reference = self.opponents.embedding(batch.images)
            losses["match"] = matching_loss(self.opponents.embedding(shown), reference)
        if s["lambda_classifiers"] or s["lambda_kept"]:
            # The generator's own count, or critic steps would leave out some classifiers' turns.
            turn = number // s["critic_steps"]
            looks = self.opponents.look(shown, turn, batch.generator)
            losses["classifiers"] = self.opponents.towards(looks, target)
            if s["lambda_kept"]:
                before = self.opponents.look_at_originals(batch.images, turn)
                losses["kept"] = kept_loss(looks, before, frozenset(self.code.classes))
        return losses

    def _weighted(self, losses: Mapping[str, Tensor], first: str) -> Tensor:
        """Loss `first`, and the others by their `lambda_*`."""
        total = losses[first]
        for name, value in losses.items():
            if name != first:
                total = total + self.settings[f"lambda_{name}"] * value
        return total


class StganTask(GanTask):
    """STGAN's variations: its critic, and reconstruction of a face that is asked to change in nothing.

    The first attribute is drawn with probability `change`, the others with `change_auxiliary`.
    """

    def _new_critic(self, size: int) -> nn.Module:
        s = self.settings
        return StganCritic(
            size,
            self.code.width,
            width=s["critic_width"],
            depth=s["critic_depth"],
            hidden=s["critic_hidden"],
        )

    def _change(self) -> Tensor:
        others = len(self.code.classes) - 1
        return torch.tensor([self.settings["change"], *[self.settings["change_auxiliary"]] * others])

    def _reconstruction(
        self, images: Tensor, fake: Tensor, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
    ) -> Tensor:
        same: Tensor = self.generator(images, self.code.guide(source, source)).float()
        return same
