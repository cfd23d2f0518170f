"""Residuals of applying a method again: against slow obvious code, finite, and equal for equal images."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from bench.errors import InputError
from bench.threats.residuals import Standardisation, residual_features, template_residual_features

IMAGE, TEMPLATE = 2 * 3 * 17, 2 * 17 + 1


def images(count=3, height=20, width=23, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def templates(count=5, width=40, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def slow_image_features(before, after):
    """Features of one image and one target, pixel by pixel."""
    height, width = before.shape[:2]
    regions = [[(y, x) for y in range(height) for x in range(width)]]
    for row in range(4):
        for column in range(4):
            rows = range(row * height // 4, (row + 1) * height // 4)
            columns = range(column * width // 4, (column + 1) * width // 4)
            regions.append([(y, x) for y in rows for x in columns])
    logs, means = [], []
    for region in regions:
        values = []
        for y, x in region:
            red, green, blue = (float(after[y, x, c]) - float(before[y, x, c]) for c in range(3))
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            values.append((luma, red - luma, blue - luma))
        logs += [np.log(np.mean([v[c] ** 2 for v in values]) + 1e-4) / 2 for c in range(3)]
        means += [np.mean([v[c] for v in values]) for c in range(3)]
    return [*logs, *means]


def test_features_of_images_pixel_by_pixel():
    before, again = images(), [images(seed=1), images(seed=2)]
    found = residual_features(before, again)
    assert found.dtype == np.float32
    assert found.shape == (3, 3 * IMAGE)
    for row in range(3):
        first, second = (np.array(slow_image_features(before[row], one[row])) for one in again)
        np.testing.assert_allclose(
            found[row], np.concatenate([first, second, second - first]), atol=1e-3, rtol=1e-4
        )


def test_features_of_templates_component_by_component():
    before, again = templates(), templates(seed=1)
    found = template_residual_features(before, [again])
    assert found.shape == (5, TEMPLATE)
    for row in range(5):
        change = (again[row].astype(float) - before[row]) * 100 * np.sqrt(40)
        blocks = [change, *(change[b * 40 // 16 : (b + 1) * 40 // 16] for b in range(16))]
        expected = [np.log(np.mean(b**2) + 1e-4) / 2 for b in blocks] + [np.mean(b) for b in blocks]
        np.testing.assert_allclose(found[row], [*expected, again[row] @ before[row]], atol=1e-3, rtol=1e-4)


def test_hand_computed_uniform_brightening():
    before = np.full((1, 16, 16, 3), 100, np.uint8)
    found = residual_features(before, [before + np.uint8(6)])[0]
    logs, means = found[: IMAGE // 2].reshape(17, 3), found[IMAGE // 2 :].reshape(17, 3)
    np.testing.assert_allclose(logs[:, 0], np.log(6), atol=1e-5)
    np.testing.assert_allclose(logs[:, 1:], np.log(0.01), atol=1e-3)
    np.testing.assert_allclose(means[:, 0], 6, atol=1e-4)
    np.testing.assert_allclose(means[:, 1:], 0, atol=1e-4)


def test_wrap_around_of_bytes_is_no_small_change():
    before = np.full((1, 8, 8, 3), 255, np.uint8)
    found = residual_features(before, [np.zeros_like(before)])[0]
    assert found[0] == pytest.approx(np.log(255), abs=1e-5)
    assert found[IMAGE // 2] == pytest.approx(-255, abs=1e-3)


@pytest.mark.parametrize("targets", [1, 2, 5])
def test_number_of_features(targets):
    before = images(70)
    found = residual_features(before, [images(70, seed=s) for s in range(1, targets + 1)])
    assert found.shape == (70, (2 * targets - 1) * IMAGE)
    np.testing.assert_allclose(found[:, targets * IMAGE :], _differences(found, targets), atol=1e-4)
    assert template_residual_features(templates(), [templates()] * targets).shape == (
        5,
        (2 * targets - 1) * TEMPLATE,
    )


def _differences(found, targets):
    parts = [found[:, t * IMAGE : (t + 1) * IMAGE] for t in range(targets)]
    return np.hstack([np.empty((len(found), 0)), *[p - parts[0] for p in parts[1:]]])


@pytest.mark.parametrize("count", [1, 7, 130])
def test_equal_images_give_equal_finite_features(count):
    same = np.repeat(images(1), count, axis=0)
    for again in (same, np.repeat(images(1, seed=1), count, axis=0)):
        found = residual_features(same, [same, again])
        assert np.isfinite(found).all()
        assert (found == found[0]).all()


@pytest.mark.parametrize("count", [1, 7, 130])
def test_equal_templates_give_equal_finite_features(count):
    same = np.repeat(templates(1, 33), count, axis=0)
    for again in (same, np.repeat(templates(1, 33, seed=1), count, axis=0)):
        found = template_residual_features(same, [same, again])
        assert np.isfinite(found).all()
        assert (found == found[0]).all()


def test_each_face_by_itself():
    before, again = images(70), [images(70, seed=1), images(70, seed=2)]
    together = residual_features(before, again)
    for row in (0, 63, 64, 69):
        alone = residual_features(before[[row]], [one[[row]] for one in again])
        np.testing.assert_array_equal(alone[0], together[row])


def test_tiny_images_and_templates_have_fewer_cells():
    assert residual_features(images(2, 3, 2), [images(2, 3, 2, seed=1)]).shape == (2, 2 * 3 * (1 + 3 * 2))
    found = template_residual_features(templates(2, 5), [templates(2, 5, seed=1)])
    assert found.shape == (2, 2 * (1 + 5) + 1)


def test_no_faces_at_all():
    assert residual_features(images(0), [images(0)]).shape == (0, IMAGE)


@pytest.mark.parametrize(
    ("protected", "again", "message"),
    [
        (images(), [], "none"),
        (images(), [images(2)], "same shape"),
        (images(), [images(), images(3, 8, 8)], "same shape"),
        (images()[..., :2], [images()[..., :2]], "uint8"),
        (images(), [images().astype(np.float32)], "uint8"),
        (images()[0], [images()[0]], "same shape"),
    ],
)
def test_unusable_images_are_refused(protected, again, message):
    with pytest.raises(InputError, match=message):
        residual_features(protected, again)


def test_unusable_templates_are_refused():
    with pytest.raises(InputError, match="same shape"):
        template_residual_features(templates(), [templates(width=30)])
    with pytest.raises(InputError, match="finite"):
        template_residual_features(templates(), [templates() * np.float32(np.nan)])


def test_standardisation_is_scikit_learns_over_the_root_of_the_width():
    features = np.random.default_rng(0).normal(3, 7, (50, 9)).astype(np.float32)
    expected = StandardScaler().fit_transform(features.astype(float)) / 3
    np.testing.assert_allclose(Standardisation.fit(features).apply(features), expected, atol=1e-6)


def test_standardisation_cuts_outliers_and_ignores_what_never_varies():
    features = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    features[:, 2] = 0.1
    rule = Standardisation.fit(features)
    far = rule.apply(np.full((1, 4), 1e6, np.float32))
    np.testing.assert_allclose(far, [[2.5, 2.5, 0, 2.5]])
    assert (rule.apply(features)[:, 2] == 0).all()
    same = np.tile(features[:1], (20, 1))
    assert (Standardisation.fit(same).apply(same) == 0).all()
