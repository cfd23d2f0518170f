"""What a piece of work must do at least: operations of its convolutions and products, and bytes they move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Counts(NamedTuple):
    """flop: operations, an addition and a multiplication being two. moved: bytes in float32."""

    flop: float
    moved: float


def count(call: Callable[[], Any]) -> Counts:
    """Of one call. `moved` are inputs, weights and outputs of every counted operation, each once: what is
    left when all that lies between them is fused into them."""
    counter = _Counter()
    with torch.no_grad(), counter:
        call()
    return Counts(float(counter.flop), float(counter.moved))


class _Counter(TorchDispatchMode):
    """By torch's own formulas; its `FlopCounterMode` breaks methods that differentiate on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(getattr(func, "overloadpacket", func))
        if formula is not None:
            self.flop += formula(*args, **(kwargs or {}), out_val=found)
            tensors = [t for t in tree_leaves((args, kwargs, found)) if isinstance(t, torch.Tensor)]
            self.moved += sum(t.numel() * t.element_size() for t in tensors)
        return found
