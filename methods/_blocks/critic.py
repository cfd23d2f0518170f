"""The Wasserstein critic's side of adversarial training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean of (||d critic / d x|| - 1)^2 between real and fake images (Gulrajani et al., NeurIPS 2017).

    critic: images (N, C, H, W) -> scores of any shape, summed per sample. mix: uniform [0, 1) (N,), the share
    of the real image in x.
    """
    share = mix[:, None, None, None]
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    scores = critic(between)
    (slope,) = torch.autograd.grad(scores, between, torch.ones_like(scores), create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: mean score of fakes minus mean score of reals."""
    return fake.float().mean() - real.float().mean()
