"""What attackers on pixels share: one network for all attributes, trained on images."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import tasks
from bench.api import (
    Attacker,
    Attribute,
    BenchError,
    Context,
    Faces,
    Scores,
    State,
    load_module,
    module_state,
    resize,
    to_tensor,
)
from bench.grey import partly_grey
from bench.training import (
    Augment,
    channels_last,
    class_weights,
    fit_network,
    masked_cross_entropy,
    resize_images,
    seeded,
)

if TYPE_CHECKING:
    from torch import nn

_AUGMENT = Augment()
_BATCH = 128


class PixelAttacker(Attacker):
    """A network with a linear head an attribute. Fill in `_trunk`.

    Learns by cross-entropy over the known labels, classes weighted to equal say. Scores are
    log-probabilities. Needs the options `size`, `steps`, `batch`, `rate` and `weight_decay` besides those
    of its trunk.
    """

    reads = "image"

    @abstractmethod
    def _trunk(self) -> tuple[nn.Module, int]:
        """The untrained network, images (B, 3, size, size) in [0, 1] -> features (B, F), and F."""

    def _fit(
        self,
        inputs: Faces,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        import torch

        classes = {task.name: task.total for task in tasks(labels, attributes, ctx.seed)}
        with seeded(ctx.seed):
            network = self._build(classes)
        known = {name: torch.from_numpy(labels[name]).to(ctx.device) for name in classes}
        weights = {
            name: torch.from_numpy(class_weights(labels[name], total)).to(ctx.device)
            for name, total in classes.items()
        }
        s = self.settings
        figures = fit_network(
            network,
            resize_images(inputs.images, s["size"]),
            lambda module, pixels, rows: masked_cross_entropy(
                module(partly_grey(pixels)), {name: values[rows] for name, values in known.items()}, weights
            ),
            steps=s["steps"],
            batch=s["batch"],
            rate=s["rate"],
            weight_decay=s["weight_decay"],
            seed=ctx.seed,
            ctx=ctx,
            augment=_AUGMENT,
            name=self.id,
        )
        self._network, self._classes = network, classes
        return {**figures, "images": len(inputs)}

    def _scores(self, inputs: Faces, ctx: Context) -> Scores:
        import torch

        from bench.inference.algebra import evaluated

        network = evaluated(self._fitted(), ctx.device)
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self._classes}
        for start in range(0, len(inputs), _BATCH):
            pixels = to_tensor(inputs.images[start : start + _BATCH], ctx.device)
            with torch.no_grad():
                found = network(resize(pixels, self.settings["size"]))
            for name, logits in found.items():
                parts[name].append(logits.float().log_softmax(1).cpu().numpy())
        empty = {name: np.zeros((0, total), np.float32) for name, total in self._classes.items()}
        return {name: np.concatenate([empty[name], *chunks]) for name, chunks in parts.items()}

    def state(self) -> State:
        network = self._fitted()
        told = np.frombuffer(json.dumps(self._classes).encode(), np.uint8).copy()
        return {**module_state(network, "network/"), "classes": told}

    def restore(self, state: State) -> None:
        arrays = dict(state)
        self._classes = json.loads(arrays.pop("classes").tobytes())
        self._network = self._build(self._classes).eval()
        load_module(self._network, arrays, "network/")

    def _build(self, classes: Mapping[str, int]) -> nn.Module:
        from attackers._blocks.networks import AttributeHeads

        trunk, features = self._trunk()
        return channels_last(AttributeHeads(trunk, features, classes))

    def _fitted(self) -> nn.Module:
        network: nn.Module | None = getattr(self, "_network", None)
        if network is None:
            raise BenchError(f"{self.id} has not been trained; call fit or restore first")
        return network
