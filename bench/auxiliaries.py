"""Networks that methods train against, and those of the judges that choose among a method's candidates.

All learn on DEVELOP (or are pretrained), with architectures that no evaluation component has; none ever
scores a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State, load_module, module_state
from bench.components.method import Protected, Verdict
from bench.components.method_base import Variant, sample_seeds
from bench.errors import ContractError, InputError
from bench.faces import Attribute, Faces
from bench.grey import partly_grey
from bench.judges import Judges, attacker_data, classify_images, embed_images, tmr
from bench.metrics import privacy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.components.method import AuxiliaryMatcher, Classifier

NETWORKS = ("matcher", "classifier_plain", "classifier_strided", "judge_matcher", "judge_classifier")
"""Units of work of `train_network`. `matcher_casia` may take the place of `matcher`: see there."""

CASIA = "matcher_casia"

_MATCHERS = ("matcher", CASIA, "judge_matcher")
_KEPT_CLASSIFIERS = ("classifier_plain", "classifier_strided")
_STEPS = {"matcher": 1300, CASIA: 300, "judge_matcher": 1000}
_BATCH = 64
_REPEATED = 40


def train_network(name: str, develop: Faces, validation: Faces, ctx: Context) -> tuple[State, dict[str, Any]]:
    """Train one of `NETWORKS` or `RESAMPLED`, or the attribute heads of the pretrained `matcher_casia`.

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
        state |= attacker_data(module["embed"], develop, attributes, ctx)
    figures |= _measured(name, module, validation, attributes, ctx)
    return state, figures


def assemble(
    states: Mapping[str, State], validation: Faces, attributes: Sequence[Attribute], ctx: Context
) -> TrainedAuxiliaries:
    """Put together what `train_network` returned for each of `NETWORKS` and more, frozen on `ctx.device`."""
    known = class_attributes(attributes)
    modules = {}
    for name, state in states.items():
        modules[name] = _restored(name, state, known, validation, ctx)
    missing = [n for n in NETWORKS if n not in modules and not (n == "matcher" and CASIA in modules)]
    if missing:
        raise InputError(f"auxiliaries lack {', '.join(missing)}; train all of bench.auxiliaries.NETWORKS")
    judges = Judges(modules, states["judge_matcher"], validation, known, ctx)
    return TrainedAuxiliaries(modules, judges)


def class_attributes(attributes: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Those with classes; numbers are nothing a classifier can be trained on."""
    return tuple(a for a in attributes if not a.is_number)


def untrained(attributes: Sequence[Attribute], judges: Any, extra: Sequence[str] = ()) -> TrainedAuxiliaries:
    """The networks with random weights: enough to run a method's code, no more. judges: has `verdict`."""
    known = class_attributes(attributes)
    names = ("matcher", *_KEPT_CLASSIFIERS, *extra)
    modules = {name: _empty_module(name, known).eval().requires_grad_(False) for name in names}
    return TrainedAuxiliaries(modules, judges)


class KeptAuxiliaries:
    """Matcher and classifiers as `bench.api.Auxiliaries` describes them; made by `revive`."""

    def __init__(self, modules: Mapping[str, nn.ModuleDict]) -> None:
        from bench.auxiliary_networks import Probe

        self._trained_against = CASIA if CASIA in modules else "matcher"
        matcher: Any = modules[self._trained_against]["embed"]
        probe: Any = Probe(matcher, modules[self._trained_against]["heads"])  # type: ignore[arg-type]
        plain: Any = modules["classifier_plain"]["classify"]
        strided: Any = modules["classifier_strided"]["classify"]
        self.matcher: AuxiliaryMatcher = matcher
        self.classifiers: Sequence[Classifier] = (plain, strided, probe)


class TrainedAuxiliaries(KeptAuxiliaries):
    """Implements `bench.api.Auxiliaries`; made by `assemble`."""

    def __init__(self, modules: Mapping[str, nn.ModuleDict], judges: Judges) -> None:
        super().__init__(modules)
        self._modules = modules
        self._judges = judges
        name = self._trained_against
        self.names: tuple[str, ...] = (name, *_KEPT_CLASSIFIERS, f"probe_{name}")

    def extra(self, name: str) -> Classifier:
        """The classifier called `name`. Raises ContractError when it was not asked for."""
        if name not in self._modules:
            raise ContractError(f"no auxiliary {name}; the method must name it in `extra_auxiliaries`")
        found: Any = self._modules[name]["classify"]
        return found

    def keep(self) -> State:
        """Arrays `aux/<network>/<parameter>` of what `revive` needs, half precision."""
        state: State = {}
        for name in (self._trained_against, *_KEPT_CLASSIFIERS):
            state |= module_state(self._modules[name], f"aux/{name}/", half=True)
        return state

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        """Score `protect` on (a fixed part of) VALIDATION; see `bench.api.Verdict`.

        Judges: `svm` and `neighbours` on the judge matcher's embeddings, `cnn` on pixels. A judge that
        cannot read an attribute on the originals has no say on it. Raises BenchError when no image could
        be protected.
        """
        return self._judges.verdict(protect, variant)


def revive(state: State, attributes: Sequence[Attribute], device: str = "cpu") -> KeptAuxiliaries:
    """What `Auxiliaries.keep` returned (other keys are ignored), frozen and differentiable.

    attributes: those the auxiliaries were trained on: the class attributes of DEVELOP.
    """
    known = class_attributes(attributes)
    names = dict.fromkeys(k.split("/")[1] for k in state if k.startswith("aux/"))
    if not names:
        raise ContractError("the stored state holds no auxiliaries; store what `auxiliaries.keep()` returns")
    modules = {}
    for name in names:
        module = _empty_module(name, known)
        load_module(module, {k: v for k, v in state.items() if k.startswith(f"aux/{name}/")}, f"aux/{name}/")
        modules[name] = module.to(device).eval().requires_grad_(False)
    return KeptAuxiliaries(modules)


def _new_module(name: str, attributes: Sequence[Attribute], faces: Faces, ctx: Context) -> nn.ModuleDict:
    """`embed` and `heads` of a matcher, or `classify`."""
    module = _empty_module(name, attributes)
    if name == CASIA:
        if faces.landmarks is None:
            raise InputError("matcher_casia needs faces with landmarks; train `matcher` instead")
        from bench.pretrained_mobilefacenet import casia_matcher

        module["embed"] = casia_matcher(faces.landmarks, faces.size, ctx.weights)
    return module


def _empty_module(name: str, attributes: Sequence[Attribute]) -> nn.ModuleDict:
    """The same before anything is loaded into it."""
    from torch import nn

    from bench.auxiliary_networks import EMBEDDING, AttributeHeads, new_classifier, new_matcher

    if name not in _MATCHERS:
        return nn.ModuleDict({"classify": new_classifier(name, attributes)})
    heads = AttributeHeads(EMBEDDING, attributes, hidden=64)
    if name != CASIA:
        return nn.ModuleDict({"embed": new_matcher(name), "heads": heads})
    from bench.pretrained_mobilefacenet import CasiaMatcher, MobileFaceNet

    return nn.ModuleDict({"embed": CasiaMatcher(MobileFaceNet()), "heads": heads})


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
        population=_resampled(name, develop, attributes, ctx.seed) if name.startswith("resampled_") else None,
    )


def _resampled(name: str, develop: Faces, attributes: Sequence[Attribute], seed: int) -> NDArray[np.int64]:
    """Rows of an epoch of `resampled_<i>`: everybody, and the i-th fifth of the under-represented people
    `_REPEATED` times.

    Under-represented is the rarest race; where races are not labelled, the rarest class of any attribute but
    gender (FlowSAN, section III; race there is its authors' own labelling).
    """
    from bench.auxiliary_networks import RESAMPLED

    chosen = [a for a in attributes if a.name == "race"] or [a for a in attributes if a.name != "gender"]
    counts = {
        (a.name, c): int((develop.labels[a.name] == c).sum()) for a in chosen for c in range(len(a.classes))
    }
    present = {k: n for k, n in counts.items() if n}
    if not present:
        raise InputError("resampled classifiers need a labelled attribute beside gender")
    attribute, rarest = min(present, key=present.__getitem__)
    people = np.unique(develop.identities[develop.labels[attribute] == rarest])
    order = np.random.default_rng([seed, len(RESAMPLED)]).permutation(people)
    fifth = np.array_split(order, len(RESAMPLED))[RESAMPLED.index(name)]
    rows = np.flatnonzero((develop.labels[attribute] == rarest) & np.isin(develop.identities, fifth))
    return np.concatenate([np.arange(len(develop)), np.repeat(rows, _REPEATED - 1)])


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


def _measured(
    name: str, module: Any, validation: Faces, attributes: Sequence[Attribute], ctx: Context
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if name in _MATCHERS:
        vectors = embed_images(module["embed"], validation.images, ctx.device)
        figures["tmr_at_fmr_1"] = tmr(vectors, validation.identities)
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
