"""What image-level and template-level methods share: variants, parts, and what a method is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component
from bench.components.claim import Claim
from bench.errors import ContractError, UsageError, unknown_name
from bench.faces import Attribute

if TYPE_CHECKING:
    import torch

DEFAULT_VARIANT = "default"


@dataclass(frozen=True)
class Variant:
    """One output mode of a method.

    name: as typed after the colon, `san:op`, `privacynet:gender+race`; `default` is left out.
    obfuscates: the attributes this output hides; every other attribute should survive.
    parameters: what `_protect` needs to produce it.
    selected: whether a run takes it when only the method is named.
    part: which trained part of the method makes it; each part is trained, stored and shipped by itself.
    needs: attributes without whose label a face cannot be processed; None: all of the method's
        `needs_labels`.
    oracle: other variants of the method. A bound for which no image exists: each attacker is shown, face by
        face, the one of these outputs that it reads worst.
    """

    name: str = DEFAULT_VARIANT
    obfuscates: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    selected: bool = True
    part: str = ""
    needs: tuple[str, ...] | None = None
    oracle: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What `_protect` is told about the batch it was given.

    labels: attribute -> int64 or float32 tensor (N,), only those the method declares in `needs_labels`;
        -1 (or NaN, for a number) where the variant can do without and the label is unknown.
    keys: N sample names. seeds: uint64 (N,), a function of run seed, method, variant and key.
    landmarks: float32 tensor (N, 5, 2) in pixels of the batch, or None. parts: uint8 tensor (N, H, W), or
    None.
    """

    variant: Variant
    labels: Mapping[str, torch.Tensor]
    keys: tuple[str, ...]
    seeds: NDArray[np.uint64]
    device: str = "cpu"
    landmarks: torch.Tensor | None = None
    parts: torch.Tensor | None = None

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal float32 (N, *shape); each sample's values depend on its own seed alone."""
        return self._draw(lambda rng: rng.standard_normal(shape, dtype=np.float32))

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform [0, 1) float32 (N, *shape); each sample's values depend on its own seed alone."""
        return self._draw(lambda rng: rng.random(shape, dtype=np.float32))

    def _draw(self, draw: Callable[[np.random.Generator], Any]) -> torch.Tensor:
        import torch

        values = np.stack([np.asarray(draw(np.random.default_rng(s))) for s in self.seeds])
        return torch.from_numpy(values).to(self.device)


class AnyMethod(Component):
    """A privacy method of either level: see `Method` for images and `EmbeddingMethod` for templates.

    level: what it changes. obfuscates: attributes it can hide, in order of importance.
    needs_labels: attributes whose label it must be told.
    role: `method`, or `control` for the yardsticks that stand beside the methods in every table.
    trained: whether `_fit` must run (or shipped weights be loaded) before `protect`.
    part: which of its trained parts this instance holds; set by the harness before any hook is called.
    claims: what its paper says of it in words, as `python -m bench claims` tests it again.
    """

    level: ClassVar[Literal["image", "template"]]
    obfuscates: ClassVar[tuple[str, ...]] = ()
    needs_labels: ClassVar[tuple[str, ...]] = ()
    role: ClassVar[Literal["method", "control"]] = "method"
    trained: ClassVar[bool] = False
    claims: ClassVar[tuple[Claim, ...]] = ()
    part: str = ""

    def __init__(self, attributes: Sequence[Attribute] = (), *, preset: str = "", **overrides: Any) -> None:
        super().__init__(preset=preset, **overrides)
        self.attributes = {a.name: a for a in attributes}

    def _variants(self) -> Sequence[Variant]:
        """All output modes on a dataset with `self.attributes`; none: the method has nothing to do there. A
        control is a yardstick of matching and quality too, so it always has something to do."""
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        idle = bool(self.obfuscates) and not hidden and self.role == "method"
        return [] if idle else [Variant(obfuscates=hidden)]

    @final
    def variants(self) -> tuple[Variant, ...]:
        """The output modes; names are unique and obfuscate only attributes at hand."""
        found = tuple(self._variants())
        names = {v.name for v in found}
        if len(names) != len(found):
            raise ContractError(f"{self.id} has two variants of one name")
        for variant in found:
            unknown = set(variant.obfuscates) - self.attributes.keys()
            if unknown:
                raise ContractError(
                    f"{self.id}:{variant.name} obfuscates {', '.join(sorted(unknown))}, "
                    "which the dataset does not label"
                )
            if not set(variant.oracle) <= names - {variant.name}:
                raise ContractError(f"{self.id}:{variant.name} is a bound over variants that do not exist")
        return found

    @final
    def variant(self, name: str) -> Variant:
        """The variant called `name`."""
        known = {v.name: v for v in self.variants()}
        if name not in known:
            raise unknown_name(f"variant of {self.id}", name, known)
        return known[name]

    @final
    def parts(self) -> tuple[str, ...]:
        """The trained parts that the variants need, in order; one unnamed part for most methods."""
        return tuple(dict.fromkeys(v.part for v in self.variants()))

    def _usable(self, variant: Variant) -> None:
        """Raises UsageError for a variant that is not this method's or has no output of its own."""
        if variant not in self.variants():
            raise UsageError(f"{self.id} has no variant {variant.name} on this dataset")
        if variant.oracle:
            raise UsageError(f"{self.id}:{variant.name} is a bound over other outputs and has none itself")

    def _labels(
        self, variant: Variant, labels: Mapping[str, NDArray[np.float32]], count: int
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
        """Labels the method may read, NaN where unknown, and which samples `variant` can process."""
        told = {
            a: labels.get(a, np.full(count, np.nan, np.float32))
            for a in self.needs_labels
            if a in self.attributes
        }
        known = np.ones(count, bool)
        for name in self.needs_labels if variant.needs is None else variant.needs:
            if name in told:
                known &= np.isfinite(told[name])
        return told, known

    def _as_tensors(self, labels: Mapping[str, NDArray[np.float32]], device: str) -> dict[str, torch.Tensor]:
        """Class indices as int64, -1 where unknown; numbers as they are."""
        import torch

        found = {}
        for name, values in labels.items():
            tensor = torch.from_numpy(np.array(values)).to(device)
            number = self.attributes[name].is_number
            found[name] = tensor if number else torch.nan_to_num(tensor, nan=-1.0).long()
        return found


def sample_seeds(seed: int, purpose: str, keys: Sequence[str] | NDArray[np.str_]) -> NDArray[np.uint64]:
    """One seed a sample, from the run's seed, a purpose and the sample's key: uint64 (N,)."""
    digests = (sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()[:8] for key in keys)
    return np.array([int.from_bytes(d, "little") for d in digests], np.uint64)


def seed_everything(seed: int) -> None:
    """Set the global generators, for authors who use them."""
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
