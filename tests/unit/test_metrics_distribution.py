"""Distances of sets of features against closed forms, slow obvious code and pyiqa."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from bench.errors import InputError, MetricError
from bench.metrics.distribution import (
    Gaussian,
    frechet_distance,
    kernel_distance,
    resampled_kernel_distance,
)
from bench.metrics.uncertainty import identity_weights

RNG = np.random.default_rng(0)


def features(n, d=12, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, (n, d)) @ np.random.default_rng(9).normal(0, 1, (d, d))


# -- Fréchet distance ------------------------------------------------------------------------------


def by_definition(a, b):
    """Heusel et al., eq. 6, with the root of a general matrix."""
    product = sqrtm(a.covariance @ b.covariance)
    return np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * product.real)


@pytest.mark.parametrize(("n", "m"), [(200, 100), (300, 5), (5, 300)])
def test_frechet_by_definition(n, m):
    """Also where a covariance is singular: as the reference, and as the other."""
    a, b = Gaussian.of(features(n)), Gaussian.of(features(m, shift=0.3, seed=1))
    assert frechet_distance(a, b) == pytest.approx(by_definition(a, b), rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_frechet_of_axis_parallel_gaussians_in_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2."""
    means, deviations = RNG.normal(size=(2, 30)), RNG.uniform(0.1, 3, (2, 30))
    a, b = (Gaussian(m, np.diag(s**2)) for m, s in zip(means, deviations, strict=True))
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((deviations[0] - deviations[1]) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_one_dimension_in_closed_form():
    a, b = Gaussian(np.array([1.0]), np.array([[4.0]])), Gaussian(np.array([4.0]), np.array([[0.25]]))
    assert frechet_distance(a, b) == pytest.approx(9 + 1.5**2)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_frechet_as_pyiqa():
    from pyiqa.archs.fid_arch import frechet_distance as referee

    a, b = Gaussian.of(features(90)), Gaussian.of(features(70, shift=0.5, seed=3))
    expected = referee(a.mean, a.covariance, b.mean, b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_the_ends_of_frechet():
    some, one_image = features(50), np.repeat(features(1), 50, axis=0)
    a, constant = Gaussian.of(some), Gaussian.of(one_image)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    expected = np.sum((a.mean - one_image[0]) ** 2) + np.trace(a.covariance)
    assert frechet_distance(a, constant) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(constant, a) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(constant, constant) == 0


def test_frechet_does_not_depend_on_order_or_axes():
    x, y = features(60), features(50, shift=0.4, seed=2)
    turn = np.linalg.qr(RNG.normal(size=(12, 12)))[0]
    plain = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    turned = frechet_distance(Gaussian.of(x[::-1] @ turn + 3), Gaussian.of(y[::-1] @ turn + 3))
    assert turned == pytest.approx(plain, rel=1e-9)


def test_what_is_no_gaussian():
    with pytest.raises(MetricError, match="two images"):
        Gaussian.of(features(1))
    with pytest.raises(InputError, match="must be"):
        Gaussian.of(np.zeros(5))
    with pytest.raises(InputError, match="not finite"):
        Gaussian.of(np.full((5, 3), np.nan))
    with pytest.raises(InputError, match="are needed"):
        Gaussian(np.zeros(3), np.eye(2))
    with pytest.raises(InputError, match="dimensions"):
        frechet_distance(Gaussian.of(features(9)), Gaussian.of(features(9)[:, :5]))


# -- kernel distance ---------------------------------------------------------------------------------


def slowly(x, y, paired):
    """Binkowski et al., section 4, and eq. 4 of Gretton et al. for pairs: every two rows, one by one."""

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def mean(a, b, same_too):
        terms = [kernel(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if same_too or i != j]
        return sum(terms) / len(terms)

    return mean(x, x, False) + mean(y, y, False) - 2 * mean(x, y, not paired)


@pytest.mark.parametrize("paired", [False, True])
def test_kernel_distance_as_a_double_loop(paired):
    x, y = features(14, 4), features(14, 4, shift=0.3, seed=1)
    assert kernel_distance(x, y, paired=paired) == pytest.approx(slowly(x, y, paired), rel=1e-10)


def test_kernel_distance_of_sets_of_unlike_size_as_a_double_loop():
    x, y = features(9, 4), features(13, 4, shift=0.3, seed=1)
    found = kernel_distance(x, y, subsets=4000, seed=1)
    assert found == pytest.approx(slowly(x, y, False), rel=0.05)


def test_kernel_distance_as_pyiqa():
    from pyiqa.archs.fid_arch import mmd_polynomial_kernel

    x, y = features(40), features(40, shift=0.2, seed=1)
    expected = mmd_polynomial_kernel(x, y, num_subsets=1, max_subset_size=1000)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_large_sets_are_compared_by_random_subsets_that_the_seed_fixes():
    x, y = features(60), features(60, shift=0.5, seed=1)
    whole = kernel_distance(x, y, paired=True)
    parts = kernel_distance(x, y, paired=True, size=30, subsets=400)
    assert parts == kernel_distance(x, y, paired=True, size=30, subsets=400)
    assert parts != kernel_distance(x, y, paired=True, size=30, subsets=400, seed=1)
    assert parts == pytest.approx(whole, rel=0.1)


def test_kernel_distance_is_unbiased_where_frechet_is_not():
    """Two sets of one distribution: over many draws the mean is 0 for the first, far above for the second."""
    draws = [(features(30, seed=k), features(30, seed=1000 + k)) for k in range(300)]
    kernel = np.array([kernel_distance(x, y) for x, y in draws])
    frechet = np.array([frechet_distance(Gaussian.of(x), Gaussian.of(y)) for x, y in draws])
    assert abs(kernel.mean()) < 4 * kernel.std() / np.sqrt(len(draws))
    assert frechet.min() > 0.5


def test_pairs_stay_unbiased_though_each_face_resembles_its_original():
    """Protected faces of the originals' distribution, yet alike pair by pair: the usual cross term is off."""
    usual, paired = [], []
    for k in range(300):
        x = features(20, seed=k)
        y = 0.6 * x + 0.8 * features(20, seed=1000 + k)  # the same mean and covariance as x
        usual.append(kernel_distance(x, y))
        paired.append(kernel_distance(x, y, paired=True))
    error = np.std(paired) / np.sqrt(len(paired))
    assert abs(np.mean(paired)) < 4 * error
    assert np.mean(usual) < -4 * error


def test_the_ends_of_the_kernel_distance():
    x = features(30)
    assert kernel_distance(x, x, paired=True) == pytest.approx(0, abs=1e-9)
    near, far = (kernel_distance(x, x + s, paired=True) for s in (0.5, 1.5))
    assert 0 < near < far


def test_resamples_surround_the_figure_and_weigh_whole_people():
    people = np.repeat(np.arange(30), 3)
    x = features(90)
    y = x + 0.8 + 0.3 * features(90, seed=4)
    draw = identity_weights(people, 300, 0)
    samples = resampled_kernel_distance(x, y, people, draw)
    whole = kernel_distance(x, y, paired=True)
    assert samples.shape == (300,)
    assert samples.min() < whole < samples.max()
    assert samples.mean() == pytest.approx(whole, rel=0.2)


def test_a_resample_by_the_double_loop():
    people = np.array([7, 7, 3, 9, 3, 9])
    x, y = features(6, 4), features(6, 4, shift=0.4, seed=1)
    draw = identity_weights(people, 20, 1)
    samples = resampled_kernel_distance(x, y, people, draw)
    times = draw.weights[:, draw.codes(people)]

    def kernel(a, b):
        return (a @ b / 4 + 1) ** 3

    for found, weight in zip(samples, times, strict=True):
        top = bottom = 0.0
        for i in range(6):
            for j in range(6):
                if i != j:
                    both = weight[i] * weight[j]
                    top += both * (kernel(x[i], x[j]) + kernel(y[i], y[j]) - 2 * kernel(x[i], y[j]))
                    bottom += both
        assert found == pytest.approx(top / bottom, rel=1e-9)


def test_equal_sets_are_at_nothing_in_every_resample():
    people = np.repeat(np.arange(10), 2)
    x = features(20)
    assert np.array_equal(
        resampled_kernel_distance(x, x.copy(), people, identity_weights(people, 50)), np.zeros(50)
    )


def test_what_cannot_be_compared():
    with pytest.raises(MetricError, match="two images"):
        kernel_distance(features(1), features(5))
    with pytest.raises(InputError, match="one dimension"):
        kernel_distance(features(5), features(5)[:, :3])
    with pytest.raises(InputError, match="one size"):
        kernel_distance(features(5), features(6), paired=True)
