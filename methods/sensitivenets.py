"""SensitiveNets: agnostic representations (Morales, Fierrez, Vera-Rodriguez and Tolosana, TPAMI 2021).

A projection phi of a pretrained embedding learns two things at once: to keep people apart (triplet loss),
and to minimise log(1 + |.9 - P_k(phi(x))|), P_k being the probability that a detector of the attribute gives
to one fixed class. Detector and projection alternate: the detector is trained anew on the current phi(x)
every epoch.

At inference it needs the projection learned on DEVELOP: no label, no randomness.

Choices: only the abstract and others' accounts of the paper could be consulted. They print the regulariser;
they do not print the projection (here linear, beside the identity it starts from, then unit length), the
margin, the detector (here one hidden layer) or the schedule. The fixed class is the first one (female); all
templates are pulled to the same probability .9, a constant answer rather than an undecided one. Negatives
are all other people of the batch. Preset `quick` is a short training on 2,000 templates with a heavier
regulariser and margin.

Threats: that the detector it was trained against is fooled proves nothing: the projection can move all
templates to one side of it and leave them as separable as before. Attackers must be trained on phi(x), and a
projection that is linear leaves what is not linear. Protected and unprotected templates cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api import (
    Context,
    EmbeddingMethod,
    Request,
    State,
    Templates,
    Variant,
    load_module,
    module_state,
)

if TYPE_CHECKING:
    from torch import Tensor


class SensitiveNets(EmbeddingMethod):
    """A projection of the template that a detector of the attribute cannot read; one variant an attribute.

    epochs: passes over DEVELOP; steps: where not 0, takes their place. batch, rate, decay_from: of the
    projection. margin: of the triplet loss, in squared distances of unit vectors. lambda_sensitive: weight of
    the regulariser. aim: the probability it wants. detector_hidden, detector_epochs, detector_rate: of each
    detector. samples: largest number of templates it learns from, those of randomly chosen people; 0: all.
    """

    title = "SensitiveNets"
    paper = "Morales, Fierrez, Vera-Rodriguez, Tolosana: SensitiveNets, TPAMI 2021"
    obfuscates = ("gender", "race", "age_group", "young")
    trained = True
    same_space = False
    options = {
        "epochs": 100,
        "steps": 0,
        "batch": 128,
        "rate": 1e-3,
        "decay_from": 1.0,
        "margin": 0.2,
        "lambda_sensitive": 1.0,
        "aim": 0.9,
        "detector_hidden": 64,
        "detector_epochs": 5,
        "detector_rate": 1e-2,
        "samples": 0,
    }
    presets = {
        "paper": {},
        "quick": {"steps": 600, "margin": 0.5, "lambda_sensitive": 3.0, "samples": 2000},
        "check": {"steps": 3, "batch": 8, "detector_epochs": 1, "detector_hidden": 4},
    }

    def _variants(self) -> Sequence[Variant]:
        from methods._blocks.templates import attribute_variants

        return attribute_variants(self.attributes)

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        from methods._blocks.embedding_networks import Projection, SensitiveTask, steps_of, train_on_rows
        from methods._blocks.templates import class_labels, some_people
        from methods._blocks.training import Plan

        s = self.settings
        templates = some_people(templates, s["samples"], ctx.seed)
        labels = class_labels(templates, self.variant(self.part).obfuscates[0])
        self._network = Projection(templates.vectors.shape[1]).to(ctx.device)
        task = SensitiveTask(self._network, templates, labels, s, seed=ctx.seed, device=ctx.device)
        steps = s["steps"] or steps_of(s["epochs"], task.count, s["batch"])
        plan = Plan(steps, s["batch"], ctx.seed, s["decay_from"])
        return {"curves": train_on_rows(task, task.count, plan, ctx, name=self.id), "steps": steps}

    def state(self) -> State:
        return module_state(self._network)

    def restore(self, state: State) -> None:
        from methods._blocks.embedding_networks import Projection

        self._network = Projection(len(state["change.bias"]))
        load_module(self._network, state)

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        projected: Tensor = self._network.to(vectors.device).eval()(vectors)
        return projected
