"""Makes workloads of the components that are asked for; one that cannot be timed becomes a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bench import discover
from bench.components.base import Component, Context
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Auxiliaries, Method, Protected, Verdict
from bench.components.method_base import AnyMethod, Variant
from bench.errors import Unavailable, unknown_name
from bench.faces import Faces
from bench.inference.work import networks_of
from bench.throughput.samples import ATTRIBUTES, random_faces, random_templates
from bench.throughput.workloads import (
    UNTRAINED,
    EmbeddingWork,
    LibraryCall,
    MethodWork,
    ModuleWork,
    Named,
    Workload,
)
from bench.weights import WeightsFolder

Work = Workload | LibraryCall

ALL = "all"
METRICS = ("verification", "lpips", "niqe", "ssim", "psnr")

_TRAINING: dict[str, Any] = {
    "steps": 1,
    "stage_steps": 1,
    "epochs": 1,
    "batch": 2,
    "snapshots": 1,
    "critic_steps": 1,
    "trees": 2,
    "detector_epochs": 1,
    "strengths": [1.0],
    "stage_strengths": [1.0],
}
"""Training that is cut short: none of these changes what happens at inference."""

_TEMPLATE_STEPS = ("steps", "batch")
"""Of template methods these are rounds of elimination, which decide how long the output is."""

_INFERENCE: dict[str, int] = {"iterations": 20, "searches": 1}
"""Steps that a method takes for every image, at most; a row says so where there would be more."""

_LEARNED_FROM = 480
_PAIRED = 5000
_NIQE_SIDE = 224
"""What every image is brought to before its NIQE is asked for."""


@dataclass(frozen=True)
class Wanted:
    """Names may be `all`; a method's may carry a variant after a colon. preset: of every component.

    side: of the images, and what methods with a size of their own work at.
    """

    methods: Sequence[str] = (ALL,)
    matchers: Sequence[str] = (ALL,)
    attackers: Sequence[str] = (ALL,)
    metrics: Sequence[str] = (ALL,)
    preset: str = "paper"
    side: int = 224
    device: str = "cpu"


@dataclass(frozen=True)
class Builder:
    """A workload that is yet to be made; `make` raises whatever its component does, Unavailable at best."""

    named: Named
    make: Callable[[], Work]


def builders(wanted: Wanted, weights: WeightsFolder | None) -> Iterator[Builder]:
    """One for everything that was named. Raises UsageError for unknown names."""
    context = Context(device=wanted.device, weights=weights)
    for name, variant in _named_methods(wanted.methods).items():
        named = Named("method", name, variant, wanted.preset, wanted.side)
        yield Builder(named, partial(_method, named, context))
    for kind, names in (("matcher", wanted.matchers), ("attacker", wanted.attackers)):
        makers = {"matcher": _matcher, "attacker": _attacker}
        for name in chosen(kind, names, list(discover.components(kind))):
            named = Named(kind, name, "", wanted.preset, wanted.side)
            yield Builder(named, partial(makers[kind], named, context))
            if name == "mobilefacenet_casia":
                named = Named(kind, f"{name} (torch)", "", "", wanted.side, weights=UNTRAINED)
                yield Builder(named, partial(_differentiable, named, context))
    for name in chosen("metric", wanted.metrics, METRICS):
        item = "pair" if name == "verification" else "image"
        named = Named("metric", name, side=0 if name == "verification" else wanted.side, item=item)
        yield Builder(named, partial(_METRICS[name], named, context))


def chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of `known` that `names` names. Raises UsageError for unknown ones."""
    for name in names:
        if name != ALL and name not in known:
            raise unknown_name(kind, name, known)
    return [n for n in known if n in names or ALL in names]


def _named_methods(names: Sequence[str]) -> dict[str, str]:
    given = dict((name.partition(":")[::2]) for name in names)
    found = chosen("method", list(given), list(discover.components("method")))
    return {name: given.get(name, "") for name in found}


# -- methods -----------------------------------------------------------------------------------------


class _Indifferent:
    """Judges who find every candidate equally good, without looking."""

    def verdict(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        return Verdict({"none": 0.5}, {"none": 0.5}, 0.5, 0.0)


def new_method(name: str, preset: str, side: int, changes: Mapping[str, Any]) -> tuple[AnyMethod, str]:
    """A method at `side` px with those of `changes` that it has options for, and what is cut at inference."""
    cls = discover.load_class("method", name)
    usual = cls.resolve(preset, {})
    limits = {k: v for k, v in _INFERENCE.items() if usual.get(k, 0) > v}
    taken = {k: v for k, v in changes.items() if k in usual} | limits
    if usual.get("size", 0):
        taken["size"] = side
    told = ", ".join(f"{k}={v} of {usual[k]}" for k, v in limits.items())
    return cls(ATTRIBUTES, preset=preset, **taken), told


def _method(named: Named, context: Context) -> MethodWork:
    level = discover.load_class("method", named.name).level
    left_out = _TEMPLATE_STEPS if level == "template" else ()
    changes = {k: v for k, v in _TRAINING.items() if k not in left_out}
    method, limited = new_method(named.name, named.preset, named.side, changes)
    variants = [v for v in method.variants() if not v.oracle]
    usual = next((v for v in variants if v.selected), variants[0])
    variant = method.variant(named.variant) if named.variant else usual
    method.part = variant.part
    learned = type(method).trained
    if learned:
        fit_on_noise(method, named.side, context)
    side, item = (named.side, "image") if isinstance(method, Method) else (0, "template")
    told = Named(
        "method", named.name, variant.name, named.preset, side, item, limited, UNTRAINED if learned else ""
    )
    work = MethodWork(told, context.device, method, variant)
    # Iterated changes differ with every rounding, and templates are too small to gain anything.
    work.one_graph = isinstance(method, Method) and not limited
    return work


def fit_on_noise(method: AnyMethod, side: int, context: Context) -> None:
    """Train as long as the method's options say, on random faces or templates."""
    if isinstance(method, EmbeddingMethod):
        method.fit(random_templates(_LEARNED_FROM, 1), random_templates(32, 2), context)
        return
    assert isinstance(method, Method)
    count = 16 if method.needs_auxiliaries else _LEARNED_FROM
    pools = random_faces(count, side, 1), random_faces(8, side, 2)
    method.fit(*pools, untrained_opponents(method, context), context)


def untrained_opponents(method: Method, context: Context) -> Auxiliaries | None:
    """Auxiliaries with random weights, for a method that learns against any."""
    if not method.needs_auxiliaries:
        return None
    from bench.auxiliaries import untrained

    judges: Any = _Indifferent()
    opponents = untrained(ATTRIBUTES, judges, type(method).extra_auxiliaries)
    extra = [opponents.extra(name) for name in type(method).extra_auxiliaries]
    for network in (opponents.matcher, *opponents.classifiers, *extra):
        network.to(context.device)  # type: ignore[union-attr,attr-defined]
    return opponents


# -- matchers and attackers --------------------------------------------------------------------------


def _instance(named: Named) -> Any:
    cls = discover.load_class(named.kind, named.name)
    usual = cls.resolve(named.preset, {})
    changes = {k: v for k, v in {"steps": 1, "batch": 2}.items() if k in usual}
    return cls(preset=named.preset, **(changes if cls.trained else {}))


def _matcher(named: Named, context: Context) -> Work:
    matcher = _instance(named)
    if matcher.trained:
        matcher.fit(random_faces(8, named.side, 1), context)
    elif hasattr(type(matcher), "_build"):
        return _published(named, matcher, context)
    else:
        _refuse_on_gpu(context)
        matcher.prepare(context)
    networks = networks_of(matcher)
    if len(networks) != 1:
        return _on_faces(named, matcher, lambda faces: matcher.embed(faces, context))
    return EmbeddingWork(_told(named, matcher), context.device, networks[0], matcher.settings["size"])


def _published(named: Named, matcher: Any, context: Context) -> EmbeddingWork:
    """A published torch network with random weights: its own are not needed to time it."""
    from torch import nn

    class Resized(nn.Module):
        """Faces at the size of the network's crop; where the crop lies makes no difference."""

        def __init__(self) -> None:
            super().__init__()
            self.network = type(matcher)._build()
            self.size = (matcher.alignment.height, matcher.alignment.width)

        def forward(self, images: Any) -> Any:
            crops = nn.functional.interpolate(images, self.size, mode="bilinear", antialias=True)
            return self.network(crops * 2 - 1)

    told = replace(named, preset="", weights=UNTRAINED)
    return EmbeddingWork(told, context.device, Resized())


def _differentiable(named: Named, context: Context) -> Work:
    from bench.pretrained_mobilefacenet import CasiaMatcher, MobileFaceNet, crop_matrix

    network = CasiaMatcher(MobileFaceNet())
    landmarks = random_faces(8, named.side, 1).landmarks
    assert landmarks is not None
    network.matrix = crop_matrix(landmarks, named.side)
    return EmbeddingWork(named, context.device, network)


def _attacker(named: Named, context: Context) -> Work:
    attacker = _instance(named)
    if not attacker.trained:
        _refuse_on_gpu(context)
        attacker.prepare(context)
        return _on_faces(named, attacker, lambda faces: attacker.scores(faces, context))
    learned = [a for a in ATTRIBUTES if not a.is_number]
    if attacker.reads == "embedding":
        templates = random_templates(_LEARNED_FROM, 1)
        attacker.fit(templates.vectors, templates.labels, learned, context)
        told = Named("attacker", named.name, "", named.preset, 0, "template", "", _learned_from(attacker))
        return LibraryCall(
            told, "cpu", lambda n: partial(attacker.scores, random_templates(n, 2).vectors, context)
        )
    faces = random_faces(24, named.side, 1)
    attacker.fit(faces, faces.labels, learned, context)
    networks = networks_of(attacker)
    if len(networks) != 1:
        return _on_faces(named, attacker, lambda faces: attacker.scores(faces, context))
    return ModuleWork(_told(named, attacker), context.device, networks[0], attacker.settings["size"])


def _on_faces(named: Named, component: Any, answer: Callable[[Faces], Any]) -> LibraryCall:
    told = _told(named, component)
    return LibraryCall(told, "cpu", lambda n: partial(answer, random_faces(n, named.side, 2)))


def _told(named: Named, component: Component) -> Named:
    return Named(named.kind, named.name, "", named.preset, named.side, weights=_learned_from(component))


def _learned_from(component: Any) -> str:
    if not component.trained:
        return "pretrained"
    return f"trained on {_LEARNED_FROM} random vectors" if hasattr(component, "_block_scores") else UNTRAINED


def _refuse_on_gpu(context: Context) -> None:
    if context.device != "cpu":
        raise Unavailable("an ONNX file runs on the processor here, by onnxruntime", "use --device cpu")


# -- metrics -----------------------------------------------------------------------------------------


def _verification(named: Named, context: Context) -> LibraryCall:
    from bench.metrics.pairs import pairs_within
    from bench.metrics.verification import compare

    templates = random_templates(_PAIRED, 1)
    pairs = pairs_within(templates.vectors, templates.identities)
    work = LibraryCall(named, context.device, lambda n: partial(compare, pairs, context.device))
    work.items = _PAIRED * (_PAIRED - 1) // 2
    return work


def _lpips(named: Named, context: Context) -> ModuleWork:
    import warnings

    import lpips

    # The package fills its backbone with random numbers, by torchvision's deprecated `pretrained=False`.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="squeeze", version="0.1", pnet_rand=True, verbose=False)
    told = Named("metric", named.name, side=named.side, item="image pair", weights=UNTRAINED)
    return ModuleWork(told, context.device, network, images=2)


def _niqe(named: Named, context: Context) -> LibraryCall:
    from bench.metrics.niqe import niqe

    mean, covariance = np.zeros(36), np.eye(36)
    told = replace(named, side=_NIQE_SIDE)
    return LibraryCall(
        told, "cpu", lambda n: partial(niqe, random_faces(n, _NIQE_SIDE, 2).images, mean, covariance)
    )


def _pairwise_quality(named: Named, context: Context) -> LibraryCall:
    from bench.metrics import quality

    function = getattr(quality, named.name)

    def call_for(batch: int) -> Callable[[], Any]:
        return partial(
            function, random_faces(batch, named.side, 2).images, random_faces(batch, named.side, 3).images
        )

    return LibraryCall(named, "cpu", call_for)


_METRICS: dict[str, Callable[[Named, Context], Work]] = {
    "verification": _verification,
    "lpips": _lpips,
    "niqe": _niqe,
    "ssim": _pairwise_quality,
    "psnr": _pairwise_quality,
}
