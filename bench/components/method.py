"""Image-level privacy methods: the sealed public entry, and the hooks an author fills in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State
from bench.components.method_base import AnyMethod, Request, Variant, sample_seeds, seed_everything
from bench.errors import ContractError
from bench.faces import Faces

if TYPE_CHECKING:
    import torch


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


class AuxiliaryMatcher(Protocol):
    """A frozen, differentiable recogniser: `matcher(images)` is `embed_maps(maps(images))`."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, S, S) in [0, 1], any S -> unit embeddings (N, D)."""
        ...

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Last convolutional maps (N, C, h, w), laid over what the matcher sees of the image."""
        ...

    def embed_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Unit embeddings (N, D) of what `maps` returned."""
        ...

    def lay(self, maps: torch.Tensor, size: int) -> torch.Tensor:
        """Any maps (N, C, h, w) of that geometry, drawn where they belong in an image of side `size`."""
        ...


Classifier = Callable[["torch.Tensor"], Mapping[str, "torch.Tensor"]]
"""Images (N, 3, S, S) in [0, 1] -> {attribute: logits (N, K)}."""


class Auxiliaries(Protocol):
    """Networks the harness trained on DEVELOP for methods to learn against; none of them ever scores a
    method.

    matcher: images (N, 3, S, S) in [0, 1], any S -> unit embeddings (N, D); frozen, differentiable.
        It also tells its last maps: see `AuxiliaryMatcher`.
    classifiers: k diverse networks, images (N, 3, S, S) in [0, 1] -> {attribute: logits (N, K)}; frozen.
    names: what each of them is, for the record and for the `seen` flag.
    """

    @property
    def matcher(self) -> AuxiliaryMatcher: ...

    @property
    def classifiers(self) -> Sequence[Classifier]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def extra(self, name: str) -> Classifier:
        """A further classifier, one of those that the method names in `extra_auxiliaries`."""
        ...

    def keep(self) -> State:
        """Matcher and classifiers as arrays under `aux/`, for a method that needs them at inference; see
        `bench.api.revive`."""
        ...

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        """Score `protect` on VALIDATION with attackers of both families, embedding and pixel."""
        ...


Hook = Callable[["torch.Tensor", Request], "torch.Tensor"]
"""What `Method._protect` is: images and what is told of them -> protected images."""


class Method(AnyMethod):
    """A privacy method. Fill in `_protect`, and `_fit`, `state`, `restore` if it learns.

    native_size: side in pixels it works at (option `size`); images are resized to it and back. 0: any size.
    keeps_detail: what is resized back is the change alone (option `keep_detail`), added to the image, so that
        working at a small size costs no sharpness.
    uses_auxiliaries: whether `_fit` reads the auxiliaries it is handed; where it does not, none need be
        trained. extra_auxiliaries: further networks it trains against, got by `auxiliaries.extra(name)`.
    """

    level = "image"
    uses_auxiliaries: ClassVar[bool] = True
    extra_auxiliaries: ClassVar[tuple[str, ...]] = ()

    # -- hooks -------------------------------------------------------------------------------------

    @property
    def native_size(self) -> int:
        return int(self.settings.get("size", 0))

    @property
    def needs_auxiliaries(self) -> bool:
        """Whether `_fit` with these settings reads auxiliaries."""
        return type(self).uses_auxiliaries

    @property
    def keeps_detail(self) -> bool:
        return bool(self.settings.get("keep_detail", False))

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
    def fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries | None, ctx: Context
    ) -> dict[str, Any]:
        """Train on DEVELOP; see `_fit`. Refuses pools that share an identity.

        auxiliaries: may be None for a method that says it uses none.
        """
        if auxiliaries is None and self.needs_auxiliaries:
            raise ContractError(f"{self.id} learns against auxiliaries and was given none")
        shared = np.intersect1d(faces.identities, validation.identities)
        if shared.size:
            raise ContractError(f"DEVELOP and VALIDATION share identity {shared[0]}")
        seed_everything(ctx.seed)
        return dict(self._fit(faces, validation, cast(Auxiliaries, auxiliaries), ctx))

    @final
    def protect(
        self,
        faces: Faces,
        variant: Variant,
        *,
        seed: int = 0,
        device: str = "cpu",
        batch: int = 64,
        through: Hook | None = None,
    ) -> Protected:
        """Protect all `faces` with `variant`, rounded to 8 bits as a saved file would be.

        A sample fails, and is counted, when its output is not finite, when a label that the method needs is
        unknown, or when no face was found in its photograph; its image is then black, never the original.
        The result does not depend on `batch`. through: what is called in place of `_protect`, a faster path
        to the same.
        Raises ContractError when the hook returns the wrong shape, dtype or range.
        """
        self._usable(variant)
        known = self._labels(variant, faces.labels, len(faces))[1] & faces.acquired
        images = np.zeros_like(faces.images)
        failed = ~known
        for rows in np.array_split(np.flatnonzero(known), max(1, -(-int(known.sum()) // batch))):
            if rows.size:
                images[rows], failed[rows] = self._protect_batch(faces, rows, variant, seed, device, through)
        return Protected(images, failed)

    def _protect_batch(
        self,
        faces: Faces,
        rows: NDArray[np.intp],
        variant: Variant,
        seed: int,
        device: str,
        through: Hook | None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        import torch

        batch = faces.take(rows)
        size = self.native_size or batch.size
        images = to_tensor(batch.images, device)
        with torch.no_grad():
            small = resize(images, size)
            hook = through or self._protect
            output = hook(small, self._request(batch, variant, seed, device, size))
            failed = self._check(output, (len(rows), 3, size, size))
            lost = failed[:, None, None, None]
            output = output.masked_fill(lost, 0)
            if self.keeps_detail and size != batch.size:
                output = (images + enlarge(output - small, batch.size)).masked_fill(lost, 0)
            return to_uint8(resize(output, batch.size)), failed.cpu().numpy()

    def _request(self, faces: Faces, variant: Variant, seed: int, device: str, size: int) -> Request:
        import torch

        def scaled(points: NDArray[np.float32]) -> torch.Tensor:
            return torch.from_numpy((points + 0.5) * (size / faces.size) - 0.5).to(device)

        parts = None
        if faces.parts is not None:
            grid = (np.arange(size) * faces.size) // size
            parts = torch.from_numpy(faces.parts[:, grid][:, :, grid]).to(device)
        return Request(
            variant=variant,
            labels=self._as_tensors(self._labels(variant, faces.labels, len(faces))[0], device),
            keys=tuple(str(k) for k in faces.keys),
            seeds=sample_seeds(seed, f"{self.id}:{variant.name}", faces.keys),
            device=device,
            landmarks=None if faces.landmarks is None else scaled(faces.landmarks),
            parts=parts,
        )

    def _check(self, output: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Which images are not finite, bool (N,). Raises ContractError for what breaks the contract."""
        import torch

        where = f"_protect of {self.id}"
        if not isinstance(output, torch.Tensor) or tuple(output.shape) != shape:
            got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ContractError(f"{where} must return a tensor {shape}, got {got}")
        if output.dtype != torch.float32:
            raise ContractError(f"{where} must return float32, got {output.dtype}")
        # Both ends are finite if and only if all values are: what is not finite is rarely there to be found.
        low, high = torch.aminmax(output)
        failed = torch.zeros(len(output), dtype=torch.bool, device=output.device)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            finite = torch.isfinite(output)
            failed = ~finite.flatten(1).all(1)
            low, high = torch.aminmax(output[finite]) if finite.any() else (output.new_zeros(()),) * 2
        if low < -1e-4 or high > 1 + 1e-4:
            raise ContractError(f"{where} must stay in [0, 1], got [{low:.4f}, {high:.4f}]")
        return failed


def to_tensor(images: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [0, 1]."""
    import torch

    plain = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    # In place, since a second tensor takes as long to get from the system as to fill.
    return plain.permute(0, 3, 1, 2).to(torch.float32, copy=True).div_(255)


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
