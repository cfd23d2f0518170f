"""Pieces of work that are functions of tensors on a device, as the paths of `paths` take them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method
from bench.components.method_base import AnyMethod, Request

if TYPE_CHECKING:
    from torch import Tensor, nn

GREY_LEVELS, COSINE, RELATIVE = "grey levels", "1 - cosine", "relative"
"""Units of a deviation: mean absolute difference of images in 1/255; of embeddings; of any other output."""


class TensorWork(ABC):
    """A function of tensors that lie on one device, items along their first axis.

    deviation: unit in which its outputs are compared. one_graph: whether it is worth writing down as a graph.
    """

    deviation: str = GREY_LEVELS
    one_graph: bool = True

    @abstractmethod
    def run(self, *tensors: Tensor) -> Tensor:
        """The work itself; differentiates nothing unless the component does."""

    @property
    @abstractmethod
    def networks(self) -> list[nn.Module]:
        """The networks that take part."""


def deviation_of(found: Tensor, wanted: Tensor, unit: str) -> float:
    """How far `found` is from `wanted`, mean over all items, in one of the units above."""
    from torch.nn.functional import cosine_similarity

    if unit == COSINE:
        return max(0.0, float(1 - cosine_similarity(found, wanted).mean()))
    difference = float((found - wanted).abs().mean())
    if unit == GREY_LEVELS:
        return 255 * difference
    return difference / max(float(wanted.abs().mean()), 1e-12)


# -- a method's hook -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeldRequest(Request):
    """A request whose draws are made once and then lie on the device, by kind and shape."""

    held: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> HeldRequest:
        """The same, nothing drawn yet."""
        return cls(**{f.name: getattr(request, f.name) for f in fields(Request)})

    def normal(self, *shape: int) -> Tensor:
        return self.hold("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        return self.hold("uniform", shape)

    def hold(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        """The draw, made at the first call."""
        if (kind, shape) not in self.held:
            drawn: Tensor = getattr(Request, kind)(self, *shape)
            self.held[kind, shape] = drawn
        return self.held[kind, shape]


def tensors_of(request: HeldRequest) -> list[Tensor]:
    """All tensors of a request, in the order in which `with_tensors` takes them."""
    places = [t for t in (request.landmarks, request.parts) if t is not None]
    return [*request.labels.values(), *places, *request.held.values()]


def with_tensors(request: HeldRequest, tensors: Sequence[Tensor]) -> HeldRequest:
    """The request with other tensors in place of its own."""
    left = iter(tensors)
    return replace(
        request,
        labels={name: next(left) for name in request.labels},
        landmarks=None if request.landmarks is None else next(left),
        parts=None if request.parts is None else next(left),
        held={key: next(left) for key in request.held},
    )


def hook_of(method: AnyMethod, first: Tensor, request: Request) -> Tensor:
    """What the method makes of images or templates; its own hook."""
    assert isinstance(method, Method | EmbeddingMethod)
    return method._protect(first, request)


# -- networks ------------------------------------------------------------------------------------------


def networks_of(component: Any) -> list[nn.Module]:
    """The networks that a component holds, in lists, dicts and objects of the project too; each once."""
    from torch import nn

    found: dict[int, nn.Module] = {}
    pending, seen = [component], set()
    roots = {"bench", "methods", "matchers", "attackers", type(component).__module__.partition(".")[0]}
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, nn.Module):
            found[id(current)] = current
        elif isinstance(current, list | tuple):
            pending += current
        elif isinstance(current, Mapping):
            pending += current.values()
        elif is_dataclass(current) or type(current).__module__.partition(".")[0] in roots:
            pending += vars(current).values() if hasattr(current, "__dict__") else ()
    inner = {id(m) for network in found.values() for m in network.modules() if m is not network}
    return [network for key, network in found.items() if key not in inner]


Recorded = tuple["nn.Module", tuple[Any, ...]]


def bare_network(work: TensorWork, tensors: tuple[Tensor, ...]) -> Recorded | None:
    """The network that does the work and what it is called with, where there is exactly one such call.

    A hook does a little beside its network: a loop in the papers' style has only the network. To be called
    inside `form("trained")`, where the networks themselves are called.
    """
    import torch

    calls: list[Recorded] = []
    hooks = [
        network.register_forward_pre_hook(lambda module, args: calls.append((module, args)))
        for network in work.networks
    ]
    try:
        with torch.no_grad():
            work.run(*tensors)
    finally:
        for hook in hooks:
            hook.remove()
    return calls[0] if len(calls) == 1 else None
