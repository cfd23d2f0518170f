"""Random faces and templates: speed depends on their number and size, not on what they show."""

from __future__ import annotations

import numpy as np

from bench.components.embedding_method import Templates
from bench.faces import AGE, AGE_GROUP, GENDER, PART_NAMES, YOUNG, Attribute, Faces, yes_no

ATTRIBUTES = (
    *(GENDER, Attribute("race", ("a", "b")), AGE_GROUP, AGE, YOUNG),
    *map(
        yes_no,
        (
            *("attractive", "heavy_makeup", "smiling", "eyeglasses", "high_cheekbones"),
            *("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips"),
        ),
    ),
)
"""Everything that methods of the papers are told, with the papers' numbers of classes."""

EMBEDDING = 512
"""Length of templates."""

_POINTS = ((0.35, 0.4), (0.65, 0.4), (0.5, 0.58), (0.38, 0.74), (0.62, 0.74))
"""Eyes, nose tip and corners of the mouth of an upright face, as shares of the side."""

_PHOTOS = 2


def random_faces(count: int, side: int, seed: int) -> Faces:
    """`count` images of noise with random labels, two of each person; landmarks of an upright face, jittered,
    and parts in bands. Every class of every attribute occurs from 6 images on."""
    rng = np.random.default_rng([seed, count])
    points = np.array(_POINTS, np.float32) + rng.normal(0, 0.02, (count, 5, 2)).astype(np.float32)
    bands = (np.arange(side) * len(PART_NAMES) // side).astype(np.uint8)
    return Faces(
        images=rng.integers(0, 256, (count, side, side, 3), np.uint8),
        identities=_people(count, seed),
        keys=np.array([f"{seed}-{number:06d}" for number in range(count)], np.str_),
        labels=_labels(count, rng),
        attributes=ATTRIBUTES,
        landmarks=points * side - 0.5,
        parts=np.broadcast_to(bands[:, None], (count, side, side)).copy(),
    )


def random_templates(count: int, seed: int) -> Templates:
    """`count` unit vectors with random labels, two of each person."""
    rng = np.random.default_rng([seed, count, 1])
    vectors = rng.standard_normal((count, EMBEDDING)).astype(np.float32)
    return Templates(
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        identities=_people(count, seed),
        keys=np.array([f"{seed}-{number:06d}" for number in range(count)], np.str_),
        labels=_labels(count, rng),
        attributes=ATTRIBUTES,
    )


def _people(count: int, seed: int) -> np.ndarray:
    """No two seeds share anybody."""
    return (np.arange(count) // _PHOTOS + seed * 1_000_000).astype(np.int64)


def _labels(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    labels = {}
    for attribute in ATTRIBUTES:
        if attribute.is_number:
            labels[attribute.name] = rng.uniform(18, 80, count).astype(np.float32)
        else:
            # Every class as often as the others, in random order.
            codes = rng.permutation(np.arange(count) % len(attribute.classes))
            labels[attribute.name] = codes.astype(np.float32)
    return labels
