"""Restorations bring back what small perturbations hid; the way back of templates is ridge regression."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from bench.errors import InputError
from bench.threats.restoration import RESTORATIONS, TemplateRestoration

every = pytest.mark.parametrize("name", RESTORATIONS)


def faces(count=4, size=64, seed=0):
    """Smooth pictures with an edge, uint8 (N, size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    phase = rng.uniform(0, np.pi, (count, 3))
    waves = 128 + 50 * np.sin(2 * np.pi * x[None, :, :, None] + phase[:, None, None])
    waves += 40 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1)[None, :, :, None]
    return waves.round().astype(np.uint8)


def perturbed(images, size, seed=1):
    """The images with +size or -size grey levels at every pixel and channel."""
    rng = np.random.default_rng(seed)
    return np.clip(images + rng.choice([-size, size], images.shape), 0, 255).astype(np.uint8)


def distance(first, second):
    return float(np.mean((first.astype(float) - second) ** 2))


@every
@pytest.mark.parametrize(("height", "width"), [(64, 64), (47, 61), (224, 224)])
def test_new_images_of_the_same_shape(name, height, width):
    images = faces(2, 224)[:, :height, :width]
    before = images.copy()
    restored = RESTORATIONS[name](images)
    assert restored.shape == images.shape
    assert restored.dtype == np.uint8
    assert not np.shares_memory(restored, images)
    np.testing.assert_array_equal(images, before)


@every
def test_each_face_by_itself(name):
    images = perturbed(faces(), 10)
    together = RESTORATIONS[name](images)
    for row, image in enumerate(images):
        np.testing.assert_array_equal(RESTORATIONS[name](image[None])[0], together[row])


@every
@pytest.mark.parametrize("size", [64, 192])
def test_brings_a_perturbed_face_nearer_to_the_original(name, size):
    images = faces(size=size)
    attacked = perturbed(images, 12)
    assert distance(RESTORATIONS[name](attacked), images) < 0.75 * distance(attacked, images)


@every
def test_leaves_an_untouched_face_nearly_alone(name):
    images = faces()
    assert distance(RESTORATIONS[name](images), images) < 0.1 * distance(images, images.mean())


@every
def test_equal_images_stay_equal(name):
    image = perturbed(faces(1), 20)
    restored = RESTORATIONS[name](np.repeat(image, 9, axis=0))
    assert (restored == restored[0]).all()
    flat = np.full((2, 32, 32, 3), 77, np.uint8)
    assert np.abs(RESTORATIONS[name](flat).astype(int) - 77).max() <= 1


@every
def test_no_images_at_all(name):
    assert RESTORATIONS[name](np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 64, 64, 3)


@every
def test_other_arrays_are_refused(name):
    with pytest.raises(InputError, match="uint8"):
        RESTORATIONS[name](np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match="uint8"):
        RESTORATIONS[name](np.zeros((2, 8, 8), np.uint8))


def pairs(people=60, images=3, width=16, noise=0.0, seed=2):
    """Original unit templates, protected ones (a fixed linear map and noise), identities."""
    rng = np.random.default_rng(seed)
    original = np.repeat(rng.normal(size=(people, width)), images, axis=0)
    original += 0.3 * rng.normal(size=original.shape)
    original /= np.linalg.norm(original, axis=1, keepdims=True)
    turn = np.random.default_rng(99).normal(size=(width, width + 4))
    protected = original @ turn + 0.5 + noise * rng.normal(size=(len(original), width + 4))
    return protected.astype(np.float32), original.astype(np.float32), np.repeat(np.arange(people), images)


def test_a_linear_map_is_undone_on_other_people():
    protected, original, identities = pairs()
    found = TemplateRestoration.fit(protected, original, identities)
    others, truth, _ = pairs(seed=3)
    restored = found.apply(others)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(restored, axis=1), 1, atol=1e-5)
    assert np.sum(restored * truth, axis=1).min() > 0.999


@pytest.mark.parametrize("people", [4, 60])
def test_equals_scikit_learns_ridge_with_the_chosen_penalty(people):
    # Fewer and more pairs than components: the two ways to the same solution.
    protected, original, identities = pairs(people=people, noise=0.5)
    found = TemplateRestoration.fit(protected, original, identities)
    scatter = np.sum((protected - protected.mean(axis=0, dtype=np.float64)) ** 2)
    model = Ridge(alpha=found.penalty * scatter / protected.shape[1]).fit(protected.astype(float), original)
    expected = model.predict(protected.astype(float))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.apply(protected), expected, atol=1e-6)


def test_more_noise_means_a_larger_penalty():
    penalties = [TemplateRestoration.fit(*pairs(noise=noise)).penalty for noise in (0.0, 1.0, 10.0)]
    assert penalties[0] < penalties[1] < penalties[2]


def test_failed_templates_are_left_out_and_stay_failed():
    protected, original, identities = pairs()
    lost = protected.copy()
    lost[::7] = np.nan
    kept = np.isfinite(lost).all(axis=1)
    found = TemplateRestoration.fit(lost, original, identities)
    expected = TemplateRestoration.fit(protected[kept], original[kept], identities[kept])
    np.testing.assert_array_equal(found.weights, expected.weights)
    restored = found.apply(lost)
    assert np.isnan(restored[~kept]).all()
    assert np.isfinite(restored[kept]).all()


def test_equal_templates_give_equal_answers():
    _, original, identities = pairs()
    same = np.tile(np.float32(np.linspace(-0.3, 0.7, 20)), (len(original), 1))
    restored = TemplateRestoration.fit(same, original, identities).apply(same)
    assert (restored == restored[0]).all()


def test_unusable_pairs_are_refused():
    protected, original, identities = pairs()
    with pytest.raises(InputError, match="pairs"):
        TemplateRestoration.fit(protected[:5], original, identities)
    with pytest.raises(InputError, match="two or more people"):
        TemplateRestoration.fit(protected[:3], original[:3], identities[:3])
    with pytest.raises(InputError, match="two or more people"):
        TemplateRestoration.fit(protected * np.nan, original, identities)
