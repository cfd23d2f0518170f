"""Cosine-sensitive noise, CSN (Terhorst, Damer, Kirchbuchner and Kuijper, Applied Intelligence 2019).

A unit template v becomes a random template x at a given cosine s from it. The authors solve for a mixture of
v and a random direction; the same x in closed form is s v + sqrt(1 - s^2) u, u uniform on the unit sphere
orthogonal to v. They then multiply x by a random whole number from 1 to 100, which no cosine sees and which
is lost here, where every template has unit length.

At inference it needs nothing but random numbers: unsupervised, nothing is learned. It hides no attribute in
particular; those listed are what the authors tried and their kin. The score of two protected templates is
s^2 times the original one on average, so thresholds must be set anew.

Threats: noise is drawn once for a template, and averages out when a face is enrolled repeatedly. An attacker
who learns from protected templates loses less than one who learned from clean ones, as the authors say
themselves: the noise only lowers the ratio of signal to noise, for identity as for every attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import Claim, EmbeddingMethod, Figure, Request, Variant

if TYPE_CHECKING:
    from torch import Tensor


class CosineNoise(EmbeddingMethod):
    """Templates turned by a fixed angle in a random direction; variants name the cosine of the angle."""

    title = "CSN"
    paper = "Terhorst et al.: Similarity-sensitive noise transformations, Applied Intelligence 2019"
    obfuscates = ("gender", "race", "age_group", "young")
    claims = (
        Claim(
            id="csn-yields-to-informed-attackers",
            text="attackers who learned on protected templates recover more than those who learned on clean "
            "ones",
            source="Abstract, on classifiers that know of the noise",
            holds=(
                Figure.read("cosine_noise:s=0.8", "gender", "leak", "aware").above(
                    Figure.read("cosine_noise:s=0.8", "gender", "leak")
                ),
            ),
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        found = (0.8, 0.9, 0.6) if hidden else ()
        return [Variant(f"s={s}", hidden, {"similarity": s}, selected=s == 0.8) for s in found]

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        from torch.nn.functional import normalize

        s = request.variant.parameters["similarity"]
        # Double precision, so that the cosine is exact to the last digit of the output.
        unit = normalize(vectors.double())
        drawn = request.normal(vectors.shape[1]).double()
        across = normalize(drawn - (drawn * unit).sum(1, keepdim=True) * unit)
        return (s * unit + (1 - s**2) ** 0.5 * across).float()
