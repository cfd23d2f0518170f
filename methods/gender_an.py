"""Gender-AN: gender-adversarial network (Tang et al., IEEE Internet of Things Journal 2022).

At inference it needs the generator and, of what it changes, the label: `gender`, and for `GAttrAM-age` also
`young`. The difference vector is +1 or -1 there and 0 for everything else, whatever the face's other labels.

A combination of auxiliary attributes is a trained part of its own: gender (G) with any of attractiveness
(Attr), age (A: `young`) and heavy make-up (M). The paper chooses GAttrAM.

Choices where the paper is silent or contradicts itself:

- Eqs. 1-4 are missing from the text at hand. Adversarial loss: WGAN-GP with weight 10, attribute losses:
  binary cross-entropy, as in STGAN, on which the paper builds. `attribute_reduction` = `sum` adds the
  attributes up, as the public PyTorch port of STGAN does, whose iterations, decay and weights the paper's
  equal; `mean` averages them as STGAN's authors do.
- One million iterations are critic updates, as in that port; the generator is updated in each fifth.
  Learning rates drop from 2e-4 to 2e-5 after 800,000.
- Section III-B speaks of label maps of the image's size, III-C and Fig. 1 of a difference vector at the
  encoder's output and in the transfer units, as in STGAN: `injection` = `stgan` also repeats it before
  the decoder's layers, `port` does not and normalises the units' gates.
- Table I prints batch normalisation before the last tanh; STGAN has none there (`last_norm`).
- Targets are the labels of another face of the batch (`targets` = `shuffled`), as in STGAN.
- Gender accuracy first flips and then rebounds to .5, says section IV-D, so the paper's figure depends on
  when training stops. Here snapshots from the second half and strengths compete on VALIDATION.

Preset `quick` adds what small faces and minutes of training need: see `QUICK` in `attribute_gan.py`.

Threats: the change is a function of the gender label and of the image, so an attacker who retrains on
outputs may learn to read the direction of the change instead of gender. The matching loss preserves the
very embedding in which the paper's attackers read gender: how far they are fooled and how strongly it is
weighted hang together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import Auxiliaries, Claim, Figure, Variant
from methods._blocks.attribute_gan import QUICK, TRAINING, AttributeGan
from methods._blocks.labels import DifferenceCode

if TYPE_CHECKING:
    from torch import nn

    from methods._blocks.gan_training import GanTask
    from methods._blocks.training import Plan

COMBINATIONS = {
    "G": ("gender",),
    "GAttr": ("gender", "attractive"),
    "GM": ("gender", "heavy_makeup"),
    "GA": ("gender", "young"),
    "GAttrM": ("gender", "attractive", "heavy_makeup"),
    "GAttrA": ("gender", "attractive", "young"),
    "GAM": ("gender", "heavy_makeup", "young"),
    "GAttrAM": ("gender", "attractive", "heavy_makeup", "young"),
}
"""The paper's names of what a generator learns to edit; order of the difference vector."""

WITH_AGE = "GAttrAM-age"


class GenderAn(AttributeGan):
    """Confuses gender; further attributes assist in training and are left alone afterwards."""

    title = "Gender-AN"
    paper = "Tang, Zhou, Jiang, Chen, Liu: Gender-AN, IEEE Internet of Things Journal 2022"
    obfuscates = ("gender", "young")
    needs_labels = ("gender", "young")
    trained = True
    selected = ("GAttrAM", WITH_AGE, "G")
    options = {
        **TRAINING,
        "width": 16,
        "depth": 5,
        "norm": True,
        "injection": "stgan",
        "last_norm": False,
        "critic_width": 16,
        "critic_depth": 5,
        "critic_hidden": 1024,
        "attribute_reduction": "sum",
        "targets": "shuffled",
        "change_auxiliary": 0.5,
        "steps": 1_000_000,
        "rate": 2e-4,
        "critic_rate": 2e-4,
        "decay_from": 0.8,
        "drop_to": 0.1,
        "snapshots": 6,
        "lambda_labels": 10.0,
        "lambda_rec": 100.0,
        "lambda_match": 100.0,
    }
    presets = {
        "paper": {},
        "quick": {
            **QUICK,
            "width": 12,
            "depth": 4,
            "norm": False,
            "critic_hidden": 64,
            "targets": "drawn",
            "change": 0.8,
            "change_auxiliary": 0.3,
            "steps": 900,
            "decay_from": 0.5,
            "drop_to": 0.0,
            "snapshots": 4,
            "lambda_match": 3.0,
            "lambda_kept": 1.0,
            "strengths": [0.75, 1.0, 1.25],
        },
        "check": {
            "size": 0,
            "width": 4,
            "depth": 3,
            "critic_width": 4,
            "critic_depth": 3,
            "critic_hidden": 8,
            "steps": 4,
            "critic_steps": 2,
            "snapshots": 1,
        },
    }
    claims = (
        Claim(
            id="gender-an-reduction-near-one",
            text="Gender-AN brings gender classifiers to chance where PrivacyNet inverts them: its Reduction "
            "is nearer to 1",
            source="Table III",
            holds=(
                Figure.read("gender_an:GAttrAM", "gender", "reduction").nearer(
                    1.0, than=Figure.read("privacynet:gender", "gender", "reduction")
                ),
            ),
        ),
        Claim(
            id="gender-an-matches-better-than-privacynet",
            text="faces match better after Gender-AN than after PrivacyNet",
            source="Section IV-D, Fig. 5",
            holds=(Figure.matched("gender_an:GAttrAM").above(Figure.matched("privacynet:gender")),),
        ),
        Claim(
            id="gender-an-keeps-makeup",
            text="of the attributes that should survive, heavy makeup and age change less than with "
            "PrivacyNet",
            source="Section IV-C, Fig. 2",
            holds=(
                Figure.lost("gender_an:GAttrAM", "heavy_makeup").nearer(
                    0.0, than=Figure.lost("privacynet:gender", "heavy_makeup")
                ),
                Figure.lost("gender_an:GAttrAM", "young").nearer(
                    0.0, than=Figure.lost("privacynet:gender", "young")
                ),
            ),
        ),
        Claim(
            id="gender-an-looks-more-natural",
            text="LPIPS and NIQE are lower than PrivacyNet's",
            source="Table IV",
            holds=(
                Figure.looks("gender_an:GAttrAM", "lpips").below(Figure.looks("privacynet:gender", "lpips")),
                Figure.looks("gender_an:GAttrAM", "niqe").below(Figure.looks("privacynet:gender", "niqe")),
            ),
        ),
    )

    @property
    def code(self) -> DifferenceCode:
        """The attributes of the combination at hand, two classes each."""
        attributes = [self.attributes[a] for a in COMBINATIONS[self.part]]
        return DifferenceCode(attributes, self.settings["attribute_reduction"])

    @property
    def _tuned(self) -> list[str]:
        """Every output of the part at hand."""
        return [v.name for v in self._variants() if v.part == self.part]

    def _variants(self) -> Sequence[Variant]:
        found = [
            self._output(name, name, ("gender",))
            for name, attributes in COMBINATIONS.items()
            if set(attributes) <= self.attributes.keys()
        ]
        if any(v.name == "GAttrAM" for v in found):
            found.append(self._output(WITH_AGE, "GAttrAM", ("gender", "young")))
        return found

    def _output(self, name: str, part: str, flipped: tuple[str, ...]) -> Variant:
        return Variant(
            name,
            self._with_synonyms(flipped),
            {"goals": dict.fromkeys(flipped, "other")},
            selected=name in self.selected,
            part=part,
            needs=flipped,
        )

    def _plan(self, seed: int) -> Plan:
        from methods._blocks.training import Plan

        s = self.settings
        return Plan(
            s["steps"],
            s["batch"],
            seed,
            s["decay_from"],
            s["average"],
            s["snapshots"],
            snapshots_from=0.5,
            drop_to=s["drop_to"],
        )

    def _new_task(self, size: int, auxiliaries: Auxiliaries, seed: int) -> GanTask:
        from methods._blocks.gan_training import StganTask

        return StganTask(self._network, self.code, size, auxiliaries, self.settings, seed=seed)

    def _new_network(self, seed: int) -> nn.Module:
        import torch

        from methods._blocks.stu import StganGenerator

        s = self.settings
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return StganGenerator(
                self.code.width,
                width=s["width"],
                depth=s["depth"],
                injection=s["injection"],
                last_norm=s["last_norm"],
                residual=s["residual"],
                norm=s["norm"],
            )
