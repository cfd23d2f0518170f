"""What the matchers that learn on the ATTACK pool share: everything but the network and its loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api import BenchError, Context, Faces, Matcher, State, load_module, module_state, resize, to_tensor
from bench.grey import partly_grey
from bench.training import Augment, channels_last, fit_network, resize_images, seeded

if TYPE_CHECKING:
    from torch import nn

# Strong augmentation costs more than it gives in the few epochs that a quick training has.
_AUGMENT = Augment(shift=0.03, zoom=0.04, rotate=3.0, brightness=0.05, contrast=0.1, tint=0.03)


class TrainedMatcher(Matcher):
    """A network that is trained to tell the identities of the ATTACK pool apart.

    Needs the options `size`, `steps`, `batch`, `rate` and `weight_decay` besides those of its hooks.
    """

    trained = True

    @abstractmethod
    def _trunk(self) -> nn.Module:
        """The untrained network: images (B, 3, size, size) in [0, 1] -> embeddings (B, features)."""

    @abstractmethod
    def _head(self, identities: int) -> nn.Module:
        """The untrained head: embeddings and identities int64 (B,) -> scalar loss."""

    def _fit(self, faces: Faces, ctx: Context) -> Mapping[str, Any]:
        import torch

        names, codes = np.unique(faces.identities, return_inverse=True)
        targets = torch.from_numpy(codes.astype(np.int64)).to(ctx.device)
        with seeded(ctx.seed):
            module = torch.nn.ModuleDict({"trunk": self._build(), "head": self._head(len(names))})
        settings = self.settings
        figures = fit_network(
            module,
            resize_images(faces.images, settings["size"]),
            lambda m, pixels, rows: m["head"](m["trunk"](partly_grey(pixels)), targets[rows]),  # type: ignore[index]
            steps=settings["steps"],
            batch=settings["batch"],
            rate=settings["rate"],
            weight_decay=settings["weight_decay"],
            seed=ctx.seed,
            ctx=ctx,
            augment=_AUGMENT,
            name=self.id,
        )
        self._network = module["trunk"]
        return {**figures, "identities": len(names), "images": len(faces)}

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        import torch

        from bench.inference.algebra import evaluated

        network = ctx.through(evaluated(self._fitted(), ctx.device))
        pixels = resize(to_tensor(faces.images, ctx.device), self.settings["size"])
        with torch.no_grad():
            vectors: NDArray[np.float32] = network(pixels).float().cpu().numpy()
        return vectors

    def state(self) -> State:
        return module_state(self._fitted())

    def restore(self, state: State) -> None:
        self._network = self._build().eval()
        load_module(self._network, state)

    def _build(self) -> nn.Module:
        return channels_last(self._trunk())

    def _fitted(self) -> nn.Module:
        network: nn.Module | None = getattr(self, "_network", None)
        if network is None:
            raise BenchError(f"{self.id} has not been trained; call fit or restore first")
        return network


def map_side(size: int, strides: Sequence[int]) -> int:
    """Side of the feature map that is left of `size` pixels after padded convolutions with `strides`."""
    for stride in strides:
        size = -(-size // stride)
    return size
