"""What a generator is told by the auxiliaries: losses that every method of the project shares."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from bench.api import Auxiliaries
from bench.training import Augment

VIEW = Augment(
    shift=0.03, zoom=0.05, rotate=3.0, brightness=0.05, contrast=0.1, tint=0.03, blur=0.5, noise=0.02
)
"""Small random changes before a classifier looks: what only one exact pixel grid shows fools nobody else."""


class Opponents:
    """The frozen auxiliaries as losses. Images are float32 (N, 3, H, W) in [0, 1].

    confidence: probability that a classifier should give the target class. 1 is the papers'
        cross-entropy; less stops the generator from overdoing it, which would flip unseen attackers
        instead of confusing them.
    viewed: show the classifiers `VIEW`s of the images instead of the images.
    """

    def __init__(self, auxiliaries: Auxiliaries, *, confidence: float = 1.0, viewed: bool = False) -> None:
        self._auxiliaries = auxiliaries
        self._confidence = confidence
        self._view = VIEW if viewed else None

    def attributes(self, images: Tensor, targets: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Cross-entropy to `targets` (int64 (N,), -1: left out): sum of attributes, mean of classifiers."""
        seen = self._seen(images, generator)
        losses = [self._towards(classify(seen), targets) for classify in self._auxiliaries.classifiers]
        return torch.stack(losses).mean()

    def kept(
        self, images: Tensor, originals: Tensor, but: frozenset[str], generator: torch.Generator
    ) -> Tensor:
        """KL divergence of the attributes other than `but` from what the classifiers say of the originals."""
        seen = self._seen(images, generator)
        losses = []
        for classify in self._auxiliaries.classifiers:
            with torch.no_grad():
                before = classify(originals)
            after = classify(seen)
            losses += [
                kl_div(
                    log_softmax(after[a], 1),
                    log_softmax(before[a], 1),
                    log_target=True,
                    reduction="batchmean",
                )
                for a in after
                if a not in but
            ]
        return torch.stack(losses).mean() if losses else images.new_zeros(())

    def embedding(self, images: Tensor) -> Tensor:
        """Unit embeddings (N, D) of the auxiliary matcher."""
        return self._auxiliaries.matcher(images)

    def _seen(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images if self._view is None else self._view(images, generator)

    def _towards(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros((), device=next(iter(logits.values())).device)
        for name, target in targets.items():
            known = target >= 0
            if name not in logits or not bool(known.any()):
                continue
            classes = logits[name].shape[1]
            # cross_entropy gives the target 1 - s + s / classes.
            smoothing = (1 - self._confidence) * classes / (classes - 1)
            total = total + cross_entropy(logits[name][known], target[known], label_smoothing=smoothing)
        return total


def matching_loss(embeddings: Tensor, references: Tensor) -> Tensor:
    """Mean over samples of the squared distance of unit embeddings (N, D), in [0, 4]."""
    return (embeddings - references).square().sum(1).mean()
