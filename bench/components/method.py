"""Privacy methods: the sealed public entry, and the hooks an author fills in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component, Context
from bench.errors import ContractError, UsageError, unknown_name
from bench.faces import Attribute, Faces

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
    """

    name: str = DEFAULT_VARIANT
    obfuscates: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    selected: bool = True


@dataclass(frozen=True)
class Request:
    """What `_protect` is told about the batch it was given.

    labels: attribute -> int64 or float32 tensor (N,), only those the method declares in `needs_labels`.
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


@dataclass(frozen=True)
class Protected:
    """images: uint8 (N, H, W, 3), black where failed. failed: bool (N,)."""

    images: NDArray[np.uint8]
    failed: NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """How a candidate generator fares on VALIDATION against judges it never trained against.

    leak: 2|AUC - .5| of the judges, mean over obfuscated attributes, by judge name.
    reduction: mean Reduction over obfuscated attributes, by judge name.
    matching: TMR at FMR 1 %, original against protected, as a share of the originals' own.
    kept_drop: mean loss of balanced accuracy on the attributes that should survive.
    """

    leak: Mapping[str, float]
    reduction: Mapping[str, float]
    matching: float
    kept_drop: float


class Auxiliaries(Protocol):
    """Networks the harness trained on DEVELOP for methods to learn against; none of them ever scores a
    method.

    matcher: images (N, 3, S, S) in [0, 1], any S -> unit embeddings (N, D); frozen, differentiable.
    classifiers: k diverse networks, images (N, 3, S, S) in [0, 1] -> {attribute: logits (N, K)}; frozen.
    names: what each of them is, for the record and for the `seen` flag.
    """

    @property
    def matcher(self) -> Callable[[torch.Tensor], torch.Tensor]: ...

    @property
    def classifiers(self) -> Sequence[Callable[[torch.Tensor], Mapping[str, torch.Tensor]]]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        """Score `protect` on VALIDATION with attackers of both families, embedding and pixel."""
        ...


class Method(Component):
    """A privacy method. Fill in `_protect`, and `_fit`, `state`, `restore` if it learns.

    obfuscates: attributes it can hide, in order of importance. needs_labels: attributes whose label it must
    be told.
    native_size: side in pixels it works at (option `size`); images are resized to it and back. 0: any size.
    keeps_detail: what is resized back is the change alone (option `keep_detail`), added to the image, so that
        working at a small size costs no sharpness.
    role: `method`, or `control` for the yardsticks that stand beside the methods in every table.
    trained: whether `_fit` must run (or shipped weights be loaded) before `protect`.
    uses_auxiliaries: whether `_fit` reads the auxiliaries it is handed; where it does not, none need be
    trained.
    """

    obfuscates: ClassVar[tuple[str, ...]] = ()
    needs_labels: ClassVar[tuple[str, ...]] = ()
    role: ClassVar[Literal["method", "control"]] = "method"
    trained: ClassVar[bool] = False
    uses_auxiliaries: ClassVar[bool] = True

    def __init__(self, attributes: Sequence[Attribute] = (), *, preset: str = "", **overrides: Any) -> None:
        super().__init__(preset=preset, **overrides)
        self.attributes = {a.name: a for a in attributes}

    # -- hooks -------------------------------------------------------------------------------------

    @property
    def native_size(self) -> int:
        return int(self.settings.get("size", 0))

    @property
    def keeps_detail(self) -> bool:
        return bool(self.settings.get("keep_detail", False))

    def _variants(self) -> Sequence[Variant]:
        """All output modes on a dataset with `self.attributes`; none: the method has nothing to do there."""
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        return [Variant(obfuscates=hidden)] if hidden or not self.obfuscates else []

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        """Learn from `faces` (DEVELOP), choose on `validation`; return figures worth recording."""
        raise ContractError(f"{self.id} says it is trained but has no `_fit`")

    @abstractmethod
    def _protect(self, images: torch.Tensor, request: Request) -> torch.Tensor:
        """Protected images, float32 (N, 3, H, W) in [0, 1] like `images`; a NaN image counts as failed."""

    # -- sealed ------------------------------------------------------------------------------------

    @final
    def variants(self) -> tuple[Variant, ...]:
        """The output modes; names are unique and obfuscate only attributes at hand."""
        found = tuple(self._variants())
        if len({v.name for v in found}) != len(found):
            raise ContractError(f"{self.id} has two variants of one name")
        for variant in found:
            unknown = set(variant.obfuscates) - self.attributes.keys()
            if unknown:
                raise ContractError(
                    f"{self.id}:{variant.name} obfuscates {', '.join(sorted(unknown))}, "
                    "which the dataset does not label"
                )
        return found

    @final
    def variant(self, name: str) -> Variant:
        """The variant called `name`."""
        known = {v.name: v for v in self.variants()}
        if name not in known:
            raise unknown_name(f"variant of {self.id}", name, known)
        return known[name]

    @final
    def fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries | None, ctx: Context
    ) -> dict[str, Any]:
        """Train on DEVELOP; see `_fit`. Refuses pools that share an identity.

        auxiliaries: may be None for a method that says it uses none.
        """
        if auxiliaries is None and type(self).uses_auxiliaries:
            raise ContractError(f"{self.id} learns against auxiliaries and was given none")
        shared = np.intersect1d(faces.identities, validation.identities)
        if shared.size:
            raise ContractError(f"DEVELOP and VALIDATION share identity {shared[0]}")
        _seed_everything(ctx.seed)
        return dict(self._fit(faces, validation, cast(Auxiliaries, auxiliaries), ctx))

    @final
    def protect(
        self, faces: Faces, variant: Variant, *, seed: int = 0, device: str = "cpu", batch: int = 64
    ) -> Protected:
        """Protect all `faces` with `variant`, rounded to 8 bits as a saved file would be.

        A sample fails, and is counted, when its output is not finite or when a label that the method
        needs is unknown; its image is then black, never the original. The result does not depend on `batch`.
        Raises ContractError when the hook returns the wrong shape, dtype or range.
        """
        if variant not in self.variants():
            raise UsageError(f"{self.id} has no variant {variant.name} on this dataset")
        labels = {a: faces.labels[a] for a in self.needs_labels if a in faces.labels}
        known = np.ones(len(faces), bool)
        for name in labels:
            known &= np.isfinite(labels[name])
        images = np.zeros_like(faces.images)
        failed = ~known
        for rows in np.array_split(np.flatnonzero(known), max(1, -(-int(known.sum()) // batch))):
            if rows.size:
                images[rows], failed[rows] = self._protect_batch(faces, rows, variant, seed, device)
        return Protected(images, failed)

    def _protect_batch(
        self, faces: Faces, rows: NDArray[np.intp], variant: Variant, seed: int, device: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        import torch

        batch = faces.take(rows)
        size = self.native_size or batch.size
        images = to_tensor(batch.images, device)
        with torch.no_grad():
            small = resize(images, size)
            output = self._protect(small, self._request(batch, variant, seed, device, size))
            self._check(output, (len(rows), 3, size, size))
            failed = ~torch.isfinite(output).flatten(1).all(1)
            output[failed] = 0
            if self.keeps_detail and size != batch.size:
                output = images + enlarge(output - small, batch.size)
                output[failed] = 0
            return to_uint8(resize(output, batch.size)), failed.cpu().numpy()

    def _request(self, faces: Faces, variant: Variant, seed: int, device: str, size: int) -> Request:
        import torch

        def label(name: str) -> torch.Tensor:
            values = torch.from_numpy(np.array(faces.labels[name])).to(device)
            return values if faces.attribute(name).is_number else values.long()

        def scaled(points: NDArray[np.float32]) -> torch.Tensor:
            return torch.from_numpy((points + 0.5) * (size / faces.size) - 0.5).to(device)

        parts = None
        if faces.parts is not None:
            grid = (np.arange(size) * faces.size) // size
            parts = torch.from_numpy(faces.parts[:, grid][:, :, grid]).to(device)
        return Request(
            variant=variant,
            labels={a: label(a) for a in self.needs_labels if a in faces.labels},
            keys=tuple(str(k) for k in faces.keys),
            seeds=sample_seeds(seed, f"{self.id}:{variant.name}", faces.keys),
            device=device,
            landmarks=None if faces.landmarks is None else scaled(faces.landmarks),
            parts=parts,
        )

    def _check(self, output: torch.Tensor, shape: tuple[int, ...]) -> None:
        import torch

        where = f"_protect of {self.id}"
        if not isinstance(output, torch.Tensor) or tuple(output.shape) != shape:
            got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ContractError(f"{where} must return a tensor {shape}, got {got}")
        if output.dtype != torch.float32:
            raise ContractError(f"{where} must return float32, got {output.dtype}")
        finite = output[torch.isfinite(output)]
        if finite.numel() and (finite.min() < -1e-4 or finite.max() > 1 + 1e-4):
            raise ContractError(f"{where} must stay in [0, 1], got [{finite.min():.4f}, {finite.max():.4f}]")


def sample_seeds(seed: int, purpose: str, keys: Sequence[str] | NDArray[np.str_]) -> NDArray[np.uint64]:
    """One seed a sample, from the run's seed, a purpose and the sample's key: uint64 (N,)."""
    digests = (sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()[:8] for key in keys)
    return np.array([int.from_bytes(d, "little") for d in digests], np.uint64)


def to_tensor(images: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 255


def to_uint8(images: torch.Tensor) -> NDArray[np.uint8]:
    """float (N, 3, H, W) in [0, 1] -> uint8 (N, H, W, 3), rounded to nearest."""
    import torch

    scaled = images.clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(0, 2, 3, 1).cpu().numpy())


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Bicubic with antialiasing to (N, C, size, size), clamped to [0, 1]; unchanged at equal size."""
    if images.shape[-1] == size and images.shape[-2] == size:
        return images
    return enlarge(images, size).clamp(0, 1)


def enlarge(planes: torch.Tensor, size: int) -> torch.Tensor:
    """As `resize`, for values of any range: not clamped."""
    from torch.nn.functional import interpolate

    return interpolate(planes, (size, size), mode="bicubic", align_corners=False, antialias=True)


def _seed_everything(seed: int) -> None:
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
