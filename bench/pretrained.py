"""What matchers and attackers that are a foreign ONNX file have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.components.attacker import Attacker, Scores
from bench.components.base import Context
from bench.components.matcher import Matcher
from bench.errors import ContractError
from bench.faces import Faces
from bench.foreign import Pretrained
from bench.geometry import Alignment, align
from bench.onnx import OnnxNetwork
from bench.weights import pretrained_file

_BATCH = 64


class _Runner:
    """The network of a component, found and verified once."""

    id: ClassVar[str]
    pretrained: ClassVar[Pretrained | None]
    alignment: ClassVar[Alignment]

    _network: OnnxNetwork | None = None

    def prepare(self, ctx: Context) -> None:
        """Find and verify the file; raises Unavailable with the remedy."""
        self._network = OnnxNetwork(pretrained_file(self._declared(), ctx.weights))

    def run(self, faces: Faces, ctx: Context) -> dict[str, NDArray[np.float32]]:
        """Outputs of the network for all `faces`, by name."""
        if self._network is None:
            self.prepare(ctx)
        assert self._network is not None
        chunks = []
        for start in range(0, max(len(faces), 1), _BATCH):
            part = align(faces.take(slice(start, start + _BATCH)), self.alignment)
            chunks.append(self._network(self._blob(part)))
        return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}

    @abstractmethod
    def _blob(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Network input float32 (N, C, H, W) from aligned RGB uint8 (N, H, W, 3)."""

    def _declared(self) -> Pretrained:
        if self.pretrained is None:
            raise ContractError(f"{self.id} is pretrained but names no file")
        return self.pretrained


class PretrainedMatcher(_Runner, Matcher):
    """A matcher in one ONNX file: give it `pretrained`, `alignment`, `_blob`."""

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        (embeddings,) = self.run(faces, ctx).values()
        return embeddings.reshape(len(faces), -1)


class PretrainedAttacker(_Runner, Attacker):
    """An attacker in one ONNX file: give it `pretrained`, `predicts`, `alignment`, `_blob`, `_answers`."""

    reads = "image"
    trained = False

    def _scores(self, inputs: Faces, ctx: Context) -> Scores:
        found = self._answers(self.run(inputs, ctx))
        return {name: np.ascontiguousarray(values, np.float32) for name, values in found.items()}

    @abstractmethod
    def _answers(self, outputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.floating]]:
        """Scores by attribute from the network's outputs."""


def rgb(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Channels first, red first, 0..255: float32 (N, 3, H, W)."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)


def bgr(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Channels first, blue first, 0..255: float32 (N, 3, H, W)."""
    return rgb(crops[..., ::-1])


def grey(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma of ITU-R BT.601, 0..255: float32 (N, 1, H, W)."""
    luma = crops.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.ascontiguousarray(luma[:, None])


def normalised(
    blob: NDArray[np.float32], mean: Sequence[float], deviation: Sequence[float]
) -> NDArray[np.float32]:
    """(blob - mean) / deviation for (N, C, H, W), with one mean and deviation a channel or one for all."""
    shift = np.array(mean, np.float32)[:, None, None]
    scale = np.array(deviation, np.float32)[:, None, None]
    return ((blob - shift) / scale).astype(np.float32, copy=False)


def stretched(blob: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each image stretched to 0..255 from the least to the greatest of all its values; a flat one is 0."""
    low = blob.min(axis=(1, 2, 3), keepdims=True)
    span = blob.max(axis=(1, 2, 3), keepdims=True) - low
    raised: NDArray[np.float32] = (blob - low) * (np.float32(255) / np.where(span == 0, np.float32(1), span))
    return raised


def log_probabilities(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Natural logarithms of (N, K), finite: what float32 rounds to 0 counts as its least number."""
    return np.log(np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, 1.0))


def two_class(positive: NDArray[np.floating], knee: float = 0.01) -> NDArray[np.float64]:
    """Log-probabilities (N, 2) of (not, is) from regression scores (N,) whose threshold is .5.

    Such a score can leave [0, 1]. Between `knee` and 1 - `knee` it is taken as the probability; beyond, its
    tail decays exponentially with the same slope, so that order is kept and no two scores become equal.
    """
    p = positive.astype(np.float64)
    low = np.where(p < knee, np.log(knee) + (p - knee) / knee, np.log(np.clip(p, knee, 1)))
    q = 1 - p
    high = np.where(q < knee, np.log(knee) + (q - knee) / knee, np.log(np.clip(q, knee, 1)))
    small = np.log1p(-np.exp(np.minimum(low, high)))
    return np.stack([np.where(p < 0.5, small, high), np.where(p < 0.5, low, small)], axis=1)
