"""The shared networks: sizes printed in the papers, exact algebra, ranges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from methods_tiny import RACE, RACE_OF_TWO
from torch import nn
from torch.nn.functional import interpolate

from bench.api import InputError, Method
from bench.faces import AGE_GROUP, GENDER
from methods._blocks.critic import gradient_penalty, wasserstein_loss
from methods._blocks.networks import Critic, NearestConv, TranslationGenerator, parameter_count
from methods._blocks.san_autoencoder import SanAutoencoder
from methods.baseline_gan import BaselineGan
from methods.privacynet import PrivacyNet

FIVE_CHANNELS = (GENDER, RACE_OF_TWO, AGE_GROUP)


def stargan(labels: int) -> TranslationGenerator:
    return TranslationGenerator(labels, stem=64, down=[128, 256], up=[128, 64], blocks=6, head_kernel=7)


@pytest.mark.parametrize("labels", [0, 3, 5, 12])
def test_stargan_generator_size(labels: int) -> None:
    assert parameter_count(stargan(labels)) == 8_414_848 + 3_136 * labels


@pytest.mark.parametrize(
    ("size", "labels", "count"),
    [(128, 5, 44_762_048), (128, 12, 44_819_392), (224, 5, 44_813_248), (112, 5, 44_731_328)],
)
def test_stargan_critic_size(size: int, labels: int, count: int) -> None:
    assert parameter_count(Critic(size, labels)) == count


@pytest.mark.parametrize(
    ("method", "preset", "count"),
    [
        (PrivacyNet, "paper", 2_076_323),
        (PrivacyNet, "stargan", 8_421_312),
        (BaselineGan, "paper", 8_430_528),
    ],
)
def test_paper_presets_have_the_papers_size(method: type[Method], preset: str, count: int) -> None:
    built = method(FIVE_CHANNELS, preset=preset)
    assert parameter_count(built._new_network(0)) == count  # type: ignore[attr-defined]
    assert built.native_size == 224


def test_san_has_the_papers_size() -> None:
    assert parameter_count(SanAutoencoder()) == 324_248


def test_quick_generators_fit_into_a_megabyte_of_half_floats() -> None:
    quick = PrivacyNet((GENDER, RACE, AGE_GROUP), preset="quick")._new_network(0)
    assert 2 * parameter_count(quick) < 1e6


def test_nearest_conv_is_upsampling_then_convolution() -> None:
    torch.manual_seed(0)
    layer = NearestConv(5, 7, bias=True).double()
    images = torch.randn(2, 5, 6, 9, dtype=torch.float64)
    expected = layer.conv(interpolate(images, scale_factor=2, mode="nearest"))
    assert torch.allclose(layer(images), expected, atol=1e-12)


def test_generator_output_range_and_start() -> None:
    torch.manual_seed(0)
    images, labels = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 4)
    shape: dict[str, Any] = {"stem": 0, "down": [8, 8], "up": [8, 8], "blocks": 1, "head_kernel": 3}
    drawn = TranslationGenerator(4, **shape)(images, labels)
    assert drawn.shape == images.shape
    assert drawn.abs().max() <= 1
    changed = TranslationGenerator(4, **shape, residual=True, norm=False)(images, labels)
    assert 0 < (changed - images).abs().max() < 0.1


def test_generator_refuses_sides_it_cannot_halve() -> None:
    with pytest.raises(InputError, match="divisible by 4, not 18 x 16"):
        stargan(0)(torch.zeros(1, 3, 18, 16), torch.zeros(1, 0))


def test_critic_refuses_images_that_vanish() -> None:
    with pytest.raises(InputError, match="at least 64 px, not 32"):
        Critic(32, 1)


def test_critic_outputs() -> None:
    realness, labels = Critic(32, 5, width=4, depth=3)(torch.zeros(2, 3, 32, 32))
    assert realness.shape == (2, 1, 4, 4)
    assert labels.shape == (2, 5)


def test_gradient_penalty_of_a_linear_critic() -> None:
    weight = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    real, fake = torch.randn(5, 2, 1, 1), torch.randn(5, 2, 1, 1)
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), real, fake, torch.rand(5))
    assert penalty == pytest.approx((5 - 1) ** 2)


def test_gradient_penalty_trains_the_critic() -> None:
    linear = nn.Linear(4, 1)
    real, fake = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    gradient_penalty(nn.Sequential(nn.Flatten(), linear), real, fake, torch.rand(3)).backward()
    assert linear.weight.grad is not None
    assert linear.weight.grad.abs().sum() > 0


def test_wasserstein_loss_falls_when_reals_score_higher() -> None:
    assert wasserstein_loss(torch.tensor([2.0]), torch.tensor([-1.0])) == -3
