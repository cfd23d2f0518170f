"""Datasets: labelled faces in four identity-disjoint pools."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from bench.components.base import Component
from bench.components.survey import Report, Survey
from bench.errors import InputError, UsageError
from bench.faces import POOLS, Attribute, Faces, whole_people

if TYPE_CHECKING:
    from bench.metrics.pair_lists import FoldedPairs
    from bench.weights import WeightsFolder


class Dataset(Component):
    """Fill in `_attributes`, `_fingerprint` and `_load`.

    sizes: image sides it can deliver, the first is the default; empty: any.
    needs_data: whether it reads files of the user's (`--data`), which may be several roots, joined.
    photographs: whether networks pretrained on photographs have any business with its images.
    watch: the class attributes that attackers are set on unless a run says otherwise; empty: all.
    """

    sizes: ClassVar[tuple[int, ...]] = ()
    default_size: ClassVar[int] = 112
    needs_data: ClassVar[bool] = True
    photographs: ClassVar[bool] = True
    watch: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        roots: Sequence[Path] = (),
        *,
        size: int = 0,
        seed: int = 0,
        weights: WeightsFolder | None = None,
        preset: str = "",
        **overrides: Any,
    ) -> None:
        """weights: where networks that find faces in photographs are, if there is such a folder."""
        super().__init__(preset=preset, **overrides)
        self.roots = tuple(Path(r) for r in roots)
        self.weights = weights
        self.size = size or self.default_size
        self.seed = seed
        if self.sizes and self.size not in self.sizes:
            raise InputError(f"{self.id} comes at {self.sizes} px, not {self.size}")
        if self.needs_data and not self.roots:
            raise InputError(f"{self.id} needs the publisher's files: add --data FOLDER")
        for root in self.roots:
            if not root.is_dir():
                raise InputError(f"no such folder: {root}; give --data the folder of {self.id}")

    # -- hooks -------------------------------------------------------------------------------------

    @classmethod
    def holds(cls, root: Path) -> bool:
        """Whether `root` has files of this dataset; asked only where several datasets share a run's roots."""
        return True

    @abstractmethod
    def _attributes(self) -> tuple[Attribute, ...]:
        """What its labels say; must be cheap (no image is decoded)."""

    @abstractmethod
    def _fingerprint(self, pool: str) -> str:
        """Changes whenever a pixel, a label or a member of `pool` would; must be cheap."""

    @abstractmethod
    def _load(self, pool: str) -> Faces:
        """The faces of one pool at `self.size`."""

    def _load_some(self, pool: str, most: int) -> Faces:
        """Whole people of `pool`, the same ones every time, with about `most` faces. Worth overriding where
        faces are expensive: this reads the whole pool."""
        return whole_people(self._load(pool), most)

    def _pools(self) -> tuple[str, ...]:
        """The pools it has people for; one that lacks DEVELOP or ATTACK can only be tested on."""
        return POOLS

    def _pairs(self) -> FoldedPairs | None:
        """Its publisher's list of comparisons between faces of TEST, named by their keys; None: none."""
        return None

    def _survey(self, report: Report, faces: bool) -> Survey:
        """A look at every file, for `data verify`; where there are no files of the user's there is none."""
        raise UsageError(f"{self.id} reads no files of yours, so that there is nothing to verify")

    # -- sealed ------------------------------------------------------------------------------------

    @final
    def pools(self) -> tuple[str, ...]:
        """Those of `bench.faces.POOLS` that it can deliver."""
        return self._pools()

    @final
    def survey(self, report: Report = lambda done, total, text: None, *, faces: bool = False) -> Survey:
        """How many photos and people each pool has, and what is wrong with files and labels.

        report: told how far it is. faces: whether to look for the face in photos that are not aligned, which
        takes long and needs the detector. Raises InputError where that much is wrong that nothing can be
        counted, Unavailable without the detector.
        """
        return self._survey(report, faces)

    @final
    def pairs(self) -> FoldedPairs:
        """The published list of comparisons. Raises InputError when there is none."""
        found = self._pairs()
        if found is None:
            raise InputError(
                f"{self.id} comes without a published list of pairs; leave out --pairs published"
            )
        return found

    @final
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes that every pool labels."""
        return self._attributes()

    @final
    def fingerprint(self, pool: str) -> str:
        """Identity of one pool as the harness sees it: files, size, seed, and the options that shape it."""
        return self._fingerprint(pool)

    @final
    def load(self, pool: str, *, most: int = 0) -> Faces:
        """One of `bench.faces.POOLS`, decoded; with `most`, whole people with about so many faces.

        Raises InputError naming the file that is not usable.
        """
        if pool not in POOLS:
            raise InputError(f"no pool '{pool}'; pools are {', '.join(POOLS)}")
        if pool not in self.pools():
            raise InputError(
                f"{self.id} has nobody for {pool.upper()} as it is dealt out here; add --train-on with a "
                "dataset that has"
            )
        faces = self._load_some(pool, most) if most else self._load(pool)
        if faces.images.shape[1:3] != (self.size, self.size):
            raise InputError(f"{self.id} delivered {faces.images.shape}, not {self.size} px")
        if len(np.unique(faces.identities)) < 2:
            raise InputError(f"pool {pool} of {self.id} has fewer than two identities; give more data")
        return faces
