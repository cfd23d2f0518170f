"""What is timed: components as functions of tensors that lie on the device already, or as library calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method, resize, to_tensor
from bench.components.method_base import AnyMethod, Request, Variant, sample_seeds
from bench.throughput.samples import random_faces, random_templates

if TYPE_CHECKING:
    from torch import Tensor, nn

UNTRAINED = "untrained"
"""What rows say of weights that one training step, or none, has touched."""

GREY_LEVELS, COSINE, RELATIVE = "grey levels", "1 - cosine", "relative"
"""Units of a deviation: mean absolute difference of images in 1/255; of embeddings; of any other output."""


@dataclass(frozen=True)
class Named:
    """kind: `method`, `matcher`, `attacker` or `metric`. variant, preset: empty where there is none.

    side: of the images in pixels, 0 for templates. item: what is counted. settings: options that were changed
    so that a call ends. weights: where they are from.
    """

    kind: str
    name: str
    variant: str = ""
    preset: str = ""
    side: int = 0
    item: str = "image"
    settings: str = ""
    weights: str = ""


class LibraryCall:
    """Work that is not a function of torch tensors on the device: it is timed as it is.

    items: of a call, where that is not the batch; such work is timed once.
    """

    items: int = 0

    def __init__(self, named: Named, device: str, call_for: Callable[[int], Callable[[], Any]]) -> None:
        self.named, self.device, self.call_for = named, device, call_for


class TensorWork(ABC):
    """A function of tensors on `device`.

    deviation: unit in which its outputs are compared. one_graph: whether it is worth writing down as a graph.
    """

    deviation: str = GREY_LEVELS
    one_graph: bool = True

    def __init__(self, named: Named, device: str) -> None:
        self.named, self.device = named, device

    @abstractmethod
    def inputs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """Tensors for one call of `batch` items, drawn by `seed`; the first are the images or templates."""

    @abstractmethod
    def run(self, *tensors: Tensor) -> Tensor:
        """The work itself; differentiates nothing unless the component does."""

    @property
    @abstractmethod
    def networks(self) -> list[nn.Module]:
        """The networks that take part."""


class ModuleWork(TensorWork):
    """A network on images (N, 3, side, side) in [0, 1], brought to the size it looks at (0: any)."""

    deviation = RELATIVE

    def __init__(self, named: Named, device: str, network: Any, own_side: int = 0, images: int = 1) -> None:
        super().__init__(named, device)
        self._network = network.to(device).eval().requires_grad_(False)
        self._own_side, self._images = own_side, images

    def inputs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        faces = random_faces(batch * self._images, self.named.side, seed)
        return tuple(to_tensor(faces.images, self.device).contiguous().chunk(self._images))

    def run(self, *tensors: Tensor) -> Tensor:
        import torch

        images = [resize(t, self._own_side or t.shape[-1]) for t in tensors]
        found: Any = self._network(*images)
        if isinstance(found, Mapping):
            return torch.cat(list(found.values()), 1)
        assert isinstance(found, torch.Tensor)
        return found

    @property
    def networks(self) -> list[nn.Module]:
        return [self._network]


class EmbeddingWork(ModuleWork):
    """A network whose outputs are compared by the cosine."""

    deviation = COSINE


@dataclass(frozen=True)
class HeldRequest(Request):
    """A request whose draws are made once and then lie on the device, by kind and shape."""

    held: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def normal(self, *shape: int) -> Tensor:
        return self._hold("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        return self._hold("uniform", shape)

    def _hold(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        if (kind, shape) not in self.held:
            drawn: Tensor = getattr(Request, kind)(self, *shape)
            self.held[kind, shape] = drawn
        return self.held[kind, shape]


class MethodWork(TensorWork):
    """A method's hook, told everything by tensors: images or templates, labels, landmarks, parts, draws."""

    def __init__(self, named: Named, device: str, method: AnyMethod, variant: Variant) -> None:
        super().__init__(named, device)
        self._method, self._variant = method, variant
        self._requests: dict[int, HeldRequest] = {}
        if isinstance(method, EmbeddingMethod):
            self.deviation = COSINE

    def inputs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        import torch

        first, request = self._drawn(batch, seed)
        held = HeldRequest(**{f.name: getattr(request, f.name) for f in fields(Request)})
        self._requests[batch] = held
        with torch.no_grad():
            self._hook(first, held)  # asks for its draws
        return (first, *_tensors_of(held))

    def run(self, *tensors: Tensor) -> Tensor:
        first, *rest = tensors
        return self._hook(first, _with_tensors(self._requests[len(first)], rest))

    def _hook(self, first: Tensor, request: Request) -> Tensor:
        assert isinstance(self._method, Method | EmbeddingMethod)
        return self._method._protect(first, request)

    def _drawn(self, batch: int, seed: int) -> tuple[Tensor, Request]:
        import torch

        method = self._method
        if isinstance(method, Method):
            faces = random_faces(batch, self.named.side, seed)
            request = method._request(faces, self._variant, seed, self.device, self.named.side)
            return to_tensor(faces.images, self.device).contiguous(), request
        templates = random_templates(batch, seed)
        told, _ = method._labels(self._variant, templates.labels, batch)
        request = Request(
            variant=self._variant,
            labels=method._as_tensors(told, self.device),
            keys=tuple(map(str, templates.keys)),
            seeds=sample_seeds(seed, f"{method.id}:{self._variant.name}", templates.keys),
            device=self.device,
        )
        return torch.from_numpy(templates.vectors).to(self.device), request

    @property
    def networks(self) -> list[nn.Module]:
        return networks_of(self._method)


def _tensors_of(request: HeldRequest) -> list[Tensor]:
    """All tensors of a request, in the order in which `_with_tensors` takes them."""
    places = [t for t in (request.landmarks, request.parts) if t is not None]
    return [*request.labels.values(), *places, *request.held.values()]


def _with_tensors(request: HeldRequest, tensors: list[Tensor]) -> HeldRequest:
    left = iter(tensors)
    return replace(
        request,
        labels={name: next(left) for name in request.labels},
        landmarks=None if request.landmarks is None else next(left),
        parts=None if request.parts is None else next(left),
        held={key: next(left) for key in request.held},
    )


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


def parameters_of(networks: list[nn.Module]) -> int:
    """Number of scalars in the networks' parameters, shared ones once."""
    return sum({id(p): p.numel() for network in networks for p in network.parameters()}.values())


Recorded = tuple["nn.Module", tuple[Any, ...]]


def bare_network(work: TensorWork, tensors: tuple[Tensor, ...]) -> Recorded | None:
    """The network that does the work and what it is called with, where there is exactly one such call.

    A hook does a little beside its network: a loop in the papers' style has only the network.
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
