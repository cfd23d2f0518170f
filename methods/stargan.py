"""StarGAN (Choi et al., CVPR 2018) as the baseline of Li et al. (ACM MM 2021): parts of a face are redrawn.

Five attributes stand for five parts: receding hairline for hair, bushy eyebrows, narrow eyes, big nose, big
lips for the mouth. An output flips those of 1 to 4 parts: 5 + 10 + 10 + 5 = 30 outputs, as in Li et al.'s
code. Nothing watches over identity. At inference it needs the labels of all five attributes.

Preset `paper`: both printed networks at 128 px and StarGAN's public schedule, 200,000 critic steps of 16, one
generator step in five, learning rates constant for the first half. Targets are the labels of another face of
the batch (`targets` = `shuffled`). Li et al. print 20 epochs of CelebA instead, 250,000 steps of 16.

Preset `quick` adds what small faces and minutes of training need, as PrivacyNet's: a narrow generator that
draws a change of the image, the auxiliary classifiers beside the critic's own, asked in turn, a pixel loss
in place of the cycle, targets drawn for each attribute, and for each part a strength chosen on VALIDATION.

Threats: flipping is an invertible code; who knows the output's name and reads the new label knows the old.
An attacker retrained on outputs of this method needs no more. Attributes that are not flipped stay readable,
and are `kept` by design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from bench.api import Request, Variant
from methods._blocks.attribute_gan import (
    QUICK,
    STARGAN,
    STARGAN_CHECK,
    STARGAN_QUICK,
    TRAINING,
    AttributeGan,
)
from methods._blocks.face_parts import PART_ATTRIBUTES

if TYPE_CHECKING:
    from torch import Tensor

MOST_PARTS = 4
"""At least one part of five is always left as it is."""


class StarGan(AttributeGan):
    """Redraws any 1 to 4 of hair, eyebrows, eyes, nose and mouth by flipping the attribute of each."""

    title = "StarGAN"
    paper = "Choi et al.: StarGAN, CVPR 2018; baseline of Li et al., ACM MM 2021"
    obfuscates = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    needs_labels = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    trained = True
    # Li et al. leave the hair alone when they redraw four parts.
    selected: tuple[str, ...] = ("eyes", "eyebrows+eyes+nose+mouth")
    options = {
        **TRAINING,
        **STARGAN,
        "size": 128,
        "targets": "shuffled",
        "lambda_labels": 1.0,
        "lambda_rec": 10.0,
    }
    presets = {
        "paper": {},
        "quick": {**QUICK, **STARGAN_QUICK, "steps": 900, "targets": "drawn"},
        "check": {**STARGAN_CHECK, "size": 16, "critic_depth": 3},
    }

    @property
    def _tuned(self) -> list[str]:
        """Parts whose attribute the dataset labels, from top to bottom."""
        return [part for part, attribute in PART_ATTRIBUTES.items() if attribute in self.attributes]

    def _variants(self) -> Sequence[Variant]:
        """Every choice of 1 to 4 parts, single ones first."""
        choices = (c for n in range(1, MOST_PARTS + 1) for c in combinations(self._tuned, n))
        return [
            Variant(
                name := "+".join(parts),
                tuple(PART_ATTRIBUTES[p] for p in parts),
                {"parts": parts},
                selected=name in self.selected,
            )
            for parts in choices
        ]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        return self._redrawn(images, request.labels, self._chosen(images, request))

    def _chosen(self, images: Tensor, request: Request) -> Tensor:
        """Which of `_tuned` to redraw, bool (N, parts)."""
        import torch

        parts = request.variant.parameters["parts"]
        row = torch.tensor([p in parts for p in self._tuned], device=images.device)
        return row.expand(len(images), -1)

    def _redrawn(self, images: Tensor, labels: Mapping[str, Tensor], chosen: Tensor) -> Tensor:
        """Images with the attributes of the `chosen` parts (N, parts) flipped; a part's strength is its own,
        of several parts their mean."""
        import torch

        from bench.inference.algebra import evaluated

        network = evaluated(self._network, images.device)
        wanted = {}
        for column, part in enumerate(self._tuned):
            label = labels[PART_ATTRIBUTES[part]]
            wanted[PART_ATTRIBUTES[part]] = torch.where(chosen[:, column], 1 - label, label)
        drawn = network(images * 2 - 1, self.code.guide(labels, wanted)) / 2 + 0.5
        strengths = torch.tensor([self._strengths[p] for p in self._tuned], device=images.device)
        strength = (chosen * strengths).sum(1) / chosen.sum(1)
        return (images + strength[:, None, None, None] * (drawn - images)).clamp(0, 1)
