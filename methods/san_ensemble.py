"""Ensemble SAN: several independent SANs (Mirjalili, Raschka, Ross, BTAS 2018; FlowSAN, section III-A).

SAN_i is trained by itself against G_i, a gender classifier that saw another fifth of the under-represented
race's people 40 times, and the matcher that all have in common.

Choices where the papers are silent: all members share the architecture, the losses and the schedule of
`san.py`; each has its own start and its own order of the data.

Preset `quick` adds what `san.py`'s adds, with one classifier beside G_i, asked in turn with it: the one that
reads the matcher's embedding, without which attackers on embeddings are hardly disturbed. `paper` trains
against G_i alone, as printed.

Threat notes: as SAN's, a code conditioned on the true label. Drawing a member for each face does not change
that, as all members push the same way; and Ens-Best needs the label and the attacker's score, so it is a
bound, not a method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api import Auxiliaries, Claim, Context, Faces, Figure, Request, Variant
from methods._blocks.san_family import CHECK, PAPER, QUICK
from methods._blocks.san_series import SanSeries

if TYPE_CHECKING:
    from torch import Tensor

_SELECTED = 3


class SanEnsemble(SanSeries):
    """Outputs of the first n of up to five SANs, all for the opposite gender.

    `avg-n=k`: their mean, pixel by pixel. `gibbs-n=k`: one of them, drawn for each face. `member=i`: SAN_i.
    `best-n=k`: for each attacker and face the one that misleads it most (FlowSAN eq. 8), a bound.
    """

    title = "Ensemble SAN"
    paper = "Mirjalili, Raschka, Ross: Gender Privacy, BTAS 2018; as in FlowSAN, IEEE Access 2019"
    obfuscates = ("gender",)
    needs_labels = ("gender",)
    trained = True
    options = {**PAPER, "members": 5, "common_classifiers": []}
    presets = {
        "paper": {},
        "quick": {
            **QUICK,
            "steps": 600,
            "lambda_kept": 1.0,
            "common_classifiers": [2],
            "turns": [0, 1],
            "strengths": [1.25, 1.75],
        },
        "check": {**CHECK, "members": 2, "common_classifiers": [2]},
    }
    claims = (
        Claim(
            id="ens-avg-stays-readable",
            text="averaging or drawing from independent SANs mostly cannot bring unseen classifiers below an "
            "AUC of 0.75",
            source="FlowSAN, section IV-A, Fig. 6",
            holds=(
                Figure.read("san_ensemble:avg-n=3", "gender", "auc").at_least(0.75),
                Figure.read("san_ensemble:gibbs-n=3", "gender", "auc").at_least(0.75),
            ),
        ),
        Claim(
            id="ens-gibbs-matches-best",
            text="drawing one of the SANs keeps matching at least as well as averaging them and as stacking "
            "them",
            source="FlowSAN, section IV-B and Table 3 (there at FMR .1 %, here 1 %)",
            holds=(
                Figure.matched("san_ensemble:gibbs-n=3").at_least(Figure.matched("san_ensemble:avg-n=3")),
                Figure.matched("san_ensemble:gibbs-n=3").at_least(Figure.matched("flowsan:n=3")),
            ),
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        hidden = ("gender",)
        usual = min(_SELECTED, self.length)
        every = range(1, self.length + 1)
        members = tuple(f"member={i}" for i in every)
        return [
            *(Variant(f"avg-n={n}", hidden, {"average": n}, n == usual) for n in every),
            *(Variant(f"gibbs-n={n}", hidden, {"draw": n}, n == usual) for n in every[1:]),
            *(Variant(name, hidden, {"member": i}, False) for i, name in enumerate(members, 1)),
            *(Variant(f"best-n={n}", hidden, {}, n == usual, oracle=members[:n]) for n in every[1:]),
        ]

    def _fit_member(
        self, place: int, faces: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        return self._train_on_originals(place, faces, auxiliaries, ctx, self.variant(f"member={place}"))

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        import torch

        from methods._blocks.images import luma

        grey = luma(images)
        same, opposite = self._prototypes_for(images, request)

        def drawn_by(stage: Any) -> Tensor:
            found: Tensor = stage(grey, same, opposite)
            return found

        match request.variant.parameters:
            case {"member": place}:
                drawn = drawn_by(self._stages[place - 1])
            case {"average": n}:
                drawn = torch.stack([drawn_by(stage) for stage in self._stages[:n]]).mean(0)
            case {"draw": n}:
                everyone = torch.stack([drawn_by(stage) for stage in self._stages[:n]])
                picked = (request.uniform() * n).long().clamp(max=n - 1)
                drawn = everyone[picked, torch.arange(len(images), device=images.device)]
        return drawn.expand_as(images).contiguous()
