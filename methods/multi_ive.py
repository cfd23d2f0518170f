"""Multi-IVE: incremental variable elimination for several attributes at once (Melzi et al., WACVW 2023).

As IVE, with three ways of asking for gender, age and ethnicity together, one variant each: `sequential`
(each round eliminates a third for one attribute after the other), `joint` (one label for every combination
of classes), `summed` (the importances for the three are added). In the domain of principal or independent
components (`domain` = `pca` | `ica`) components are eliminated instead of variables, the first `blocked`
principal ones excepted, and the template is put together again without them, as in the authors' code.

At inference it needs one matrix learned on DEVELOP: no label, no randomness.

Choices: the authors' code draws a curve of 170 rounds of 3 eliminations, after which 2 of 512 variables are
left, and names no point on it; the default stops half-way. Early versions of the code refit the components
every round, later ones keep them; here they are kept. Age is the age group, or `young` where a dataset
labels nothing finer. An attribute that the dataset does not label has no part. `domain` is `none` by
default.

Threats: those of IVE. In a component domain the output keeps the width of the input but not its rank: the
subspace that is missing tells that, and how, a template was protected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, EmbeddingMethod, Request, State, Templates, UsageError, Variant

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.elimination import Round

Float = NDArray[np.float32]


class MultiIve(EmbeddingMethod):
    """What is left of a template without the variables that tell gender, age or race.

    steps, eliminations: rounds, and variables that go in each. share: part of the variables that go in all;
    where not 0 it takes the place of `eliminations`. domain: `none`, `pca` or `ica`. blocked: first principal
    components that stay. trees, ensemble, samples: as in IVE.
    """

    title = "Multi-IVE"
    paper = "Melzi et al.: Multi-IVE, WACV Workshops 2023"
    obfuscates = ("gender", "race", "age_group", "young")
    trained = True
    same_space = False
    options = {
        "trees": 30,
        "steps": 85,
        "eliminations": 3,
        "share": 0.0,
        "ensemble": "random_forest",
        "samples": 0,
        "domain": "none",
        "blocked": 0,
    }
    presets = {
        "paper": {},
        "quick": {"steps": 4, "share": 0.7, "samples": 1500},
        "check": {"trees": 5, "steps": 2, "share": 0.25},
    }

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        if "age_group" in hidden:
            hidden = tuple(a for a in hidden if a != "young")
        names = ("summed", "sequential", "joint") if hidden else ()
        return [Variant(n, hidden, selected=n == "summed", part=n) for n in names]

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        from methods._blocks.elimination import Ensemble, eliminate, schedule
        from methods._blocks.templates import Standardiser, class_labels, some_people

        s = self.settings
        templates = some_people(templates, s["samples"], ctx.seed)
        labels = [class_labels(templates, a) for a in self.variant(self.part).obfuscates]
        self._standardise = Standardiser.of(templates.vectors)
        standard = self._standardise(templates.vectors)
        apart, together = components(standard, s["domain"], s["blocked"], ctx.seed)
        counts = schedule(standard.shape[1], s["steps"], s["eliminations"], s["share"])
        gone = eliminate(
            standard @ apart,
            rounds(self.part, labels, counts),
            Ensemble(s["ensemble"], s["trees"]),
            ctx,
            blocked=s["blocked"],
        )
        kept = np.setdiff1d(np.arange(apart.shape[1]), gone)
        self._matrix = apart[:, kept] if together is None else apart[:, kept] @ together[kept]
        return {"eliminated": gone.tolist(), "left": len(kept)}

    def state(self) -> State:
        return {
            "centre": self._standardise.centre,
            "spread": self._standardise.spread,
            "matrix": self._matrix,
        }

    def restore(self, state: State) -> None:
        from methods._blocks.templates import Standardiser

        self._standardise = Standardiser(state["centre"], state["spread"])
        self._matrix = state["matrix"]

    def _protect(self, vectors: Tensor, request: Request) -> Tensor:
        import torch

        protected = self._standardise(vectors.cpu().numpy()) @ self._matrix
        return torch.from_numpy(protected).to(vectors.device)


def rounds(strategy: str, labels: Sequence[NDArray[np.int64]], counts: Sequence[int]) -> list[Round]:
    """The eliminations of a strategy. labels: class indices (N,) of each attribute, -1 where unknown."""
    from methods._blocks.elimination import Round

    if strategy == "summed":
        return [Round(tuple(labels), n) for n in counts]
    if strategy == "joint":
        return [Round((joint_label(labels),), n) for n in counts]
    each = []
    for number, count in enumerate(counts):
        for place, label in enumerate(labels):
            # What cannot be shared out evenly goes to another attribute in the next round.
            extra = (place - number) % len(labels) < count % len(labels)
            each.append(Round((label,), count // len(labels) + extra))
    return [r for r in each if r.count]


def joint_label(labels: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One class for every combination of classes that occurs; -1 where any of `labels` is unknown."""
    table = np.stack(labels, 1)
    known = (table >= 0).all(1)
    joint = np.full(len(table), -1, np.int64)
    joint[known] = np.unique(table[known], axis=0, return_inverse=True)[1].reshape(-1)
    return joint


def components(vectors: Float, domain: str, blocked: int, seed: int) -> tuple[Float, Float | None]:
    """Matrix (D, K) to the components of `vectors` (N, D, centred), and (K, D) back; None: stay there.

    Raises UsageError for an unknown domain, or blocked components where they have no order.
    """
    if domain not in ("none", "pca", "ica"):
        raise UsageError(f"option domain of multi_ive must be none, pca or ica, got '{domain}'")
    if blocked and domain != "pca":
        raise UsageError("option blocked of multi_ive counts principal components; it needs domain=pca")
    if domain == "none":
        return np.eye(vectors.shape[1], dtype=np.float32), None
    from sklearn.decomposition import PCA, FastICA

    if domain == "pca":
        axes = PCA(svd_solver="full").fit(vectors).components_.astype(np.float32)
        return np.ascontiguousarray(axes.T), axes
    model = FastICA(whiten="unit-variance", random_state=seed).fit(vectors)
    return model.components_.T.astype(np.float32), model.mixing_.T.astype(np.float32)
