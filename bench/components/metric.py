"""Metrics of image quality: what a protected image looks like, beside its original or by itself."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component, Context
from bench.errors import ContractError
from bench.foreign import Pretrained

Images = NDArray[np.uint8]


class Metric(Component):
    """Fill in `_measure`; the mean over the test faces, with its interval, becomes a column of its own.

    what: one sentence for whoever reads the table. unit: empty for an index or a share. higher_is: whether an
        image with a higher value is `better`, `worse` or `neither`.
    most: looks at so many images at most, where one takes long; 0: as many as the run says.
    pretrained: the file it needs, looked up in the weights folder.
    """

    what: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    higher_is: ClassVar[Literal["better", "worse", "neither"]] = "neither"
    most: ClassVar[int] = 0
    pretrained: ClassVar[Pretrained | None] = None

    def prepare(self, ctx: Context) -> None:
        """Load pretrained weights from `ctx.weights`. Raises Unavailable with the remedy."""

    @abstractmethod
    def _measure(self, originals: Images, protected: Images, ctx: Context) -> NDArray[np.floating]:
        """A value for each pair of images, float (N,). originals, protected: uint8 (N, H, W, 3), RGB.

        NaN: this image has no such figure, and counts as failed. Infinite: only of an image that equals its
        original.
        """

    @final
    def measure(
        self, originals: Images, protected: Images, ctx: Context, *, batch: int = 64
    ) -> NDArray[np.float32]:
        """Values float32 (N,), see `_measure`; the result does not depend on `batch`.

        Raises ContractError when the hook returns another shape, no floats, or an infinite value of an image
        that differs from its original.
        """
        values = np.empty(len(protected), np.float32)
        for start in range(0, len(protected), batch):
            part = slice(start, start + batch)
            found = self._measure(originals[part], protected[part], ctx)
            values[part] = self._checked(found, originals[part], protected[part])
        return values

    def recipe(self, height: int, width: int) -> str:
        """What was measured, so that values of other settings or sizes never mix."""
        settings = "".join(f",{name}={value}" for name, value in sorted(self.settings.items()))
        return f"{self.id}:size={height}x{width}{settings}"

    def _checked(self, found: object, originals: Images, protected: Images) -> NDArray[np.floating]:
        where, wanted = f"_measure of {self.id}", f"floats ({len(protected)},), one an image"
        if not isinstance(found, np.ndarray) or found.shape != (len(protected),) or found.dtype.kind != "f":
            got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise ContractError(f"{where} must return an array of {wanted}, got {got}")
        if (np.isinf(found) & (originals != protected).any(axis=(1, 2, 3))).any():
            raise ContractError(f"{where} is infinite for an image that differs from its original")
        return found
