"""Networks that methods train against, and the judges that choose among a method's candidates.

All learn on DEVELOP (or are pretrained), with architectures that no evaluation component has; none ever
scores a method. Judges are never trained against: a matcher with two attackers on its embeddings, and a
pixel network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State, load_module, module_state
from bench.components.method import Protected, Variant, Verdict, sample_seeds, to_tensor
from bench.errors import BenchError, InputError, MetricError
from bench.faces import Attribute, Faces
from bench.grey import partly_grey
from bench.metrics import privacy, verification

if TYPE_CHECKING:
    from torch import Tensor, nn

NETWORKS = ("matcher", "classifier_plain", "classifier_strided", "judge_matcher", "judge_classifier")
"""Units of work of `train_network`. `matcher_casia` may take the place of `matcher`: see there."""

CASIA = "matcher_casia"

_MATCHERS = ("matcher", CASIA, "judge_matcher")
_STEPS = {"matcher": 1300, CASIA: 300, "judge_matcher": 1000}
_BATCH = 64
_JUDGED_FACES = 600
_ATTACKER_FACES = 3000
_FMR = 0.01


def train_network(name: str, develop: Faces, validation: Faces, ctx: Context) -> tuple[State, dict[str, Any]]:
    """Train one of `NETWORKS`, or for `matcher_casia` only the attribute heads on the pretrained matcher.

    `matcher_casia` needs landmarks, and `mobilefacenet_casia_112x96.safetensors` in `ctx.weights`, else
    raises InputError or Unavailable. Returns the weights, and figures measured on `validation`: `steps`,
    `final_loss`, `loss_curve`, `balanced_accuracy` by attribute, and for matchers `tmr_at_fmr_1`.
    """
    import torch

    attributes = class_attributes(develop.attributes)
    seed = int(sample_seeds(ctx.seed, "auxiliary", [name])[0] % 2**31)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        module = _new_module(name, attributes, develop, ctx)
        extra = {"proxies": _new_proxies(develop)} if name in _MATCHERS and name != CASIA else {}
    figures = _fit(name, module, extra, develop, attributes, seed, ctx)
    if name == CASIA:
        figures["pretrained"] = "mobilefacenet_casia_112x96"
    state = _stored(name, module)
    if name == "judge_matcher":
        state |= _attacker_data(module["embed"], develop, attributes, ctx)
    figures |= _measured(name, module, validation, attributes, ctx)
    return state, figures


def assemble(
    states: Mapping[str, State], validation: Faces, attributes: Sequence[Attribute], ctx: Context
) -> TrainedAuxiliaries:
    """Put together what `train_network` returned for each of `NETWORKS`, frozen on `ctx.device`."""
    known = class_attributes(attributes)
    modules = {}
    for name, state in states.items():
        modules[name] = _restored(name, state, known, validation, ctx)
    missing = [n for n in NETWORKS if n not in modules and not (n == "matcher" and CASIA in modules)]
    if missing:
        raise InputError(f"auxiliaries lack {', '.join(missing)}; train all of bench.auxiliaries.NETWORKS")
    return TrainedAuxiliaries(modules, states["judge_matcher"], validation, known, ctx)


def class_attributes(attributes: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Those with classes; numbers are nothing a classifier can be trained on."""
    return tuple(a for a in attributes if not a.is_number)


class TrainedAuxiliaries:
    """Implements `bench.api.Auxiliaries`; made by `assemble`."""

    def __init__(
        self,
        modules: Mapping[str, nn.ModuleDict],
        attacker_data: State,
        validation: Faces,
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> None:
        from bench.auxiliary_networks import Probe

        trained_against = CASIA if CASIA in modules else "matcher"
        matcher: Any = modules[trained_against]["embed"]
        probe: Any = Probe(matcher, modules[trained_against]["heads"])  # type: ignore[arg-type]
        plain: Any = modules["classifier_plain"]["classify"]
        strided: Any = modules["classifier_strided"]["classify"]
        self.matcher: Callable[[Tensor], Tensor] = matcher
        self.classifiers: Sequence[Callable[[Tensor], Mapping[str, Tensor]]] = (plain, strided, probe)
        self.names: tuple[str, ...] = (
            trained_against,
            "classifier_plain",
            "classifier_strided",
            f"probe_{trained_against}",
        )
        self._judges = _Judges(modules, attacker_data, validation, attributes, ctx)

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        """Score `protect` on (a fixed part of) VALIDATION; see `bench.api.Verdict`.

        Judges: `svm` and `neighbours` on the judge matcher's embeddings, `cnn` on pixels. A judge that
        cannot read an attribute on the originals has no say on it. Raises BenchError when no image could
        be protected.
        """
        return self._judges.verdict(protect, variant)


class _Judges:
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
        self.faces = _whole_identities(validation, _JUDGED_FACES)
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
        own = _tmr(self._originals, self.faces.identities)
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


def _new_module(name: str, attributes: Sequence[Attribute], faces: Faces, ctx: Context) -> nn.ModuleDict:
    """`embed` and `heads` of a matcher, or `classify`."""
    from torch import nn

    from bench.auxiliary_networks import EMBEDDING, AttributeHeads, new_classifier, new_matcher

    if name not in _MATCHERS:
        return nn.ModuleDict({"classify": new_classifier(name, attributes)})
    heads = AttributeHeads(EMBEDDING, attributes, hidden=64)
    if name != CASIA:
        return nn.ModuleDict({"embed": new_matcher(name), "heads": heads})
    if faces.landmarks is None:
        raise InputError("matcher_casia needs faces with landmarks; train `matcher` instead")
    from bench.pretrained_mobilefacenet import CasiaMatcher

    return nn.ModuleDict({"embed": CasiaMatcher(faces.landmarks, faces.size, ctx.weights), "heads": heads})


def _new_proxies(develop: Faces) -> nn.Module:
    from bench.auxiliary_networks import CosineSoftmax

    return CosineSoftmax(len(np.unique(develop.identities)), scale=24.0)


def _fit(
    name: str,
    module: nn.ModuleDict,
    extra: Mapping[str, nn.Module],
    develop: Faces,
    attributes: Sequence[Attribute],
    seed: int,
    ctx: Context,
) -> dict[str, Any]:
    import torch
    from torch import nn

    from bench.training import Augment, class_weights, fit_network, masked_cross_entropy

    codes = {a.name: np.nan_to_num(develop.labels[a.name], nan=-1).astype(np.int64) for a in attributes}
    labels = {k: torch.from_numpy(v).to(ctx.device) for k, v in codes.items()}
    weights = {
        a.name: torch.from_numpy(class_weights(codes[a.name], len(a.classes))).to(ctx.device)
        for a in attributes
    }
    identities = torch.from_numpy(np.unique(develop.identities, return_inverse=True)[1]).to(ctx.device)

    def attribute_loss(logits: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        return masked_cross_entropy(logits, {k: v[rows] for k, v in labels.items()}, weights)

    def loss(trained: Any, images: Tensor, rows: Tensor) -> Tensor:
        images = partly_grey(images)
        if "classify" in trained:
            return attribute_loss(trained["classify"](images), rows)
        vectors = trained["embed"](images)
        total = attribute_loss(trained["heads"](vectors.detach()), rows)
        return total + trained["proxies"](vectors, identities[rows]) if "proxies" in trained else total

    return fit_network(
        nn.ModuleDict({**module, **extra}),
        develop.images,
        loss,
        steps=_STEPS.get(name, 600),
        batch=_BATCH,
        rate=3e-3,
        weight_decay=0.05,
        seed=seed,
        ctx=ctx,
        augment=Augment(shift=0.06, zoom=0.1, rotate=8.0, blur=0.6, noise=0.03, erase=0.2),
        name=name,
    )


def _stored(name: str, module: nn.ModuleDict) -> State:
    """Weights as arrays; of `matcher_casia` only what was trained here and the crop."""
    state = module_state(module)
    if name == CASIA:
        return {k: v for k, v in state.items() if not k.startswith("embed.network.")}
    return state


def _restored(
    name: str, state: State, attributes: Sequence[Attribute], faces: Faces, ctx: Context
) -> nn.ModuleDict:
    module = _new_module(name, attributes, faces, ctx)
    wanted = {k: v for k, v in state.items() if not k.startswith("attackers/")}
    if name == CASIA:
        own = {k: v for k, v in module_state(module).items() if k.startswith("embed.network.")}
        wanted |= own
    load_module(module, wanted)
    return module.to(ctx.device).eval().requires_grad_(False)


def _attacker_data(embed: Any, develop: Faces, attributes: Sequence[Attribute], ctx: Context) -> State:
    """Embeddings and labels that the judges' attackers learn from, under `attackers/`."""
    part = _whole_identities(develop, _ATTACKER_FACES)
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


def _tmr(embeddings: NDArray[np.float32], identities: NDArray[np.int64]) -> float:
    return verification.compare(verification.pairs_within(embeddings, identities)).at_fmr(_FMR).tmr_all


def _whole_identities(faces: Faces, most: int) -> Faces:
    """The first identities (in order of appearance) that together have about `most` faces."""
    if len(faces) <= most:
        return faces
    last = faces.identities[most]
    return faces.take(
        np.isin(faces.identities, np.unique(faces.identities[:most])) & (faces.identities != last)
    )


def _measured(
    name: str, module: Any, validation: Faces, attributes: Sequence[Attribute], ctx: Context
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if name in _MATCHERS:
        vectors = embed_images(module["embed"], validation.images, ctx.device)
        figures["tmr_at_fmr_1"] = _tmr(vectors, validation.identities)
        logits = _read_embeddings(module["heads"], vectors, ctx.device)
    else:
        logits = classify_images(module["classify"], validation.images, ctx.device)
    scores = {}
    for attribute in attributes:
        values = validation.labels[attribute.name]
        known = np.isfinite(values)
        predicted = logits[attribute.name][known].argmax(1)
        scores[attribute.name] = privacy.balanced_accuracy(values[known].astype(np.int64), predicted)
    return {**figures, "balanced_accuracy": scores}


def _read_embeddings(heads: Any, vectors: NDArray[np.float32], device: str) -> dict[str, NDArray[np.float32]]:
    import torch

    with torch.no_grad():
        return {k: v.cpu().numpy() for k, v in heads(torch.from_numpy(vectors).to(device)).items()}
