"""PSNR and SSIM against direct sums and scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import correlate, gaussian_filter

from bench.errors import InputError
from bench.metrics.quality import LUMA, psnr, ssim


def images(n=3, height=40, width=33, seed=0):
    """Smooth colour images and a noisy version of each."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((n, height, width, 3)), (0, 2, 2, 0))
    original = np.clip(128 + 500 * smooth, 0, 255).astype(np.uint8)
    noisy = np.clip(original + rng.normal(0, 12, original.shape), 0, 255).astype(np.uint8)
    return original, noisy


def direct_ssim(a, b):
    """Every window by the definition of Wang et al. 2004, section III.C, without separating the Gaussian."""
    grid = np.arange(11) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = a @ LUMA, b @ LUMA

    def mean(values):
        return correlate(values, window)[5:-5, 5:-5]

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return index.mean()


def test_ssim_is_the_mean_over_all_windows():
    original, noisy = images()
    expected = [direct_ssim(a, b) for a, b in zip(original, noisy, strict=True)]
    np.testing.assert_allclose(ssim(original, noisy), expected, atol=1e-10)
    assert 0.5 < expected[0] < 0.99


def test_ssim_and_psnr_equal_scikit_image():
    referee = pytest.importorskip("skimage.metrics", reason="scikit-image comes with pyiqa")
    original, noisy = images(height=64, width=64)
    indices = []
    for a, b in zip(original, noisy, strict=True):
        _, windows = referee.structural_similarity(
            a @ LUMA,
            b @ LUMA,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        indices.append(windows[5:-5, 5:-5].mean())
    np.testing.assert_allclose(ssim(original, noisy), indices, atol=1e-10)
    ratios = [referee.peak_signal_noise_ratio(a, b) for a, b in zip(original, noisy, strict=True)]
    np.testing.assert_allclose(psnr(original, noisy), ratios)


def test_psnr_by_definition():
    original, noisy = images()
    errors = np.mean((original.astype(float) - noisy) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(psnr(original, noisy), 10 * np.log10(255**2 / errors))
    one = original.copy()
    one[0, 0, 0, 0] ^= 1
    assert psnr(original, one)[0] == pytest.approx(10 * np.log10(255**2 * original[0].size))


def test_the_ends_of_the_scale():
    original, _ = images()
    assert np.isinf(psnr(original, original)).all()
    np.testing.assert_allclose(ssim(original, original), 1)
    black, white = np.zeros_like(original), np.full_like(original, 255)
    np.testing.assert_allclose(psnr(black, white), 0, atol=1e-12)
    np.testing.assert_allclose(ssim(black, white), 1e-4, rtol=1e-3)
    inverted = 255 - original
    assert (ssim(original, inverted) < 0).all()


def test_more_noise_scores_lower_and_order_does_not_matter():
    original, noisy = images()
    noisier = np.clip(noisy + np.random.default_rng(5).normal(0, 25, noisy.shape), 0, 255).astype(np.uint8)
    for metric in (psnr, ssim):
        assert (metric(original, noisier) < metric(original, noisy)).all()
        np.testing.assert_allclose(metric(original, noisy), metric(noisy, original))
        turned = np.rot90(original, axes=(1, 2)), np.rot90(noisy, axes=(1, 2))
        np.testing.assert_allclose(metric(*turned), metric(original, noisy))


def test_colour_counts_in_psnr_and_not_in_ssim():
    grey = np.full((1, 32, 32, 3), 100, np.uint8)
    tinted = grey + np.array([30, -15, 0], np.int8).astype(np.uint8)
    assert psnr(grey, tinted)[0] < 30
    assert ssim(grey, tinted)[0] > 0.999


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_input_that_does_not_fit_is_named(metric):
    original, noisy = images()
    with pytest.raises(InputError, match="differ in shape"):
        metric(original, noisy[:2])
    with pytest.raises(InputError, match="protected must be uint8"):
        metric(original, noisy.astype(np.float32))
    with pytest.raises(InputError, match="original must be uint8"):
        metric(original[..., 0], noisy[..., 0])


def test_ssim_needs_one_whole_window():
    original, noisy = images(height=10)
    with pytest.raises(InputError, match="at least 11 x 11"):
        ssim(original, noisy)
