"""The matcher inside dlib. Skipped where the extra `dlib` is not installed."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import discover
from bench.components.base import Context
from bench.errors import Unavailable
from bench.faces import Faces
from bench.geometry import CELEBA_LANDMARKS, DLIB_150, align

INSTALLED = all(importlib.util.find_spec(m) for m in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(not INSTALLED, reason="pip install -e '.[dlib]' for the matcher inside dlib")


def canonical(images: NDArray[np.uint8]) -> Faces:
    """178 px faces where CelebA's lie."""
    landmarks = np.array(CELEBA_LANDMARKS) - (0, 20)
    return Faces(
        images=images,
        identities=np.arange(len(images)),
        keys=np.array([str(i) for i in range(len(images))]),
        landmarks=np.tile(landmarks, (len(images), 1, 1)).astype(np.float32),
    )


def matcher() -> Any:
    return discover.load_class("matcher", "dlib_resnet")()


def test_without_the_extra_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = matcher()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(Unavailable) as caught:
        absent.prepare(Context())
    assert caught.value.reason == "not installed: face_recognition_models, dlib"
    assert "'.[dlib]'" in caught.value.remedy


def test_a_chip_has_the_eyes_where_dlib_puts_them() -> None:
    """dlib's mean face has the centres of the eyes .353 of its side apart and .216 below its top; with a
    quarter of it as padding all around, that side is 100 of 150 px."""
    image = np.zeros((178, 178, 3), np.uint8)
    for x, y in np.array(CELEBA_LANDMARKS[:2]) - (0, 20):
        image[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    bright = align(canonical(image[None]), DLIB_150)[0, ..., 0] > 128
    (left_y, left_x), (right_y, right_x) = (
        np.argwhere(half).mean(axis=0) for half in (bright[:, :75], bright[:, 75:])
    )
    assert right_x + 75 - left_x == pytest.approx(100 * (0.754835 - 0.225543), abs=3)
    assert left_y == pytest.approx(right_y, abs=1)
    assert left_y == pytest.approx(25 + 100 * 0.215985, abs=3)


@needs_dlib
def test_embeddings_are_unit_and_the_company_does_not_matter() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    faces = canonical(coarse.repeat(30, axis=1).repeat(30, axis=2)[:, :178, :178])
    found = matcher().embed(faces, Context())
    assert found.shape == (3, 128)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(found - matcher().embed(faces, Context(), batch=1)).max() < 1e-4
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert "face_recognition_models" not in sys.modules


@needs_dlib
def test_embeddings_are_dlibs_own_of_the_chip() -> None:
    import dlib

    coarse = np.random.default_rng(1).integers(0, 256, (1, 6, 6, 3), dtype=np.uint8)
    faces = canonical(coarse.repeat(30, axis=1).repeat(30, axis=2)[:, :178, :178])
    spec = importlib.util.find_spec("face_recognition_models")
    assert spec is not None
    assert spec.submodule_search_locations
    path = f"{spec.submodule_search_locations[0]}/models/dlib_face_recognition_resnet_model_v1.dat"
    network = dlib.face_recognition_model_v1(path)
    expected = np.array(network.compute_face_descriptor(align(faces, DLIB_150)[0]))
    expected /= np.linalg.norm(expected)
    assert np.abs(matcher().embed(faces, Context())[0] - expected).max() < 1e-4
