"""Dataset `synthetic`: procedural faces drawn by the project itself, the same on every machine."""

from __future__ import annotations

import numpy as np

from bench.api import POOLS, Attribute, Dataset, Faces, InputError, yes_no
from bench.faces import AGE, AGE_GROUP, GENDER, YOUNG
from bench.store import digest

RENDERER = 1
"""Raised whenever pixels or labels change; weights shipped for older faces then no longer fit."""

_BLOCK = 1_000_000
"""Each pool has a block of numbers to itself, so that one may grow without moving another."""

_YES_NO = (
    "heavy_makeup",
    "attractive",
    "smiling",
    "eyeglasses",
    "receding_hairline",
    "bushy_eyebrows",
    "narrow_eyes",
    "big_nose",
    "big_lips",
)


class Synthetic(Dataset):
    """Any number of people, each a function of seed and number alone; the pools are blocks of numbers.

    Options: people and images a person in each pool.
    """

    title = "Procedural faces"
    sizes = (64, 128)
    default_size = 64
    needs_data = False
    photographs = False
    watch = ("gender", "race", "age_group", "young", "heavy_makeup", "attractive", "smiling")
    options = {
        "develop_people": 2400,
        "develop_images": 4,
        "validation_people": 150,
        "validation_images": 6,
        "attack_people": 1000,
        "attack_images": 3,
        "test_people": 120,
        "test_images": 5,
    }

    def _attributes(self) -> tuple[Attribute, ...]:
        race = Attribute("race", ("a", "b", "c"))
        return (GENDER, AGE, AGE_GROUP, YOUNG, race, *(yes_no(name) for name in _YES_NO))

    def _fingerprint(self, pool: str) -> str:
        return digest(["synthetic", RENDERER, pool, self.size, self.seed, self._extent(pool)])

    def _extent(self, pool: str) -> tuple[int, int, int]:
        """Number of the pool's first person, people, images a person."""
        people, images = (self.settings[f"{pool}_{what}"] for what in ("people", "images"))
        if not 2 <= people <= _BLOCK:
            raise InputError(f"{pool}_people must be 2 to {_BLOCK}, got {people}")
        return POOLS.index(pool) * _BLOCK, people, images

    def _load(self, pool: str) -> Faces:
        return self._rendered(*self._extent(pool))

    def _load_some(self, pool: str, most: int) -> Faces:
        first, people, images = self._extent(pool)
        return self._rendered(first, max(2, min(people, most // images)), images)

    def _rendered(self, first: int, people: int, images: int) -> Faces:
        from bench.datasets.synthetic.identities import draw_population
        from bench.datasets.synthetic.render import render_faces

        drawn = render_faces(draw_population(self.seed, first, people), images, self.size, self.seed)
        person = drawn.identities
        keys = [f"{p:07d}-{i % images}" for i, p in enumerate(person)]
        return Faces(
            images=drawn.images,
            identities=person,
            keys=np.array(keys, np.str_),
            labels={a.name: drawn.labels[a.name] for a in self._attributes()},
            attributes=self._attributes(),
            landmarks=drawn.landmarks,
            parts=drawn.parts,
        )
