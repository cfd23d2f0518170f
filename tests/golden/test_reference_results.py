"""Real faces and real networks against figures that others measured.

Figures: an independent script's on CelebA's test partition (1,741 images, read at 224 px; here at the default
size), and those published with the weights, which were measured on other images of CelebA.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bench import discover
from bench.api import ATTACK, DEVELOP, POOLS, TEST, Context, Faces
from bench.datasets.celeba import CelebA
from bench.metrics.niqe import block_for, fit_niqe
from bench.metrics.privacy import accuracy, auc
from bench.metrics.verification import Comparison, compare, pairs_within
from bench.quality.measures import NIQE as NIQE_FILE
from bench.quality.naturalness import FittedNiqe, Niqe
from bench.quality.perceptual import Lpips
from bench.weights import WeightsFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="set BENCH_DATA to the folder of face packs"),
    pytest.mark.skipif(
        "BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights"
    ),
]


def packs(*names: str) -> list[Path]:
    return [Path(os.environ["BENCH_DATA"]) / name for name in names]


@cache
def context() -> Context:
    return Context(weights=WeightsFolder(Path(os.environ["BENCH_WEIGHTS"])))


@cache
def real_faces() -> Faces:
    return CelebA(packs("celeba_subset")).load(TEST)


# -- data --------------------------------------------------------------------------------------------


def test_the_test_partition() -> None:
    faces = real_faces()
    assert len(faces) == 1741
    assert len(np.unique(faces.identities)) == 230
    assert faces.labels["gender"].sum() == 829


def test_joined_packs_share_nobody_between_pools() -> None:
    dataset = CelebA(packs("celeba_subset", "celeba_more_train"), size=32)
    pools = {pool: dataset.load(pool) for pool in POOLS}
    people = {pool: set(faces.identities.tolist()) for pool, faces in pools.items()}
    assert len(set().union(*people.values())) == sum(len(p) for p in people.values())
    assert len(people[DEVELOP] | people[ATTACK]) == 1860
    assert len(pools[DEVELOP]) + len(pools[ATTACK]) == 11446


# -- matchers ----------------------------------------------------------------------------------------


@cache
def comparison(name: str) -> Comparison:
    matcher = discover.load_class("matcher", name)()
    matcher.prepare(context())
    faces = real_faces()
    return compare(pairs_within(matcher.embed(faces, context()), faces.identities))


@pytest.mark.parametrize(
    ("name", "at_one_percent", "at_one_per_mille"),
    [("mobilefacenet_y1", 0.936, 0.899), ("intel_reid", 0.955, 0.924)],
)
def test_matchers_as_the_reference(name: str, at_one_percent: float, at_one_per_mille: float) -> None:
    found = comparison(name)
    assert found.n_mated == 5863
    assert found.n_non_mated == 1741 * 1740 // 2 - 5863
    assert found.at_fmr(0.01).tmr == pytest.approx(at_one_percent, abs=0.012)
    assert found.at_fmr(0.001).tmr == pytest.approx(at_one_per_mille, abs=0.012)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("mobilefacenet_casia", 0.962),
        ("mobilefacenet_ms1m", 0.958),
        ("mobilefacenet_y1", 0.953),
        ("intel_reid", 0.964),
    ],
)
def test_matchers_as_published_with_the_weights(name: str, published: float) -> None:
    """AUC of 200 mated and 200 non-mated pairs, which leaves it uncertain by .02."""
    assert comparison(name).auc() == pytest.approx(published, abs=0.03)


# -- attackers ---------------------------------------------------------------------------------------


@cache
def scores(name: str) -> dict[str, NDArray[np.float32]]:
    attacker = discover.load_class("attacker", name)()
    attacker.prepare(context())
    found: dict[str, NDArray[np.float32]] = attacker.scores(real_faces(), context())
    return found


@pytest.mark.parametrize(
    ("name", "expected_accuracy", "expected_auc"),
    [
        ("dlib_gender", 0.979, 0.999),
        ("intel_age_gender", 0.978, 0.994),
        ("ssrnet_gender_imdb", 0.976, 0.979),
    ],
)
def test_gender_attackers_as_the_reference(name: str, expected_accuracy: float, expected_auc: float) -> None:
    found, truth = scores(name)["gender"], real_faces().labels["gender"]
    assert accuracy(truth, found.argmax(axis=1)) == pytest.approx(expected_accuracy, abs=0.01)
    assert auc(truth, found[:, 1] - found[:, 0]) == pytest.approx(expected_auc, abs=0.01)


@pytest.mark.parametrize(
    ("name", "attribute", "published_accuracy", "published_auc"),
    [
        ("dlib_gender", "gender", 0.9775, 0.9981),
        ("intel_age_gender", "gender", 0.955, 0.986),
        ("insightface_genderage", "gender", 0.94, 0.9875),
        ("ssrnet_gender_imdb", "gender", 0.9575, 0.955),
        ("ssrnet_gender_wiki", "gender", 0.9513, 0.965),
        ("mini_xception_gender", "gender", 0.935, 0.9867),
        ("mini_xception_emotion", "smiling", 0.878, 0.956),
    ],
)
def test_attackers_as_published_with_the_weights(
    name: str, attribute: str, published_accuracy: float, published_auc: float
) -> None:
    found, truth = scores(name)[attribute], real_faces().labels[attribute]
    assert accuracy(truth, found.argmax(axis=1)) == pytest.approx(published_accuracy, abs=0.03)
    assert auc(truth, found[:, 1] - found[:, 0]) == pytest.approx(published_auc, abs=0.025)


@pytest.mark.parametrize(
    ("name", "published"), [("intel_age_gender", 0.837), ("insightface_genderage", 0.883)]
)
def test_ages_tell_the_young(name: str, published: float) -> None:
    age = scores(name)["age"][:, 0]
    assert 15 < np.median(age) < 60
    assert auc(real_faces().labels["young"], -age) == pytest.approx(published, abs=0.06)


# -- quality -----------------------------------------------------------------------------------------


def test_lpips_as_published() -> None:
    """The docstring examples of torchmetrics, computed there with torchvision's weights on floating images;
    here they are rounded to 8 bits, as whatever is compared is, which moves them by a thousandth."""
    import torch

    weights = context().weights
    assert weights is not None
    lpips = Lpips(weights)
    for pairs, expected in ((2, [0.1024, 0.0938]), (10, [0.1005])):
        torch.manual_seed(42)
        drawn = [torch.rand(pairs, 3, 100, 100) * 2 - 1 for _ in range(2)]
        a, b = (np.rint((t.permute(0, 2, 3, 1).numpy() + 1) * 127.5).astype(np.uint8) for t in drawn)
        found = lpips(np.ascontiguousarray(a), np.ascontiguousarray(b))
        values = found if pairs == 2 else found.mean()[None]
        assert np.allclose(values, expected, atol=1e-4)


def test_niqe_as_pyiqa_on_faces() -> None:
    import torch
    from pyiqa.archs.niqe_arch import NIQE

    weights = context().weights
    assert weights is not None
    faces = CelebA(packs("celeba_subset"), size=224, limit=48).load(TEST).images
    reference = NIQE(pretrained_model_path=str(weights.path(NIQE_FILE)))
    expected = reference(torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255).numpy()
    found = Niqe(weights)(faces)
    assert np.allclose(found, expected, rtol=1e-5)
    assert 3 < found.mean() < 8


def test_a_fitted_niqe_ranks_damage_as_the_released_one_does() -> None:
    """At 224 px both can judge: originals before noise and blur, and alike image by image."""
    import cv2

    weights = context().weights
    assert weights is not None
    dataset = CelebA(packs("celeba_subset"), size=224, limit=200)
    model = fit_niqe(dataset.load(ATTACK).images, block_for(224))
    faces = dataset.load(TEST).images[:40]
    rng = np.random.default_rng(0)
    damaged = {
        "none": faces,
        "noise": np.clip(faces + rng.normal(0, 25, faces.shape), 0, 255).astype(np.uint8),
        "blur": np.stack([cv2.GaussianBlur(f, (0, 0), 3) for f in faces]),
    }
    released, fitted = (
        {name: measure(images) for name, images in damaged.items()}
        for measure in (Niqe(weights), FittedNiqe(model, "attack"))
    )
    for measured in (released, fitted):
        assert measured["none"].mean() < min(measured["noise"].mean(), measured["blur"].mean())
    both = [np.concatenate(list(m.values())) for m in (released, fitted)]
    assert spearmanr(*both).statistic > 0.8
