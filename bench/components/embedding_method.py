"""Template-level privacy methods: they change a matcher's embeddings, not images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context
from bench.components.method_base import AnyMethod, Request, Variant, sample_seeds, seed_everything
from bench.errors import ContractError, InputError
from bench.faces import Attribute

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Templates:
    """N embeddings of one matcher with what is known of the faces behind them.

    vectors: float32 (N, D), unit length. identities: int64 (N,). keys: str (N,), unique.
    labels: attribute -> float32 (N,), NaN where unknown. attributes: those that `labels` holds.
    """

    vectors: NDArray[np.float32]
    identities: NDArray[np.int64]
    keys: NDArray[np.str_]
    labels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Templates:
        """The templates at `rows` (indices, a mask or a slice), in that order."""
        return replace(
            self,
            vectors=self.vectors[rows],
            identities=self.identities[rows],
            keys=self.keys[rows],
            labels={k: v[rows] for k, v in self.labels.items()},
        )


class EmbeddingMethod(AnyMethod):
    """Fill in `_protect`, and `_fit`, `state`, `restore` if it learns. Fitted once for each matcher.

    same_space: an output can be compared with, and read like, an unprotected template. Where it cannot,
        only protected templates are compared, and attackers learn on protected ones.
    """

    level = "template"
    same_space: ClassVar[bool] = True

    # -- hooks -------------------------------------------------------------------------------------

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        """Learn from `templates` (of DEVELOP), choose on `validation`; return figures worth recording."""
        raise ContractError(f"{self.id} says it is trained but has no `_fit`")

    @abstractmethod
    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        """Protected templates, float32 (N, D'), of unit `vectors` (N, D); a NaN row counts as failed."""

    # -- sealed ------------------------------------------------------------------------------------

    @final
    def fit(self, templates: Templates, validation: Templates, ctx: Context) -> dict[str, Any]:
        """Learn on DEVELOP; see `_fit`. Refuses pools that share a person, too few or unusable templates."""
        if not (np.isfinite(templates.vectors).all() and np.isfinite(validation.vectors).all()):
            raise InputError(f"{self.id} cannot learn from failures to acquire; leave those templates out")
        if len(templates) < 2 or len(validation) < 1:
            raise InputError(f"{self.id} cannot learn from {len(templates)} + {len(validation)} templates")
        shared = np.intersect1d(templates.identities, validation.identities)
        if shared.size:
            raise ContractError(f"DEVELOP and VALIDATION share identity {shared[0]}")
        seed_everything(ctx.seed)
        return dict(self._fit(templates, validation, ctx))

    @final
    def protect(
        self, templates: Templates, variant: Variant, *, seed: int = 0, device: str = "cpu"
    ) -> NDArray[np.float32]:
        """Unit templates float32 (N, D'); a NaN row is a sample that failed.

        Length is taken away because cosine comparison never sees it, and an attacker could undo it. A sample
        fails when its input or output is not finite or a label it needs is unknown. Raises ContractError
        when the hook returns the wrong shape or dtype.
        """
        import torch

        self._usable(variant)
        told, known = self._labels(variant, templates.labels, len(templates))
        rows = np.flatnonzero(known & np.isfinite(templates.vectors).all(1))
        if not rows.size:
            return np.full_like(templates.vectors, np.nan)
        request = Request(
            variant=variant,
            labels=self._as_tensors({a: v[rows] for a, v in told.items()}, device),
            keys=tuple(str(k) for k in templates.keys[rows]),
            seeds=sample_seeds(seed, f"{self.id}:{variant.name}", templates.keys[rows]),
            device=device,
        )
        with torch.no_grad():
            output = self._protect(torch.from_numpy(templates.vectors[rows]).to(device), request)
        self._check(output, templates.vectors[rows].shape)
        found = output.cpu().numpy()
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        lost = ~(np.isfinite(norms) & (norms > 0))
        vectors = np.full((len(templates), found.shape[1]), np.nan, np.float32)
        vectors[rows] = np.where(lost, np.float32(np.nan), found / np.where(lost, 1, norms))
        return vectors

    def _check(self, output: torch.Tensor, shape: tuple[int, ...]) -> None:
        import torch

        where = f"_protect of {self.id}"
        if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != shape[0]:
            raise ContractError(f"{where} must return a tensor ({shape[0]}, D), got {type(output).__name__}")
        if output.dtype != torch.float32:
            raise ContractError(f"{where} must return float32, got {output.dtype}")
        if type(self).same_space and output.shape[1] != shape[1]:
            raise ContractError(f"{where} must keep the width {shape[1]}, got {output.shape[1]}")
