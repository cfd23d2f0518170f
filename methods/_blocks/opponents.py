"""What a generator is told by the auxiliaries: losses that every method of the project shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from bench.api import Auxiliaries, Classifier
from bench.training import Augment

VIEW = Augment(
    shift=0.03, zoom=0.05, rotate=3.0, brightness=0.05, contrast=0.1, tint=0.03, blur=0.5, noise=0.02
)
"""Small random changes before a classifier looks: what only one exact pixel grid shows fools nobody else."""


Looks = Sequence[Mapping[str, Tensor]]
"""What each classifier says: {attribute: logits (N, K)}."""


class Opponents:
    """The frozen auxiliaries as losses. Images are float32 (N, 3, H, W) in [0, 1].

    confidence: probability that a classifier should give the target class. 1 is the papers'
        cross-entropy; less stops the generator from overdoing it, which would flip unseen attackers
        instead of confusing them.
    viewed: show the classifiers `VIEW`s of the generated images instead of the images.
    turns: ask one classifier a step, by these places among them in turn (modulo their number), instead of
        all in every step: more steps in the same time. A place named twice weighs twice.
    classifiers: whom to ask; None: the auxiliaries' own.
    """

    def __init__(
        self,
        auxiliaries: Auxiliaries,
        *,
        confidence: float = 1.0,
        viewed: bool = False,
        turns: Sequence[int] = (),
        classifiers: Sequence[Classifier] | None = None,
    ) -> None:
        self._matcher = auxiliaries.matcher
        self._classifiers = auxiliaries.classifiers if classifiers is None else classifiers
        self._confidence = confidence
        self._view = VIEW if viewed else None
        self._turns = tuple(turns)

    def look(self, images: Tensor, step: int, generator: torch.Generator) -> Looks:
        """What the classifiers whose turn it is in `step` say of generated images, with gradients."""
        seen = images if self._view is None else self._view(images, generator)
        return [classify(seen) for classify in self._asked(step)]

    def look_at_originals(self, images: Tensor, step: int) -> Looks:
        """What the same classifiers say of the originals, plain and without gradients."""
        with torch.no_grad():
            return [classify(images) for classify in self._asked(step)]

    def towards(self, looks: Looks, targets: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy to `targets` (int64 (N,), -1: left out): sum of attributes, mean of classifiers."""
        return torch.stack([self._towards(logits, targets) for logits in looks]).mean()

    def embedding(self, images: Tensor) -> Tensor:
        """Unit embeddings (N, D) of the auxiliary matcher."""
        return self._matcher(images)

    def _asked(self, step: int) -> Sequence[Classifier]:
        everyone = self._classifiers
        if not self._turns:
            return everyone
        return [everyone[self._turns[step % len(self._turns)] % len(everyone)]]

    def _towards(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros((), device=next(iter(logits.values())).device)
        for name, target in targets.items():
            if name not in logits:
                continue
            classes = logits[name].shape[1]
            # cross_entropy gives the target 1 - s + s / classes.
            smoothing = (1 - self._confidence) * classes / (classes - 1)
            value = cross_entropy(
                logits[name], target, label_smoothing=smoothing, ignore_index=-1, reduction="sum"
            )
            # Divided here, so that nobody waits to learn whether there is any label at all.
            total = total + value / (target >= 0).sum().clamp(min=1)
        return total


def kept_loss(looks: Looks, before: Looks, but: frozenset[str]) -> Tensor:
    """KL divergence of what is said of attributes other than `but` from what was said `before`."""
    losses = [
        kl_div(log_softmax(after[a], 1), log_softmax(said[a], 1), log_target=True, reduction="batchmean")
        for after, said in zip(looks, before, strict=True)
        for a in after
        if a not in but
    ]
    return torch.stack(losses).mean() if losses else next(iter(looks[0].values())).new_zeros(())


def matching_loss(embeddings: Tensor, references: Tensor) -> Tensor:
    """Mean over samples of the squared distance of unit embeddings (N, D), in [0, 4]."""
    return (embeddings - references).square().sum(1).mean()
