"""The contract of datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import discover
from bench.checks.common import Finding, same, tried
from bench.components.dataset import Dataset
from bench.errors import ContractError
from bench.faces import POOLS, Attribute, Faces
from bench.weights import WeightsFolder

_FEW = {f"{pool}_{what}": 3 for pool in POOLS for what in ("people", "images")} | {"limit": 200}
"""Options that keep a dataset small, of those that it has."""


def check_dataset(name: str, data: Sequence[Path] = ()) -> Iterator[Finding]:
    """Findings about the dataset called `name`, on the user's files where it needs some."""
    cls: type[Dataset] = discover.load_class("dataset", name)
    if cls.needs_data and not data:
        yield Finding("reads the publisher's files: add --data FOLDER to have them checked", True)
        return
    options: dict[str, Any] = {option: value for option, value in _FEW.items() if option in cls.options}

    def opened() -> Dataset:
        return cls(data, weights=WeightsFolder.find(None), **options)

    pools: dict[str, Faces] = {}
    loaded = tried("delivers its pools", lambda: pools.update(_loaded(opened())))
    yield loaded
    if loaded.ok:
        yield tried("no two pools share a person", lambda: _disjoint(pools))
        yield tried("labels what it says", lambda: _labelled(pools, opened().attributes()))
        yield tried("delivers the same again, and parts of it", lambda: _repeats(opened, pools))


def _loaded(dataset: Dataset) -> dict[str, Faces]:
    pools = {pool: dataset.load(pool) for pool in dataset.pools()}
    for pool, faces in pools.items():
        if not faces.acquired.any():
            raise ContractError(f"no face was found in any photo of pool {pool}")
    return pools


def _disjoint(pools: dict[str, Faces]) -> None:
    seen: dict[tuple[str, Any], str] = {}
    for pool, faces in pools.items():
        found = [("person", p) for p in np.unique(faces.identities).tolist()]
        found += [("sample key", key) for key in faces.keys.tolist()]
        for what, name in found:
            other = seen.setdefault((what, name), pool)
            if other != pool:
                raise ContractError(f"pools {other} and {pool} share {what} {name}")


def _labelled(pools: dict[str, Faces], attributes: tuple[Attribute, ...]) -> None:
    for pool, faces in pools.items():
        if faces.attributes != attributes:
            raise ContractError(f"faces of {pool} carry other attributes than `_attributes` says")
        for attribute in attributes:
            values = faces.labels[attribute.name]
            known = values[np.isfinite(values)]
            if not attribute.is_number and not np.isin(known, range(len(attribute.classes))).all():
                raise ContractError(
                    f"labels of {attribute.name} in {pool} must be indices of its {len(attribute.classes)} "
                    f"classes or NaN, got {sorted(set(known.tolist()))[:5]}"
                )


def _repeats(opened: Callable[[], Dataset], pools: dict[str, Faces]) -> None:
    first, second = opened(), opened()
    prints = {pool: first.fingerprint(pool) for pool in pools}
    for pool, faces in pools.items():
        if second.fingerprint(pool) != prints[pool]:
            raise ContractError(f"the fingerprint of {pool} changes from one time to the next")
        same(faces.images, second.load(pool).images, f"when {pool} is loaded again")
        people = np.unique(faces.identities)
        if len(people) < 3:
            continue  # a part of them would be nobody to compare with
        some = second.load(pool, most=len(faces) - 1)
        for person in np.unique(some.identities):
            if (some.identities == person).sum() != (faces.identities == person).sum():
                raise ContractError(f"`_load_some` of {pool} must take whole people")
    if len(set(prints.values())) < len(prints):
        raise ContractError("two pools have one fingerprint; it must name the pool's members")
