"""A graphics card draws what the processor draws, within what docs/reproducibility.md states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench import discover, shipped
from bench.api import TEST, Context, Faces
from bench.components.method import Method

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card that torch can use"),
]

DEVICES = ("cpu", "cuda")

GREY_LEVELS = 0.1
"""Most that images may differ by on average: convolutions on the card may round as TF32 does."""

COSINE = 1e-5
"""Most that 1 - cosine of a face's two templates may be."""

CARDS = {f"{c['method']} {c['part']}".rstrip(): c for c in shipped.cards()}


@pytest.fixture(scope="module")
def faces() -> Faces:
    found: Faces = discover.load_class("dataset", "synthetic")((), test_people=8, test_images=2).load(TEST)
    return found


def restored(card: dict[str, str], faces: Faces) -> Method:
    method: Method = discover.load_class("method", card["method"])(faces.attributes, preset="quick")
    method.part = card["part"]
    method.restore({k: v.astype(np.float32) for k, v in shipped.load(card["sha256"]).items()})
    return method


@pytest.mark.parametrize("name", CARDS)
def test_protected_faces_are_alike(name: str, faces: Faces) -> None:
    drawn = []
    for device in DEVICES:
        method = restored(CARDS[name], faces)
        variant = next(v for v in method.variants() if v.part == CARDS[name]["part"])
        protected = method.protect(faces, variant, device=device)
        drawn.append(protected.images.astype(np.float64))
    assert np.abs(drawn[0] - drawn[1]).mean() <= GREY_LEVELS


@pytest.mark.parametrize("card", shipped.cards(shipped.MATCHER), ids=lambda card: card["matcher"])
def test_templates_are_alike(card: dict[str, str], faces: Faces) -> None:
    found = []
    for device in DEVICES:
        matcher = discover.load_class("matcher", card["matcher"])(preset="quick")
        matcher.prepare(Context(device=device))
        matcher.restore({k: v.astype(np.float32) for k, v in shipped.load(card["sha256"]).items()})
        found.append(matcher.embed(faces, Context(device=device)).astype(np.float64))
    unit = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in found]
    assert (1 - (unit[0] * unit[1]).sum(axis=1)).max() <= COSINE
