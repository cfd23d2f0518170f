"""What methods share that change one image at a time against given networks.

Everything is per sample: losses are summed over a batch, never averaged, and a finished sample leaves the
batch without touching the others, so that a result does not depend on who else was protected with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bench.api import Auxiliaries, Context, Faces, InputError, KeptAuxiliaries, Method, State, revive

if TYPE_CHECKING:
    from bench.api import AuxiliaryMatcher, Classifier

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_INSIDE = 0.999999
"""Images are drawn in by this factor before the inverse of tanh, which is infinite at the ends of the box."""

Look = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""(values (n, ...), their places (n,) in the batch, step from 0) -> slopes (n, ...), and bool (n,): which
samples go on. The slope of a sample that stops is not used."""


class WhiteBoxMethod(Method):
    """A method that keeps the auxiliaries' networks and queries them for every image it protects.

    Option `classifier`: which of the auxiliaries' classifiers it is given.
    """

    trained = True

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        given = self.settings["classifier"]
        if not 0 <= given < len(auxiliaries.classifiers):
            raise InputError(
                f"option classifier of {self.id} is 0 to {len(auxiliaries.classifiers) - 1}, got {given}"
            )
        self.restore(auxiliaries.keep())
        matcher, *classifiers = auxiliaries.names
        return {"trained_against": [matcher, classifiers[given]]}

    def state(self) -> State:
        return self._kept

    def restore(self, state: State) -> None:
        self._kept = state
        self._revived: dict[str, KeptAuxiliaries] = {}

    def _networks(self, device: torch.device) -> tuple[Classifier, AuxiliaryMatcher]:
        """The given classifier and the matcher on `device`, frozen and differentiable."""
        from bench.inference.algebra import evaluated

        place = str(device)
        if place not in self._revived:
            self._revived[place] = revive(self._kept, tuple(self.attributes.values()), place)
        found: Any = self._revived[place]
        given = found.classifiers[self.settings["classifier"]]
        classify, matcher = evaluated(given, place), evaluated(found.matcher, place)
        return cast("Classifier", classify), cast("AuxiliaryMatcher", matcher)


def descend(start: Tensor, look: Look, iterations: int, rate: float, *, falling: bool = False) -> Tensor:
    """Adam (Kingma and Ba, ICLR 2015; betas .9, .999) on every row of `start` (N, ...) by itself.

    `look` is asked at most `iterations` times, for the samples that still go on. falling: let the rate fall
    linearly to zero. torch's own Adam cannot drop rows, and most samples are done early.
    """
    values, rows = start.clone(), torch.arange(len(start), device=start.device)
    # Of the samples that still go on: gathering them anew in every step would take as long as the rest.
    moving, first, second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for step in range(iterations):
        slopes, going = look(moving, rows, step)
        if not bool(going.all()):
            values[rows] = moving
            moving, first, second, slopes, rows = (t[going] for t in (moving, first, second, slopes, rows))
            if not len(rows):
                break
        torch.lerp(slopes, first, _BETAS[0], out=first)
        torch.lerp(slopes.square(), second, _BETAS[1], out=second)
        mean, spread = (
            moment / (1 - beta ** (step + 1)) for moment, beta in zip((first, second), _BETAS, strict=True)
        )
        now = rate * (1 - step / iterations) if falling else rate
        moving -= now * mean / (spread.sqrt() + _EPSILON)
    values[rows] = moving
    return values


def slopes_of(losses: Tensor, values: Tensor) -> Tensor:
    """Gradient of each sample's loss (N,) with respect to its own row of `values` (N, ...)."""
    (slopes,) = torch.autograd.grad(losses.sum(), values)
    return slopes


def identity_change(embeddings: Tensor, references: Tensor) -> Tensor:
    """Squared distance (N,) of unit embeddings (N, D), in [0, 4]."""
    return (embeddings - references).square().sum(1)


def to_free(images: Tensor) -> Tensor:
    """Images in [0, 1] -> unbounded values w with `to_box(w)` = images (Carlini and Wagner, S&P 2017)."""
    return torch.atanh((2 * images - 1) * _INSIDE)


def to_box(free: Tensor) -> Tensor:
    """(tanh w + 1) / 2: any values -> images in [0, 1]."""
    return (torch.tanh(free) + 1) / 2
