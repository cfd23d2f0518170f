"""PFRNet: privacy-enhancing face recognition network (Bortolato et al., FG 2020).

An autoencoder of embeddings with two codes: one whose first and second moments are made alike in all classes
of the attribute (z_ind), one whose moments are driven apart (z_dep). The second is thrown away; the first is
the protected template.

At inference it needs one encoder learned on DEVELOP: no label, no randomness.

Choices: only the abstract of the paper could be consulted; layers (512-512-512-496, 256-128-64-16, 4 x 512),
the weights .01 of both moment losses, Adam 1e-4 (.5, .999), batches of 100 and 100 epochs are those on which
re-implementations agree. One of these compares the second moment of women with itself; here it is compared
with that of men. Other widths than 512 scale all layers. Unit embeddings are multiplied by the root of their
length, so that the losses weigh the same at every width. More than two classes are compared in pairs. Preset
`quick` trains 800 steps at a higher rate, with the moments of z_ind weighing 100 times more.

Threats: only the moments of single components are matched, not what components tell together, so attackers
that learn from protected templates, beyond linear ones above all, and the comparison-score attack of
Osorio-Roig et al. (TBIOM 2022) recover much of the attribute. The encoder is no one-way function. Protected
and unprotected templates cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api import (
    Claim,
    Context,
    EmbeddingMethod,
    Figure,
    Request,
    State,
    Templates,
    Variant,
    load_module,
    module_state,
)

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.embedding_networks import SplitAutoencoder


class PfrNet(EmbeddingMethod):
    """The part of a template whose moments do not tell the attribute; one variant an attribute.

    epochs: passes over DEVELOP; steps: where not 0, takes their place. batch, rate, decay_from: of the
    training. lambda_independent, lambda_dependent: weights of the moment losses of z_ind and z_dep.
    """

    title = "PFRNet"
    paper = "Bortolato et al.: Learning privacy-enhancing face representations, FG 2020"
    obfuscates = ("gender", "race", "age_group", "young")
    trained = True
    same_space = False
    options = {
        "epochs": 100,
        "steps": 0,
        "batch": 100,
        "rate": 1e-4,
        "decay_from": 1.0,
        "lambda_independent": 0.01,
        "lambda_dependent": 0.01,
    }
    presets = {
        "paper": {},
        "quick": {
            "steps": 800,
            "batch": 200,
            "rate": 1e-3,
            "decay_from": 0.5,
            "lambda_independent": 1.0,
        },
        "check": {"steps": 3, "batch": 8},
    }
    claims = (
        Claim(
            id="pfrnet-read-from-scores",
            text="comparison scores to labelled protected templates tell more of gender than classifiers "
            "that learned on them",
            source="Abstract: about 90 % accuracy against 65 % of standard classifiers",
            holds=(
                Figure.read("pfrnet:gender", "gender", "leak", "score").above(
                    Figure.read("pfrnet:gender", "gender", "leak", "aware")
                ),
            ),
            paper="Osorio-Roig et al.: An Attack on Facial Soft-biometric Privacy Enhancement, TBIOM 2022",
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        from methods._blocks.templates import attribute_variants

        return attribute_variants(self.attributes)

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        import torch

        from methods._blocks.embedding_networks import SplitTask, steps_of, train_on_rows
        from methods._blocks.templates import class_labels
        from methods._blocks.training import Plan

        s = self.settings
        labels = class_labels(templates, self.variant(self.part).obfuscates[0])
        vectors = _scaled(torch.from_numpy(templates.vectors).to(ctx.device))
        self._network = _new_network(vectors.shape[1], ctx.seed).to(ctx.device)
        task = SplitTask(
            self._network,
            vectors,
            torch.from_numpy(labels).to(ctx.device),
            rate=s["rate"],
            weights=(s["lambda_independent"], s["lambda_dependent"]),
        )
        steps = s["steps"] or steps_of(s["epochs"], len(vectors), s["batch"])
        plan = Plan(steps, s["batch"], ctx.seed, s["decay_from"])
        return {"curves": train_on_rows(task, len(vectors), plan, ctx, name=self.id), "steps": steps}

    def state(self) -> State:
        return module_state(self._network)

    def restore(self, state: State) -> None:
        self._network = _new_network(len(state["decoder.0.bias"]), 0)
        load_module(self._network, state)

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        network = self._network.to(vectors.device).eval()
        codes: Tensor = network.independent(_scaled(vectors))
        return codes


def _scaled(vectors: Tensor) -> Tensor:
    """Unit vectors (N, D) with components of about unit size."""
    return vectors * vectors.shape[1] ** 0.5


def _new_network(width: int, seed: int) -> SplitAutoencoder:
    from bench.training import seeded
    from methods._blocks.embedding_networks import SplitAutoencoder

    with seeded(seed):
        return SplitAutoencoder(width)
