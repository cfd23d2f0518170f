"""Euclidean-sensitive noise, ESN (Terhorst, Damer, Kirchbuchner and Kuijper, Applied Intelligence 2019).

A template v becomes v + d u, u uniform on the unit sphere: a random template at Euclidean distance d. The
harness then brings it to unit length, as it does every template; compared by cosine, that changes nothing.

At inference it needs nothing but random numbers: unsupervised, nothing is learned. It hides no attribute in
particular; those listed are what the authors tried and their kin.

Threats: as with `cosine_noise`, noise averages out over several enrolments of a face, and attackers who
learn from protected templates lose less. In D dimensions u is nearly orthogonal to v, so d acts like a
cosine of 1 / sqrt(1 + d^2): d = .5 is a weak s = .89.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import Claim, EmbeddingMethod, Figure, Request, Variant

if TYPE_CHECKING:
    from torch import Tensor


class EuclideanNoise(EmbeddingMethod):
    """Templates moved by a fixed distance in a random direction; variants name the distance."""

    title = "ESN"
    paper = "Terhorst et al.: Similarity-sensitive noise transformations, Applied Intelligence 2019"
    obfuscates = ("gender", "race", "age_group", "young")
    claims = (
        Claim(
            id="esn-yields-to-informed-attackers",
            text="attackers who learned on protected templates recover more than those who learned on clean "
            "ones",
            source="Abstract, on classifiers that know of the noise",
            holds=(
                Figure.read("euclidean_noise:d=0.5", "gender", "leak", "aware").above(
                    Figure.read("euclidean_noise:d=0.5", "gender", "leak")
                ),
            ),
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        found = {"d=0.5": 0.5, "d=1": 1.0} if hidden else {}
        return [Variant(n, hidden, {"distance": d}, selected=n == "d=0.5") for n, d in found.items()]

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        from torch.nn.functional import normalize

        direction = normalize(request.normal(vectors.shape[1]))
        return vectors + request.variant.parameters["distance"] * direction
