"""What is timed: components as functions of tensors that lie on the device already, or as library calls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method, resize, to_tensor
from bench.components.method_base import AnyMethod, Request, Variant, sample_seeds
from bench.inference.work import (
    COSINE,
    RELATIVE,
    HeldRequest,
    TensorWork,
    hook_of,
    networks_of,
    tensors_of,
    with_tensors,
)
from bench.throughput.samples import random_faces, random_templates

if TYPE_CHECKING:
    from torch import Tensor, nn

UNTRAINED = "untrained"
"""What rows say of weights that one training step, or none, has touched."""


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


class Workload(TensorWork):
    """Tensor work on `device`, with inputs to time it on."""

    def __init__(self, named: Named, device: str) -> None:
        self.named, self.device = named, device

    @abstractmethod
    def inputs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """Tensors for one call of `batch` items, drawn by `seed`; the first are the images or templates."""


class ModuleWork(Workload):
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
        found: Any = self._form()(*images)
        if isinstance(found, Mapping):
            return torch.cat(list(found.values()), 1)
        assert isinstance(found, torch.Tensor)
        return found

    def _form(self) -> nn.Module:
        """The network as its component calls it."""
        network: nn.Module = self._network
        return network

    @property
    def networks(self) -> list[nn.Module]:
        return [self._network]


class EmbeddingWork(ModuleWork):
    """A matcher's network, whose outputs are compared by the cosine."""

    deviation = COSINE

    def _form(self) -> nn.Module:
        from bench.inference.algebra import evaluated

        return evaluated(self._network, self.device)


class MethodWork(Workload):
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
        held = HeldRequest.of(request)
        self._requests[batch] = held
        with torch.no_grad():
            hook_of(self._method, first, held)  # asks for its draws
        return (first, *tensors_of(held))

    def run(self, *tensors: Tensor) -> Tensor:
        first, *rest = tensors
        return hook_of(self._method, first, with_tensors(self._requests[len(first)], rest))

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


def parameters_of(networks: list[nn.Module]) -> int:
    """Number of scalars in the networks' parameters, shared ones once."""
    return sum({id(p): p.numel() for network in networks for p in network.parameters()}.values())
