"""How many images and people the pools of a dataset have, known before an image is decoded or supposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import discover
from bench.components.dataset import Dataset
from bench.config import RunConfig
from bench.costs.work import Made
from bench.datasets._dealing import SHARES
from bench.datasets._photos import PhotoDataset
from bench.errors import InputError, UsageError
from bench.faces import ATTACK, DEVELOP, POOLS, TEST, VALIDATION
from bench.store import digest

_CELEBA = {
    "train": Made(162_770, 8_192),
    VALIDATION: Made(19_867, 985),
    TEST: Made(19_962, 1_000),
}
"""CelebA's official partition (Liu et al., ICCV 2015), of 202,599 images of 10,177 people."""

Pools = Mapping[str, Made]


def counted(dataset: Dataset) -> Pools:
    """Pool -> images and people, of those pools that can be counted without decoding anything."""
    found: Any = dataset
    if isinstance(dataset, Supposed):
        return dataset.supposed
    if dataset.id == "synthetic":
        extents = {pool: found._extent(pool) for pool in dataset.pools()}
        return {pool: Made(people * images, people) for pool, (_, people, images) in extents.items()}
    if dataset.id == "celeba":
        people = found._listing.identities
        pools = found._people.pools
        return {pool: Made(len(names), len({people[n] for n in names})) for pool, names in pools.items()}
    if dataset.id == "utkface":
        people, dealt = found._images.people, found._dealt
        return {pool: Made(len(names), len({people[n] for n in names})) for pool, names in dealt.items()}
    if isinstance(dataset, PhotoDataset):
        members = {pool: found._members(pool) for pool in dataset.pools()}
        return {p: Made(len(photos), len({x.identity for x in photos})) for p, photos in members.items()}
    return {}


class Supposed:
    """Marks a dataset of another size than the one at hand, of which there need be no file."""

    supposed: Pools
    how: str


def suppose(config: RunConfig, images: int, people: int) -> Dataset:
    """The evaluated dataset as if it had so many images of so many people.

    It can be planned with, not loaded. Pools are those of CelebA's official partition in its proportions, of
    other datasets the shares in which people are dealt out. Raises UsageError for numbers that no dataset
    has, and where several datasets are learned from; whatever the dataset raises for its options.
    """
    if not 2 * len(POOLS) <= people <= images:
        raise UsageError(
            f"--images {images} --people {people}: write at least {2 * len(POOLS)} people and as many images"
        )
    if set(config.train_on) - {config.dataset}:
        raise UsageError("--images supposes one dataset: leave out --train-on")
    cls: Any = discover.load_class("dataset", config.dataset)

    class Stand(Supposed, cls):  # type: ignore[misc]
        needs_data = False

        def _pools(self) -> tuple[str, ...]:
            return tuple(self.supposed)

        def _fingerprint(self, pool: str) -> str:
            made = self.supposed[pool]
            return digest(["supposed", self.id, pool, self.size, self.seed, made.images, made.people])

        def _pairs(self) -> None:
            return None

    Stand.id = config.dataset  # a component is named after its module, which here is another
    found: Any = Stand((), size=config.size, seed=config.seed, **config.dataset_options)
    found.supposed, found.how = _shared_out(found, images, people)
    return found  # type: ignore[no-any-return]


def _shared_out(dataset: Any, images: int, people: int) -> tuple[Pools, str]:
    limit = int(dataset.settings.get("limit", 0))
    if dataset.id == "celeba":
        share = float(dataset.settings["attack_share"])
        of = {DEVELOP: ("train", 1 - share), ATTACK: ("train", share)}
        of |= {pool: (pool, 1.0) for pool in (VALIDATION, TEST)}
        parts = {p: (_CELEBA[n].images * s, _CELEBA[n].people * s) for p, (n, s) in of.items()}
        how = "pools in the proportions of the official partition"
    else:
        parts = {pool: (share, share) for pool, share in SHARES.items()}
        how = "pools in the shares " + ", ".join(f"{100 * s:.0f} % {p}" for p, s in SHARES.items())
    all_images, all_people = (sum(part[i] for part in parts.values()) for i in (0, 1))
    pools = {}
    for pool in POOLS:
        shown = round(images * parts[pool][0] / all_images)
        persons = max(2, round(people * parts[pool][1] / all_people))
        whole = Made(max(shown, persons), persons)
        if limit and limit < whole.images:
            whole = Made(limit, max(2, round(persons * limit / whole.images)))
        pools[pool] = whole
    return pools, how


def pool_of(pools: Mapping[str, Pools], params: Mapping[str, Any], where: str) -> Made:
    """What a `faces` cell starts from. Raises InputError where nobody has counted that pool."""
    try:
        return pools[params["dataset"]][params["pool"]]
    except KeyError as error:
        raise InputError(
            f"how many faces {where} has is not known before they are read; run it once, or suppose a size "
            "with --images N --people M"
        ) from error
