"""Face matchers: an embedding network; comparison is the cosine of its unit embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component, Context
from bench.errors import ContractError
from bench.faces import Faces
from bench.foreign import Pretrained


class Matcher(Component):
    """Fill in `_embed`, and `_fit`, `state`, `restore` if it is trained on the ATTACK pool.

    trained: learns on ATTACK. pretrained: the file it needs instead, looked up in the weights folder.
    """

    trained: ClassVar[bool] = False
    pretrained: ClassVar[Pretrained | None] = None

    def _fit(self, faces: Faces, ctx: Context) -> Mapping[str, Any]:
        """Learn to tell the identities of `faces` apart; return figures worth recording."""
        raise ContractError(f"{self.id} says it is trained but has no `_fit`")

    def prepare(self, ctx: Context) -> None:
        """Load pretrained weights from `ctx.weights`. Raises Unavailable with the remedy."""

    @abstractmethod
    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        """Embeddings (N, D), any length; a NaN row is a failure to acquire."""

    @final
    def fit(self, faces: Faces, ctx: Context) -> dict[str, Any]:
        """Train on ATTACK faces; see `_fit`."""
        return dict(self._fit(faces, ctx))

    @final
    def embed(self, faces: Faces, ctx: Context, *, batch: int = 128) -> NDArray[np.float32]:
        """Unit embeddings float32 (N, D); NaN rows where the matcher could not acquire the face.

        The result does not depend on `batch`. Raises ContractError for a wrong shape or dtype.
        """
        chunks = []
        for start in range(0, len(faces), batch):
            part = faces.take(slice(start, start + batch))
            vectors = self._embed(part, ctx)
            if vectors.ndim != 2 or len(vectors) != len(part) or vectors.dtype != np.float32:
                raise ContractError(
                    f"_embed of {self.id} must return float32 ({len(part)}, D), "
                    f"got {vectors.dtype} {vectors.shape}"
                )
            chunks.append(vectors)
        vectors = np.concatenate(chunks)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        lost = ~(np.isfinite(norms) & (norms > 0))
        return np.where(lost, np.float32(np.nan), vectors / np.where(lost, 1, norms))
