"""One step of WGAN-GP training of a label-conditioned generator (PrivacyNet, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from bench.api import Auxiliaries
from methods._blocks.critic import gradient_penalty, wasserstein_loss
from methods._blocks.labels import LabelCode, target_labels
from methods._blocks.networks import Critic, TranslationGenerator
from methods._blocks.opponents import Opponents, kept_loss, matching_loss
from methods._blocks.training import Batch, Task


class GanTask(Task):
    """A critic update in every step, a generator update in each `critic_steps`-th.

    size: side of the training images. settings: options of the method; every `lambda_*` of 0 drops its term.
    """

    def __init__(
        self,
        generator: TranslationGenerator,
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
        with torch.random.fork_rng([]):
            torch.manual_seed(seed + 1)
            self.critic = Critic(size, code.width, width=s["critic_width"], depth=s["critic_depth"])
        self.modules = {"generator": generator, "critic": self.critic}
        betas = (s["beta1"], s["beta2"])
        self.optimisers = {
            "generator": torch.optim.Adam(generator.parameters(), lr=s["rate"], betas=betas),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=s["critic_rate"], betas=betas),
        }
        self.opponents = Opponents(
            auxiliaries, confidence=s["confidence"], viewed=s["viewed"], turns=s["turns"]
        )

    def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images * 2 - 1
        source = {name: batch.labels[name] for name in self.code.classes}
        target = self._targets(source, batch)
        losses = self._critic_step(images, source, target, batch)
        if (number + 1) % self.settings["critic_steps"] == 0:
            losses |= self._generator_step(images, source, target, number, batch)
        return losses

    def _targets(self, source: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Each attribute of each face is changed to another class with probability `change`."""
        draws = batch.uniform(len(source), 2)
        changed = draws[:, :, 0] < self.settings["change"]
        others = target_labels(source, dict.fromkeys(source, "other"), self.code.classes, draws[:, :, 1])
        columns = enumerate(source.items())
        return {name: torch.where(changed[:, i], others[name], label) for i, (name, label) in columns}

    def _critic_step(
        self, images: Tensor, source: Mapping[str, Tensor], target: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        s = self.settings
        with torch.no_grad():
            fake = self.generator(images, self.code.encode(target))
        real_scores, logits = self.critic(images)
        losses = {
            "critic": wasserstein_loss(real_scores, self.critic(fake)[0]),
            "penalty": gradient_penalty(lambda x: self.critic(x)[0], images, fake, batch.uniform()),
            "critic_labels": self.code.loss(logits, source),
        }
        total = losses["critic"] + s["lambda_penalty"] * losses["penalty"]
        total = total + s["lambda_critic_labels"] * losses["critic_labels"]
        self._descend("critic", total)
        return losses

    def _generator_step(
        self,
        images: Tensor,
        source: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        number: int,
        batch: Batch,
    ) -> dict[str, Tensor]:
        fake = self.generator(images, self.code.encode(target))
        scores, logits = self.critic(fake)
        losses = {"adversarial": -scores.mean(), "labels": self.code.loss(logits, target)}
        if self.settings["lambda_rec"]:
            back = self.generator(fake, self.code.encode(source))
            losses["rec"] = l1_loss(back, images)
        if self.settings["lambda_pixel"]:
            losses["pixel"] = l1_loss(fake, images)
        losses |= self._opposed(fake / 2 + 0.5, target, number, batch)
        total = losses["adversarial"]
        for name, value in losses.items():
            if name != "adversarial":
                total = total + self.settings[f"lambda_{name}"] * value
        self._descend("generator", total)
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

    def _descend(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[name].step()
