"""What matchers that are a published torch network have in common: its weights as safetensors under the names
they were published with, which the user converts and adds (`weights add`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context
from bench.components.matcher import Matcher
from bench.errors import ContractError, InputError, Unavailable
from bench.faces import Faces
from bench.foreign import Pretrained
from bench.geometry import Alignment, align
from bench.weights import pretrained_file
from bench.weights_format import Tensor, read_header

if TYPE_CHECKING:
    from torch import nn

_BATCH = 16
_SHOWN = 5
_COUNTER = "num_batches_tracked"


class TorchMatcher(Matcher):
    """A matcher whose weights are a safetensors file: give it `pretrained`, `alignment`, `_build`, `_blob`.

    unused: starts of the names that the published file has beyond what an embedding needs, such as its
        classifier. Any other name it does not know means another architecture, and the file is refused.
    """

    pretrained: ClassVar[Pretrained | None]
    alignment: ClassVar[Alignment]
    unused: ClassVar[tuple[str, ...]] = ()

    _network: nn.Module | None = None

    @classmethod
    @abstractmethod
    def _build(cls) -> nn.Module:
        """The network with arbitrary weights: blobs -> embeddings (N, D). Its parameters bear the published
        names."""

    @abstractmethod
    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Network input float32 (N, 3, H, W) from aligned RGB uint8 (N, H, W, 3)."""

    @classmethod
    def tensors(cls) -> dict[str, tuple[int, ...]]:
        """Shape by published name of all that an embedding needs. No memory is taken for the weights."""
        import torch

        with torch.device("meta"):
            network = cls._build()
        return {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith(_COUNTER)}

    @classmethod
    def check(cls, found: Mapping[str, Tensor]) -> None:
        """Raises InputError, naming what differs, unless `found` (of `read_header`) is this architecture."""
        expected = cls.tensors()
        missing = [f"{n} {expected[n]} is missing" for n in expected if n not in found]
        shapes = [
            f"{n} is {found[n].shape}, expected {s}"
            for n, s in expected.items()
            if n in found and found[n].shape != s
        ]
        strange = [
            f"{n} {t.shape} is unknown"
            for n, t in found.items()
            if n not in expected and not n.startswith(cls.unused or "\0") and not n.endswith(_COUNTER)
        ]
        dtypes = [
            f"{n} is {found[n].dtype}, expected F32"
            for n in expected
            if n in found and found[n].dtype != "F32"
        ]
        problems = missing + shapes + strange + dtypes
        if problems:
            more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise InputError(
                f"these are not the weights of {cls.id} ({cls.title}): {'; '.join(problems[:_SHOWN])}{more}"
            )

    def prepare(self, ctx: Context) -> None:
        """Find, verify and load the file; raises Unavailable with the remedy."""
        if self.pretrained is None:
            raise ContractError(f"{self.id} is pretrained but names no file")
        self._network = self._loaded(pretrained_file(self.pretrained, ctx.weights))

    def _loaded(self, path: Path) -> nn.Module:
        import torch
        from safetensors import safe_open

        from bench.inference.algebra import folded

        try:
            self.check(read_header(path))
        except InputError as error:
            name = Path(path).stem
            raise Unavailable(str(error), f"python -m bench weights add {name} FILE") from error
        with torch.device("meta"):
            network = self._build()
        with safe_open(str(path), framework="pt") as file:
            state = {n: file.get_tensor(n) for n in self.tensors()}
        counters = {k: torch.tensor(0) for k in network.state_dict() if k.endswith(_COUNTER)}
        network.load_state_dict({**state, **counters}, assign=True)
        return folded(network)

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        import torch

        if self._network is None:
            self.prepare(ctx)
        assert self._network is not None
        network = ctx.through(self._network.to(ctx.device))
        chunks = []
        with torch.no_grad():
            for start in range(0, max(len(faces), 1), _BATCH):
                part = align(faces.take(slice(start, start + _BATCH)), self.alignment)
                pixels = torch.from_numpy(self._blob(part)).to(ctx.device)
                chunks.append(network(pixels).float().cpu().numpy())
        return np.concatenate(chunks)
