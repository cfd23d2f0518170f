"""The controls: what each does to pixels, and that strengths mean the same at every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from methods_tiny import EMBEDDED, TinyAuxiliaries, tiny_faces

from bench.api import Context, Faces, Method
from methods.blur import Blur
from methods.constant import Constant
from methods.grey import Grey
from methods.noise import Noise
from methods.original import Original
from methods.pixelate import Pixelate
from methods.resample import Resample

GRADED = (Resample, Blur, Pixelate, Noise)


def protected(method: Method, faces: Faces, variant: str = "default", **kwargs: Any) -> np.ndarray:
    found = method.protect(faces, method.variant(variant), **kwargs)
    assert not found.failed.any()
    return found.images


def with_images(faces: Faces, images: np.ndarray) -> Faces:
    return Faces(images, faces.identities, faces.keys, faces.labels, faces.attributes)


def test_original_changes_nothing() -> None:
    faces = tiny_faces()
    assert np.array_equal(protected(Original(EMBEDDED), faces), faces.images)


def test_constant_is_the_mean_grey_face_for_everybody() -> None:
    develop, validation, test = (tiny_faces(first_identity=i) for i in (0, 100, 200))
    method = Constant(EMBEDDED)
    method.fit(develop, validation, TinyAuxiliaries(), Context())
    images = protected(method, test)
    assert (images == images[0]).all()
    expected = develop.images.mean(0) @ [0.299, 0.587, 0.114]
    assert np.abs(images[0] - expected[..., None]).max() <= 1

    again = Constant(EMBEDDED)
    again.restore(method.state())
    assert np.array_equal(protected(again, test), images)
    assert protected(again, tiny_faces(size=48)).shape == (24, 48, 48, 3)


def test_grey_is_the_luma() -> None:
    faces = tiny_faces()
    images = protected(Grey(EMBEDDED), faces)
    assert np.array_equal(images[..., 0], images[..., 2])
    assert np.abs(images[..., 1] - faces.images @ [0.299, 0.587, 0.114]).max() <= 0.51


def test_pixelation_paints_the_mean_of_each_block() -> None:
    faces = tiny_faces(size=64)
    images = protected(Pixelate(EMBEDDED), faces)
    means = faces.images.reshape(-1, 16, 4, 16, 4, 3).mean((2, 4))
    assert np.abs(images.reshape(-1, 16, 4, 16, 4, 3) - means[:, :, None, :, None]).max() <= 0.51


def test_blur_has_the_stated_width() -> None:
    faces = tiny_faces(4, size=112)
    images = np.zeros_like(faces.images)
    images[:, 56, 56] = 255
    spread = protected(Blur(EMBEDDED), with_images(faces, images))[0, :, :, 0].astype(float)
    # 8 bits cut the tails off, so compare the peak, 255 / (2 pi sigma^2), with sigma = 3 px at 112 px.
    assert spread.max() == pytest.approx(255 / (2 * np.pi * 9), abs=1)
    assert spread[56, 59] / spread[56, 56] == pytest.approx(np.exp(-0.5), abs=0.12)


def test_noise_is_a_function_of_seed_and_key_alone() -> None:
    faces = tiny_faces()
    method = Noise(EMBEDDED)
    images = protected(method, faces)
    assert np.array_equal(protected(method, faces, batch=5), images)
    assert np.array_equal(protected(method, faces.take(np.arange(24)[::-1]))[::-1], images)
    assert not np.array_equal(protected(method, faces, seed=1), images)
    flat = with_images(faces, np.full_like(faces.images, 128))
    assert protected(method, flat).std() == pytest.approx(0.1 * 255, rel=0.05)


@pytest.mark.parametrize("control", GRADED)
def test_stronger_is_further_from_the_original(control: type[Method]) -> None:
    faces = tiny_faces(size=64)
    method = control(EMBEDDED)
    changes = [
        np.abs(protected(method, faces, name).astype(float) - faces.images).mean()
        for name in ("weak", "default", "strong")
    ]
    assert 0 < changes[0] < changes[1] < changes[2]
    assert [v.name for v in method.variants() if v.selected] == ["default"]


@pytest.mark.parametrize("control", GRADED)
def test_strength_is_relative_to_the_size(control: type[Method]) -> None:
    small = tiny_faces(size=64)
    large = with_images(small, small.images.repeat(2, axis=1).repeat(2, axis=2))
    method = control(EMBEDDED)
    at_64 = protected(method, small).astype(float)
    at_128 = protected(method, large).reshape(-1, 64, 2, 64, 2, 3).mean((2, 4))
    changed = np.abs(at_64 - small.images).mean()
    assert np.abs(at_64 - at_128).mean() < 0.4 * changed


@pytest.mark.parametrize("control", [Original, Constant, Grey, *GRADED])
def test_controls_hide_what_is_labelled(control: type[Method]) -> None:
    some = [a for a in EMBEDDED if a.name in ("gender", "smiling")]
    assert control.role == "control"
    assert {v.obfuscates for v in control(some).variants()} == {("gender",)}
    assert set(control(EMBEDDED).variants()[0].obfuscates) == {"gender", "race", "age_group", "young", "age"}
