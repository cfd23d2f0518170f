"""IVE: incremental variable elimination (Terhorst, Damer, Kirchbuchner and Kuijper, ICB 2019).

A random forest learns to read the attribute from standardised templates of DEVELOP; the variables it finds
most important are dropped, and the next forest learns from the rest. What is left of a template,
standardised as in the authors' code, is the protected template.

At inference it needs the centre and spread of DEVELOP and the list of variables: no label, no randomness.

Choices: the authors' example (30 trees, 20 steps of 5 eliminations) is the default; it says nothing of the
width it is meant for, and most matchers here have 64 to 512 variables. Preset `quick` therefore eliminates a
share of the width, in fewer steps, learning from 2,000 templates. One output for each attribute, as printed;
`multi_ive` hides several at once.

Threats: the list of variables is no secret, so an attacker retrains on protected templates, as the authors
assume. Importances of trees see a variable at a time, while matchers spread an attribute over all of them:
whatever the variables left tell together stays readable, and a share large enough to prevent that costs
matching. Protected and unprotected templates cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import Context, EmbeddingMethod, Request, State, Templates, Variant

if TYPE_CHECKING:
    from torch import Tensor


class Ive(EmbeddingMethod):
    """The variables of a template that a forest does not need to read the attribute.

    trees: of each forest. steps, eliminations: how often, and how many variables go each time. share: part of
    the variables that go in all; where not 0 it takes the place of `eliminations`. ensemble: `random_forest`,
    `extra_trees`, `gradient_boosting` or `xgboost`. samples: largest number of templates it learns from,
    those of randomly chosen people; 0: all.
    """

    title = "IVE"
    paper = "Terhorst, Damer, Kirchbuchner, Kuijper: Incremental Variable Elimination, ICB 2019"
    obfuscates = ("gender", "race", "age_group", "young")
    trained = True
    same_space = False
    options = {
        "trees": 30,
        "steps": 20,
        "eliminations": 5,
        "share": 0.0,
        "ensemble": "random_forest",
        "samples": 0,
    }
    presets = {
        "paper": {},
        "quick": {"steps": 10, "share": 0.7, "samples": 2000},
        "check": {"trees": 5, "steps": 2, "share": 0.25},
    }

    def _variants(self) -> Sequence[Variant]:
        from methods._blocks.templates import attribute_variants

        return attribute_variants(self.attributes)

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        from methods._blocks.elimination import Ensemble, Round, eliminate, schedule
        from methods._blocks.templates import Standardiser, class_labels, some_people

        s = self.settings
        templates = some_people(templates, s["samples"], ctx.seed)
        target = class_labels(templates, self.variant(self.part).obfuscates[0])
        width = templates.vectors.shape[1]
        rounds = [Round((target,), n) for n in schedule(width, s["steps"], s["eliminations"], s["share"])]
        self._standardise = Standardiser.of(templates.vectors)
        ensemble = Ensemble(s["ensemble"], s["trees"])
        gone = eliminate(self._standardise(templates.vectors), rounds, ensemble, ctx)
        self._kept = np.setdiff1d(np.arange(width), gone)
        return {"eliminated": gone.tolist(), "width": len(self._kept)}

    def state(self) -> State:
        return {
            "centre": self._standardise.centre,
            "spread": self._standardise.spread,
            "kept": self._kept,
        }

    def restore(self, state: State) -> None:
        from methods._blocks.templates import Standardiser

        self._standardise = Standardiser(state["centre"], state["spread"])
        self._kept = state["kept"]

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        import torch

        standard = self._standardise(vectors.cpu().numpy())
        return torch.from_numpy(standard[:, self._kept]).to(vectors.device)
