"""Label vectors of the GAN family: channels of each attribute, and the targets of each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal

from bench.api import Attribute, Variant

if TYPE_CHECKING:
    from torch import Tensor

Goal = int | Literal["other"]
"""What a variant wants of an attribute: a class index, or any class but the face's own."""

Reduction = Literal["sum", "mean"]

AGE_NAMES = ("age_group", "young", "age")
"""Labels that say the same thing with different precision: hiding one is hiding all."""


class LabelCode:
    """A channel for an attribute of two classes (0 or 1), a channel a class (one-hot) for more.

    Gender, race of two classes and three age groups give the five channels [G, R, A0, A1, A2].
    reduction: whether `loss` sums or averages the attributes.
    """

    def __init__(self, attributes: Sequence[Attribute], reduction: Reduction = "sum") -> None:
        self.attributes = tuple(attributes)
        self.reduction = reduction
        self.classes = {a.name: len(a.classes) for a in attributes}
        self.channels: dict[str, slice] = {}
        self.width = 0
        for name, classes in self.classes.items():
            taken = 1 if classes == 2 else classes
            self.channels[name] = slice(self.width, self.width + taken)
            self.width += taken

    def encode(self, labels: Mapping[str, Tensor]) -> Tensor:
        """int64 class indices (N,) by attribute, -1 where unknown -> float32 (N, width).

        An unknown label is the mean of all classes: .5, or 1/K in each channel.
        """
        import torch
        from torch.nn.functional import one_hot

        parts = []
        for name, classes in self.classes.items():
            label = labels[name]
            coded = label[:, None] if classes == 2 else one_hot(label.clamp(min=0), classes)
            coded = coded.float()
            parts.append(torch.where(label[:, None] < 0, torch.full_like(coded, 1 / classes), coded))
        return torch.cat(parts, 1)

    def guide(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """What a generator is told that shall turn faces of `source` into faces of `target`: (N, width).

        Here the coded target labels; both as in `encode`.
        """
        return self.encode(target)

    def loss(self, logits: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of `logits` (N, width), binary or softmax, of all attributes after `reduction`.

        labels as in `encode`; the mean of an attribute is taken over the samples whose label is known.
        """
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        total = logits.new_zeros(())
        for name, channels in self.channels.items():
            label, scores = labels[name], logits[:, channels]
            known = label >= 0
            if self.classes[name] == 2:
                wanted = label.clamp(min=0).float()
                values = binary_cross_entropy_with_logits(scores[:, 0], wanted, reduction="none") * known
            else:
                values = cross_entropy(scores, label, ignore_index=-1, reduction="none")
            # Not picked out by `known`, whose number the device would have to tell first.
            total = total + values.sum() / known.sum().clamp(min=1)
        return total / len(self.classes) if self.reduction == "mean" else total


class DifferenceCode(LabelCode):
    """A generator is told what to change: coded target less coded source, 0 for what stays or is unknown."""

    def guide(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Of an attribute of two classes the sign: 1 to gain it, -1 to lose it."""
        import torch

        difference = self.encode(target) - self.encode(source)
        for name, channels in self.channels.items():
            unknown = (source[name] < 0) | (target[name] < 0)
            difference[:, channels] = torch.where(unknown[:, None], 0.0, difference[:, channels])
        return difference


def target_labels(
    labels: Mapping[str, Tensor], goals: Mapping[str, Goal], classes: Mapping[str, int], draws: Tensor
) -> dict[str, Tensor]:
    """Labels (N,) after `goals`; attributes without a goal keep theirs.

    draws: uniform [0, 1) (N, number of goals); decides among the other classes where there is more than one.
    """
    import torch

    wanted = dict(labels)
    for column, (name, goal) in enumerate(goals.items()):
        label = labels[name]
        if goal == "other":
            others = classes[name] - 1
            step = 1 + (draws[:, column] * others).long().clamp(max=others - 1)
            wanted[name] = torch.where(label < 0, label, (label + step) % classes[name])
        else:
            wanted[name] = torch.full_like(label, goal)
    return wanted


def selective_variants(attributes: Sequence[Attribute], selected: Sequence[str]) -> list[Variant]:
    """Every choice of keeping or changing each attribute, but keeping all; singles first.

    Age groups can be changed to each group (`age0`, `age1`, ...), any other attribute to another class.
    selected: names of the variants a run takes by default.
    An output needs the labels it must turn away from; what it keeps, or sets to one class, may be unknown.
    """
    choices: list[list[tuple[str, str, Goal] | None]] = []
    for attribute in attributes:
        if attribute.name == "age_group":
            groups = range(len(attribute.classes))
            choices.append([*((f"age{k}", attribute.name, k) for k in groups), None])
        else:
            choices.append([(attribute.name, attribute.name, "other"), None])
    picks = [[c for c in combination if c is not None] for combination in product(*choices)]
    picks = sorted((p for p in picks if p), key=len)
    variants = []
    for pick in picks:
        name = "+".join(part for part, _, _ in pick)
        goals = {attribute: goal for _, attribute, goal in pick}
        needs = tuple(attribute for attribute, goal in goals.items() if goal == "other")
        variants.append(Variant(name, tuple(goals), {"goals": goals}, selected=name in selected, needs=needs))
    return variants
