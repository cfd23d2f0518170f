"""Who decides among a method's candidates: attackers of both families and a matcher, on VALIDATION.

None of them is ever trained against, and none ever scores a method in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State
from bench.components.method import Protected, Verdict, to_tensor
from bench.components.method_base import Variant
from bench.errors import BenchError, MetricError
from bench.faces import Attribute, Faces, whole_people
from bench.metrics import privacy, verification

if TYPE_CHECKING:
    from torch import Tensor, nn

_JUDGED_FACES = 600
_ATTACKER_FACES = 3000
_FMR = 0.01


class Judges:
    """Attackers and a matcher that no method trains against, set on VALIDATION."""

    def __init__(
        self,
        modules: Mapping[str, nn.ModuleDict],
        attacker_data: State,
        validation: Faces,
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> None:
        self.embed: Any = modules["judge_matcher"]["embed"]
        self.classify: Any = modules["judge_classifier"]["classify"]
        self.data = attacker_data
        self.faces = whole_people(validation, _JUDGED_FACES)
        self.attributes = attributes
        self.ctx = ctx
        self._attackers: dict[str, Mapping[str, Any]] = {}

    def verdict(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        protected = protect(self.faces)
        kept = ~protected.failed
        if not kept.any():
            raise BenchError(f"variant {variant.name} protected none of {len(kept)} validation faces")
        embeddings = embed_images(self.embed, protected.images, self.ctx.device)
        embeddings[protected.failed] = np.nan
        logits = classify_images(self.classify, protected.images, self.ctx.device)
        hidden = [a for a in self.attributes if a.name in variant.obfuscates]
        leak: dict[str, list[float]] = {}
        reduction: dict[str, list[float]] = {}
        for attribute in hidden:
            rows = kept & np.isfinite(self.faces.labels[attribute.name])
            after: dict[str, NDArray[Any]] = dict(self._embedding_scores(attribute, embeddings, rows))
            after["cnn"] = logits[attribute.name][rows]
            labels = self.faces.labels[attribute.name][rows].astype(np.int64)
            for judge, scores in after.items():
                before = self._original_scores[attribute.name][judge][rows]
                try:
                    found = _reduction(labels, before, scores), abs(2 * privacy.auc(labels, scores) - 1)
                except MetricError:
                    continue  # it cannot read the attribute on originals, or only one class is left
                reduction.setdefault(judge, []).append(found[0])
                leak.setdefault(judge, []).append(found[1])
        return Verdict(
            leak={k: float(np.mean(v)) for k, v in leak.items()},
            reduction={k: float(np.mean(v)) for k, v in reduction.items()},
            matching=self._matching(embeddings) / self._own_matching,
            kept_drop=self._kept_drop(logits, kept, variant),
        )

    def _embedding_scores(
        self, attribute: Attribute, embeddings: NDArray[np.float32], rows: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float64]]:
        if attribute.name not in self._attackers:
            self._attackers[attribute.name] = _embedding_attackers(self.data, attribute)
        return {k: _log_scores(m, embeddings[rows]) for k, m in self._attackers[attribute.name].items()}

    def _kept_drop(self, logits: Mapping[str, Any], kept: NDArray[np.bool_], variant: Variant) -> float:
        drops = []
        for attribute in self.attributes:
            values = self.faces.labels[attribute.name]
            rows = kept & np.isfinite(values)
            if attribute.name in variant.obfuscates or len(np.unique(values[rows])) < 2:
                continue
            labels = values[rows].astype(np.int64)
            before = self._original_scores[attribute.name]["cnn"][rows].argmax(1)
            after = logits[attribute.name][rows].argmax(1)
            drops.append(privacy.balanced_accuracy(labels, before) - privacy.balanced_accuracy(labels, after))
        return float(np.mean(drops)) if drops else 0.0

    def _matching(self, embeddings: NDArray[np.float32]) -> float:
        """TMR at FMR 1 %, original as reference, protected as probe; lost probes are no matches."""
        pairs = verification.pairs_between(self._originals, embeddings, self.faces.identities)
        return verification.compare(pairs).at_fmr(_FMR).tmr_all

    @cached_property
    def _originals(self) -> NDArray[np.float32]:
        return embed_images(self.embed, self.faces.images, self.ctx.device)

    @cached_property
    def _own_matching(self) -> float:
        own = tmr(self._originals, self.faces.identities)
        if own <= 0:
            raise BenchError(
                "the judge matcher recognises nobody on VALIDATION; give it more DEVELOP identities"
            )
        return own

    @cached_property
    def _original_scores(self) -> dict[str, dict[str, NDArray[Any]]]:
        logits = classify_images(self.classify, self.faces.images, self.ctx.device)
        everyone = np.ones(len(self.faces), bool)
        return {
            a.name: {**self._embedding_scores(a, self._originals, everyone), "cnn": logits[a.name]}
            for a in self.attributes
        }


def embed_images(
    embed: Callable[[Tensor], Tensor], images: NDArray[np.uint8], device: str
) -> NDArray[np.float32]:
    """Embeddings float32 (N, D) of uint8 images (N, H, W, 3), in batches, without gradients."""
    import torch

    with torch.no_grad():
        parts = [
            embed(to_tensor(images[i : i + 128], device)).cpu().numpy() for i in range(0, len(images), 128)
        ]
    return np.concatenate(parts)


def classify_images(
    classify: Callable[[Tensor], Mapping[str, Tensor]], images: NDArray[np.uint8], device: str
) -> dict[str, NDArray[np.float32]]:
    """Logits float32 (N, K) by attribute of uint8 images (N, H, W, 3), in batches, without gradients."""
    import torch

    parts = []
    with torch.no_grad():
        for i in range(0, len(images), 128):
            found = classify(to_tensor(images[i : i + 128], device))
            parts.append({k: v.cpu().numpy() for k, v in found.items()})
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def attacker_data(embed: Any, develop: Faces, attributes: Sequence[Attribute], ctx: Context) -> State:
    """Embeddings and labels that the judges' attackers learn from, under `attackers/`."""
    part = whole_people(develop, _ATTACKER_FACES)
    labels = {f"attackers/label/{a.name}": part.labels[a.name].astype(np.float32) for a in attributes}
    return {"attackers/embeddings": embed_images(embed, part.images, ctx.device), **labels}


def _embedding_attackers(data: State, attribute: Attribute) -> dict[str, Any]:
    """A kernel and a neighbour attacker, fitted on the stored embeddings."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    values = data[f"attackers/label/{attribute.name}"]
    known = np.isfinite(values)
    vectors, labels = data["attackers/embeddings"][known], values[known].astype(np.int64)
    if len(np.unique(labels)) < 2:
        return {}
    return {
        "svm": SVC(C=1.0, class_weight="balanced", decision_function_shape="ovr").fit(vectors, labels),
        "neighbours": KNeighborsClassifier(15, weights="distance").fit(vectors, labels),
    }


def _log_scores(model: Any, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores (N, K), larger is likelier, for the classes the model knows (all of 0..K-1 on a usable pool)."""
    vectors = np.nan_to_num(vectors)
    if hasattr(model, "decision_function"):
        scores = model.decision_function(vectors)
        return np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
    return np.log(model.predict_proba(vectors) + 1e-3)


def _reduction(labels: NDArray[np.int64], before: NDArray[Any], after: NDArray[Any]) -> float:
    chance = 1 / before.shape[1]
    original = privacy.balanced_accuracy(labels, before.argmax(1))
    if original < chance + 0.05:
        raise MetricError(f"balanced accuracy {original:.2f} on originals is no better than chance")
    return privacy.reduction(original, privacy.balanced_accuracy(labels, after.argmax(1)), chance)


def tmr(embeddings: NDArray[np.float32], identities: NDArray[np.int64]) -> float:
    return verification.compare(verification.pairs_within(embeddings, identities)).at_fmr(_FMR).tmr_all
