"""Perturbation against a given gender classifier and matcher ("MR2017-style": Mirjalili and Ross, IJCB 2017).

At inference: the gender (`flip`, `blackbox`), and the classifier and the matcher themselves, which are stored
with the weights; they are queried for every image.

Each image is changed step by step until the classifier is confounded. Minimised is, for f = P(male):
`flip` BCE(1 - y, f(x + d)), or `neutral` (f(x + d) - .5)^2, plus lambda_match ||R(x + d) - R(x)||^2 plus
lambda_change times the mean square of d, with x + d kept in the range of an image.

Choices, for the paper's own parameterisation was not at hand:

- d is a coarse grid of `grid` x `grid` colours, enlarged bilinearly, because the paper is said to change
  small regions (patches, triangles), too, rather than single pixels.
- A sample stops when it has reached its goal: P of the other gender >= `confidence`, or |f - .5| <=
  `tolerance`; who is there from the start is not changed, and the rest is returned as it is after
  `iterations`. Steps are Adam's, of a size that falls linearly from `rate` to zero.
- `blackbox` uses scores only: slopes by antithetic Gaussian smoothing (NES; Wierstra et al., JMLR 2014),
  `pairs` pairs of deviation `spread` on a coarser grid, 2 x `pairs` queries a step. Directions are a function
  of the sample's seed. It takes minutes for what gradients do in seconds.

Threat notes:

- The change is fitted to one classifier: that one is fooled nearly always, which says nothing of others. The
  papers that followed found that it does not generalise; transfer to unseen classifiers is what is measured.
- `flip` is a function of the label, and its pattern can be learned: an attacker trained on protected images
  reads it as well as the face. `neutral` needs no label.
- Small smooth changes are undone by denoising or re-encoding, and by rounding to 8 bits in part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import Claim, Figure, Request, Variant
from methods._blocks.perturbation import WhiteBoxMethod, descend, identity_change, slopes_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.api import Classifier


class MirjaliliRoss2017(WhiteBoxMethod):
    """A face changed until one given classifier reads the other gender, or none, and a matcher still matches.

    `flip`: the other gender. `neutral`: a coin toss. `blackbox`: the other gender, without gradients.
    """

    title = "Mirjalili & Ross 2017 (style)"
    paper = "Mirjalili, Ross: Soft Biometric Privacy, IJCB 2017"
    obfuscates = ("gender",)
    needs_labels = ("gender",)
    trained = True
    options = {
        "size": 224,
        "keep_detail": False,
        "classifier": 0,
        "grid": 28,
        "iterations": 200,
        "rate": 0.005,
        "confidence": 0.9,
        "tolerance": 0.02,
        "lambda_match": 1.0,
        "lambda_change": 1.0,
        "coarse_grid": 14,
        "pairs": 25,
        "spread": 0.02,
    }
    presets = {
        "paper": {},
        "quick": {
            "size": 64,
            "keep_detail": True,
            "grid": 16,
            "iterations": 20,
            "rate": 0.01,
            "tolerance": 0.05,
            "coarse_grid": 8,
            "pairs": 10,
        },
        "check": {"size": 64, "grid": 8, "iterations": 2, "rate": 0.02, "coarse_grid": 4, "pairs": 2},
    }
    claims = (
        Claim(
            id="mr2017-does-not-generalise",
            text="a perturbation fitted to one gender classifier does not confound classifiers it never saw",
            source="Section II; chosen here: Reduction at most 0.5",
            holds=(Figure.read("mirjalili_ross2017:flip", "gender", "reduction").at_most(0.5),),
            paper="Mirjalili, Raschka, Ross: FlowSAN, IEEE Access 2019",
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        hides = ("gender",)
        neutral = {"goal": "neutral", "slopes": "gradient"}
        return [
            Variant("flip", hides, {"goal": "flip", "slopes": "gradient"}),
            Variant("neutral", hides, neutral, selected=False, needs=()),
            Variant("blackbox", hides, {"goal": "flip", "slopes": "queries"}, selected=False),
        ]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        s, p = self.settings, request.variant.parameters
        wanted = 1 - request.labels["gender"] if p["goal"] == "flip" else None
        objective = Objective(*self._networks(images.device), images, wanted, s)
        if p["slopes"] == "gradient":
            grid, look = s["grid"], objective.look
        else:
            grid, look = s["coarse_grid"], Queries(objective, request, s["pairs"], s["spread"]).look
        start = images.new_zeros(len(images), images.shape[1], grid, grid)
        found = descend(start, look, s["iterations"], s["rate"], falling=True)
        return objective.changed(found, slice(None))


class Objective:
    """What is minimised over coarse changes (N, C, g, g) of `images` (N, C, S, S) in [0, 1].

    wanted: class (N,) that the classifier shall see, or None for a coin toss.
    """

    def __init__(
        self,
        classify: Classifier,
        matcher: Callable[[Tensor], Tensor],
        images: Tensor,
        wanted: Tensor | None,
        settings: dict[str, Any],
    ) -> None:
        self._classify, self._matcher, self._settings = classify, matcher, settings
        self._images, self._wanted = images, wanted
        self._references = matcher(images)

    def changed(self, coarse: Tensor, rows: Tensor | slice) -> Tensor:
        """The images at `rows` with their changes added."""
        from torch.nn.functional import interpolate

        images = self._images[rows]
        fine = interpolate(coarse, tuple(images.shape[-2:]), mode="bilinear", align_corners=False)
        return (images + fine).clamp(0, 1)

    def losses(self, coarse: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (n,) of each of the samples at `rows`, and whether it has reached its goal."""
        s = self._settings
        changed = self.changed(coarse, rows)
        confusion, reached = self._confusion(self._classify(changed)["gender"], rows)
        moved = identity_change(self._matcher(changed), self._references[rows])
        visible = (changed - self._images[rows]).square().mean((1, 2, 3))
        return confusion + s["lambda_match"] * moved + s["lambda_change"] * visible, reached

    def look(self, coarse: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Slopes by gradient, for `descend`."""
        import torch

        with torch.enable_grad():
            coarse = coarse.detach().requires_grad_(True)
            losses, reached = self.losses(coarse, rows)
            return slopes_of(losses, coarse), ~reached

    def _confusion(self, logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        from torch.nn.functional import cross_entropy

        chances = logits.softmax(1)
        if self._wanted is None:
            off = chances[:, 1] - 0.5
            return off.square(), off.abs() <= self._settings["tolerance"]
        wanted = self._wanted[rows]
        reached = chances.gather(1, wanted[:, None])[:, 0] >= self._settings["confidence"]
        return cross_entropy(logits, wanted, reduction="none"), reached


class Queries:
    """Slopes from losses alone, at pairs of points on either side; no gradient is asked for."""

    def __init__(self, objective: Objective, request: Request, pairs: int, spread: float) -> None:
        self._objective, self._seeds = objective, request.seeds
        self._pairs, self._spread = pairs, spread

    def look(self, coarse: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Slopes by smoothing, for `descend`."""
        import torch

        _, reached = self._objective.losses(coarse, rows)
        slopes = torch.zeros_like(coarse)
        for directions in self._directions(coarse, rows, step):
            ahead, _ = self._objective.losses(coarse + self._spread * directions, rows)
            behind, _ = self._objective.losses(coarse - self._spread * directions, rows)
            slopes += ((ahead - behind) / (2 * self._spread * self._pairs))[:, None, None, None] * directions
        return slopes, ~reached

    def _directions(self, coarse: Tensor, rows: Tensor, step: int) -> Tensor:
        """Standard normal (pairs, n, C, g, g); each sample's depend on its seed and the step alone."""
        import torch

        shape = (self._pairs, *coarse.shape[1:])
        drawn = [
            np.random.default_rng([int(seed), step]).standard_normal(shape, np.float32)
            for seed in self._seeds[rows.cpu().numpy()]
        ]
        return torch.from_numpy(np.stack(drawn, 1)).to(coarse.device)
