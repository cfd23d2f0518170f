"""Anonymising k attributes by an adversarial perturbation (Chhabra, Singh, Vatsa and Gupta, IJCAI 2018).

At inference: the true classes of the attributes to suppress, and the classifier and the matcher themselves,
which are stored with the weights; they are queried for every image. What a kept attribute is, is the given
classifier's own reading of the original: no label is asked for.

In the manner of Carlini and Wagner (S&P 2017): with x' = (tanh w + 1) / 2, minimised is ||x' - x||^2 + c [sum
over suppressed attributes max(0, z_true - max z_other + kappa) + sum over kept attributes max(0, max z_other
- z_own + kappa)] + c_identity ||R(x') - R(x)||^2, with logits z and unit embeddings R; c by binary search.

Choices:

- Defaults are Carlini and Wagner's reference values: Adam with rate .01, 9 search steps from c = .001 of up
  to 10,000 iterations, margins 0; a step is given up when its loss has not fallen by .01 % over a tenth of
  the iterations. The margin of kept attributes is an option of its own (`kappa_kept`).
- Preset `quick` takes two short steps from a c that mostly succeeds, with larger strides that fall to zero
  and a margin that survives rounding. It leaves the identity term out: its changes are too small to move the
  matcher, and asking it takes most of the time.
- Kept are all other labelled attributes with classes, but those that say the same as a suppressed one (young
  and age group).
- Returned is, of the iterates that suppress and keep all they should, the one nearest to the original, else
  the one that misses by least. An original that the classifier already misreads needs no change.
- k: `gender`; gender and one other attribute; gender and the first two others at hand.

Threat notes:

- Success against the given classifier is near 100 % and says nothing; the table shows unseen attackers.
- Rounding to 8 bits, which the harness does before anything is measured, removes part of a minimal change.
- The change depends on the label: an attacker trained on protected images can learn it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api import Claim, Figure, Request, Variant
from methods._blocks.perturbation import (
    WhiteBoxMethod,
    descend,
    identity_change,
    slopes_of,
    to_box,
    to_free,
)

if TYPE_CHECKING:
    from torch import Tensor

    from bench.api import Classifier

_LEAST_WINDOW = 5
"""Iterations over which a loss must have fallen, at least: over fewer, Adam's first strides seem to fail."""

OTHERS = ("attractive", "smiling", "heavy_makeup", "high_cheekbones", "young")
"""Attributes that can be suppressed beside gender."""


class Chhabra2018(WhiteBoxMethod):
    """A face changed as little as makes one given classifier misread some attributes and read all others.

    Each variant is named after what it suppresses.
    """

    title = "k-attribute anonymisation"
    paper = "Chhabra, Singh, Vatsa, Gupta: Anonymizing k-Facial Attributes, IJCAI 2018"
    obfuscates = ("gender", *OTHERS)
    needs_labels = ("gender", *OTHERS)
    trained = True
    options = {
        "size": 224,
        "keep_detail": False,
        "classifier": 0,
        "searches": 9,
        "iterations": 10_000,
        "rate": 0.01,
        "falling": False,
        "first_c": 1e-3,
        "kappa": 0.0,
        "kappa_kept": 0.0,
        "c_identity": 1.0,
    }
    presets = {
        "paper": {},
        "quick": {
            "size": 64,
            "keep_detail": True,
            "classifier": 1,
            "searches": 2,
            "iterations": 15,
            "rate": 0.02,
            "falling": True,
            "first_c": 2.0,
            "kappa": 1.0,
            "c_identity": 0.0,
        },
        "check": {
            "size": 64,
            "classifier": 1,
            "searches": 1,
            "iterations": 2,
            "rate": 0.05,
            "first_c": 1.0,
            "c_identity": 0.0,
        },
    }
    claims = (
        Claim(
            id="chhabra2018-does-not-generalise",
            text="a perturbation fitted to one attribute classifier does not confound classifiers it "
            "never saw",
            source="Section 1, on Chhabra et al.; chosen here: Reduction at most 0.5",
            holds=(Figure.read("chhabra2018:gender", "gender", "reduction").at_most(0.5),),
            paper="Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing 2020",
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        others = [a for a in OTHERS if a in self.attributes]
        chosen = [("gender",), *(("gender", a) for a in others)]
        if len(others) > 1:
            chosen.append(("gender", *others[:2]))
        return [Variant("+".join(c), c, selected=len(c) == 1, needs=c) for c in chosen]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from bench.faces import kept

        hidden = request.variant.obfuscates
        classed = [a.name for a in self.attributes.values() if not a.is_number]
        attack = Attack(
            *self._networks(images.device),
            images,
            {name: request.labels[name] for name in hidden},
            kept(classed, hidden),
            self.settings,
        )
        return attack.run()


class Attack:
    """The search for the smallest change of each of `images` (N, C, S, S) in [0, 1].

    suppressed: attribute -> true class (N,). kept: attributes whose reading must stay.
    """

    def __init__(
        self,
        classify: Classifier,
        matcher: Callable[[Tensor], Tensor],
        images: Tensor,
        suppressed: Mapping[str, Tensor],
        kept: Sequence[str],
        settings: Mapping[str, Any],
    ) -> None:
        import torch

        self._classify, self._matcher, self._settings = classify, matcher, settings
        self._images = images
        self._references = matcher(images)
        readings = classify(images)
        self._suppressed = suppressed
        self._kept = {name: readings[name].argmax(1) for name in kept}
        self._best = torch.full_like(images, torch.nan)
        self._distance = images.new_full((len(images),), torch.inf)
        self._miss = images.new_full((len(images),), torch.inf)

    def run(self) -> Tensor:
        """The best images found; see the module's docstring."""
        import torch

        s = self._settings
        start = to_free(self._images)
        c = self._images.new_full((len(start),), s["first_c"])
        low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
        for _ in range(s["searches"]):
            step = _Step(self, c, s["iterations"])
            descend(start, step.look, s["iterations"], s["rate"], falling=s["falling"])
            high = torch.where(step.succeeded, torch.minimum(high, c), high)
            low = torch.where(step.succeeded, low, torch.maximum(low, c))
            c = torch.where(high.isinf(), c * 10, (low + high) / 2)
        return self._best

    def terms(self, free: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images of `free`, and per sample: squared distance, sum of hinges, identity term."""
        import torch

        changed = to_box(free)
        logits = self._classify(changed)
        too_clear = [
            (lead(logits[name], true[rows]) + self._settings["kappa"]).clamp(min=0)
            for name, true in self._suppressed.items()
        ]
        too_doubtful = [
            (self._settings["kappa_kept"] - lead(logits[name], own[rows])).clamp(min=0)
            for name, own in self._kept.items()
        ]
        misses = torch.stack([*too_clear, *too_doubtful]).sum(0)
        distance = (changed - self._images[rows]).square().sum((1, 2, 3))
        return changed, distance, misses, self._identity(changed, rows)

    def note(self, changed: Tensor, distance: Tensor, misses: Tensor, rows: Tensor, step: int) -> Tensor:
        """Keep what is better than the best so far; returns which samples succeed (n,).

        The start, which is the original, counts only if it succeeds.
        """
        import torch

        success = misses <= 0
        nearer = success & (distance < self._distance[rows])
        if not step:
            misses = torch.where(success, misses, torch.inf)
        closer = ~success & self._distance[rows].isinf() & (misses < self._miss[rows])
        better = nearer | closer
        self._best[rows[better]] = changed[better]
        self._distance[rows[nearer]] = distance[nearer]
        self._miss[rows] = torch.minimum(self._miss[rows], misses)
        return success

    def _identity(self, changed: Tensor, rows: Tensor) -> Tensor:
        weight = self._settings["c_identity"]
        if not weight:
            return changed.new_zeros(len(changed))
        return weight * identity_change(self._matcher(changed), self._references[rows])


class _Step:
    """One descent with constants c (N,)."""

    def __init__(self, attack: Attack, c: Tensor, iterations: int) -> None:
        import torch

        self._attack, self._c = attack, c
        self._every = max(_LEAST_WINDOW, iterations // 10)
        self._before = torch.full_like(c, torch.inf)
        self.succeeded = torch.zeros_like(c, dtype=torch.bool)

    def look(self, free: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        import torch

        with torch.enable_grad():
            free = free.detach().requires_grad_(True)
            changed, distance, misses, identity = self._attack.terms(free, rows)
            losses = distance + self._c[rows] * misses + identity
            slopes = slopes_of(losses, free)
        losses = losses.detach()
        self.succeeded[rows] |= self._attack.note(
            changed.detach(), distance.detach(), misses.detach(), rows, step
        )
        going = torch.ones_like(rows, dtype=torch.bool)
        if step and step % self._every == 0:
            going = losses <= 0.9999 * self._before[rows]
            self._before[rows] = losses
        return slopes, going


def lead(logits: Tensor, classes: Tensor) -> Tensor:
    """How far the logit of its class leads the best of the others, (N,), from logits (N, K)."""
    import torch

    own = logits.gather(1, classes[:, None])
    others = logits.scatter(1, classes[:, None], -torch.inf)
    return own[:, 0] - others.amax(1)
