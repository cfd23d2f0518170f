"""FlowSAN: SANs stacked one behind the other (Mirjalili, Raschka and Ross, IEEE Access 2019).

I'_t = SAN_t(I'_(t-1)), I'_0 being the original. Stage t is trained on what the stages before it make of the
original, against G_t (see `san_ensemble.py`); its matching loss stays with the descriptors of the original.

Choices where the paper is silent or leaves one:

- Pixel loss: against the original, the third scheme and the one whose results are printed
  (`pixel_reference` = `original`); the second compares with the stage's input (`stage`), the first leaves
  it out (`none`).
- Start: stage t takes the weights of the ensemble's SAN_t and learns for 10 more epochs (`start` = `own`).
  Stage 1, whose input is the original already, is SAN_1 itself, so that n = 1 is the first member of the
  ensemble. `start` = `previous` takes the weights of stage t - 1 instead, which spares a training for each
  stage.
- Prototypes belong to the label of the original at every stage. What passes between the stages is not rounded
  to 8 bits, as nothing is stored there.

Preset `quick` adds what the ensemble's adds; each stage's strength is chosen on VALIDATION with the stages
before it fixed.

Threat notes: as SAN's, a code conditioned on the true label: attackers retrained on its output read it. With
n > 3 the paper sees genders flip, which gives them away again: n is the user's choice, to be made where the
leak 2|AUC - .5| on other faces is least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bench.api import Auxiliaries, Claim, Context, Faces, Figure, Request, Variant
from bench.errors import unknown_name
from methods._blocks.san_family import CHECK, PAPER, QUICK, Stage
from methods._blocks.san_series import SanSeries

if TYPE_CHECKING:
    from torch import Tensor

_SELECTED = 3
_STARTS = ("own", "previous")


class FlowSan(SanSeries):
    """Outputs after the first n of up to five stages, `n=1` to `n=5`; all are prefixes of one training."""

    title = "FlowSAN"
    paper = "Mirjalili, Raschka, Ross: FlowSAN, IEEE Access 2019"
    obfuscates = ("gender",)
    needs_labels = ("gender",)
    trained = True
    options = {
        **PAPER,
        "members": 5,
        "common_classifiers": [],
        "start": "own",
        "pixel_reference": "original",
        "stage_steps": 196_688,
        "stage_strengths": [1.0],
    }
    presets = {
        "paper": {},
        "quick": {
            **QUICK,
            "steps": 800,
            "lambda_match": 3.0,
            "common_classifiers": [2],
            "turns": [0, 1],
            "start": "previous",
            "stage_steps": 600,
            "stage_strengths": [1.0, 1.5, 2.0, 2.5],
        },
        "check": {**CHECK, "members": 3, "common_classifiers": [2], "stage_steps": 3},
    }
    claims = (
        Claim(
            id="flowsan-nears-chance",
            text="three stacked SANs bring the AUC of unseen gender classifiers near 0.5; the average of "
            "three independent ones does not",
            source="Section IV-A, Fig. 6; near is chosen here: within 0.1",
            holds=(
                Figure.read("flowsan:n=3", "gender", "auc").within(0.1, of=0.5),
                Figure.read("san_ensemble:avg-n=3", "gender", "auc").beyond(0.1, of=0.5),
            ),
        ),
        Claim(
            id="flowsan-nearer-chance-than-ensemble",
            text="stacked SANs leave unseen classifiers nearer to chance than the average of as many SANs",
            source="Section IV-A, Fig. 6",
            holds=(
                Figure.read("flowsan:n=3", "gender", "auc").nearer(
                    0.5, than=Figure.read("san_ensemble:avg-n=3", "gender", "auc")
                ),
            ),
        ),
        Claim(
            id="flowsan-gains-with-each-stage",
            text="fewer than three stages affect unseen classifiers less: AUC falls from n = 1 to n = 3",
            source="Section IV-A, Fig. 6",
            holds=(
                Figure.read("flowsan:n=1", "gender", "auc").above(
                    Figure.read("flowsan:n=2", "gender", "auc")
                ),
                Figure.read("flowsan:n=2", "gender", "auc").above(
                    Figure.read("flowsan:n=3", "gender", "auc")
                ),
            ),
        ),
        Claim(
            id="flowsan-on-par-with-oracle",
            text="stacking is almost on par with the best output for each classifier, which no user can know",
            source="Section IV-A; almost is chosen here: leak at most 0.1 higher",
            holds=(
                Figure.read("flowsan:n=3", "gender", "leak").at_most(
                    Figure.read("san_ensemble:best-n=3", "gender", "leak"), margin=0.1
                ),
            ),
        ),
        Claim(
            id="flowsan-keeps-matching",
            text="matching after three stages is close to the originals'",
            source="Fig. 8 and Table 3 (there at FMR .1 %, here 1 %); close is chosen here: 90 % of the TMR",
            holds=(Figure.matched("flowsan:n=3", "tmr_kept").at_least(0.9),),
        ),
        Claim(
            id="flowsan-matching-falls-beyond-three",
            text="matching diminishes further when more than three SANs are stacked",
            source="Fig. 8 (there at FMR .1 %, here 1 %)",
            holds=(Figure.matched("flowsan:n=5").below(Figure.matched("flowsan:n=3")),),
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        return [
            Variant(f"n={n}", ("gender",), {"stages": n}, n <= _SELECTED) for n in range(1, self.length + 1)
        ]

    def _fit_member(
        self, place: int, faces: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        s = self.settings
        if s["start"] not in _STARTS:
            raise unknown_name("start", s["start"], _STARTS)
        variant = self.variant(f"n={place}")
        if place == 1:
            return self._train_on_originals(place, faces, auxiliaries, ctx, variant)
        before = self._stages[: place - 1]
        if s["start"] == "own":
            # Its strength and snapshot are chosen as a stage; here the last weights are taken as they are.
            plain = {"strengths": [1.0], "snapshots": 1}
            self._train_on_originals(place, faces, auxiliaries, ctx, variant, **plain)
            network = self._stages[-1].network
        else:
            network = deepcopy(before[-1].network)
        return self._train_stage(
            Stage(network),
            place,
            "stage",
            faces,
            auxiliaries,
            ctx,
            variant,
            before=before,
            pixel_reference=s["pixel_reference"],
            steps=s["stage_steps"],
            strengths=s["stage_strengths"],
        )

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from methods._blocks.images import luma

        same, opposite = self._prototypes_for(images, request)
        drawn = luma(images)
        for stage in self._stages[: request.variant.parameters["stages"]]:
            drawn = stage(drawn, same, opposite)
        return drawn.expand_as(images).contiguous()
