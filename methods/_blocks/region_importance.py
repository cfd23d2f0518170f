"""How much each part of a face tells a recogniser who it is (Li et al., ACM MM 2021, section 3.1).

The recogniser is a matcher, so its classes are the people of DEVELOP, each known by a mean of what it sees in
that person's faces; the class of a face is the nearest of them, as the authors' code takes the predicted one
of its 8,631 people. A map of what speaks for that class is then averaged over each part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.api import AuxiliaryMatcher, Faces, to_tensor

if TYPE_CHECKING:
    from torch import Tensor

Saliency = Literal["gradcam", "cam"]

_BATCH = 128
_EPSILON = 1e-10


def class_means(
    matcher: AuxiliaryMatcher, faces: Faces, kind: Saliency, device: str = "cpu"
) -> NDArray[np.float32]:
    """Mean of each person's faces, people in sorted order: float32 (people, D).

    Of unit embeddings for `gradcam`, of globally averaged last maps for `cam`.
    """
    import torch

    people, rows = np.unique(faces.identities, return_inverse=True)
    sums: Tensor | None = None
    with torch.no_grad():
        for start in range(0, len(faces), _BATCH):
            batch = slice(start, start + _BATCH)
            images = to_tensor(faces.images[batch], device)
            found = matcher(images) if kind == "gradcam" else matcher.maps(images).mean((2, 3))
            if sums is None:
                sums = torch.zeros(len(people), found.shape[1])
            sums.index_add_(0, torch.from_numpy(rows[batch]), found.cpu())
    assert sums is not None
    counts = np.bincount(rows)[:, None]
    return np.asarray(sums.numpy() / counts, np.float32)


def saliency_of(kind: Saliency) -> Callable[[AuxiliaryMatcher, Tensor, Tensor], Tensor]:
    """The function of that kind: `grad_cam` or `cam`."""
    return grad_cam if kind == "gradcam" else cam


def grad_cam(matcher: AuxiliaryMatcher, images: Tensor, means: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of each face's class: (N, h, w) in [0, 1].

    The class score is the cosine to the nearest of `means` (people, D). Its gradient, averaged over each of
    the last maps, weighs that map; what speaks against the class is cut off; each face has its own scale.
    images: float32 (N, 3, S, S) in [0, 1]. Works under `torch.no_grad` too.
    """
    import torch
    from torch.nn.functional import normalize

    with torch.no_grad():
        maps = matcher.maps(images)
    with torch.enable_grad():
        leaves = maps.detach().requires_grad_(True)
        # A sum, as each face's score depends on its own maps alone.
        score = (matcher.embed_maps(leaves) @ normalize(means).T).amax(1).sum()
        (slopes,) = torch.autograd.grad(score, leaves)
    weights = slopes.mean((2, 3), keepdim=True)
    return min_max((weights * maps).sum(1).relu())


def cam(matcher: AuxiliaryMatcher, images: Tensor, means: Tensor) -> Tensor:
    """Class activation maps (Zhou et al., CVPR 2016; eqs. 1-2) of each face's class: (N, h, w) in [0, 1].

    The class has the largest logit of `cam_head`; each face has its own scale. Arguments as in `grad_cam`.
    """
    import torch

    weights, bias = cam_head(means)
    with torch.no_grad():
        maps = matcher.maps(images)
        classes = (maps.mean((2, 3)) @ weights.T + bias).argmax(1)
        return min_max(contributions(maps, weights[classes]))


def cam_head(means: Tensor) -> tuple[Tensor, Tensor]:
    """A linear layer behind the global average of the maps: weights (people, C) and bias (people,).

    CAM needs one, and the matcher has a layer over all cells instead. This one asks for no training: a
    person's logit is how far the averages lie from everybody's mean in the direction of that person's
    `means` (people, C).
    """
    from torch.nn.functional import normalize

    everybody = means.mean(0)
    weights = normalize(means - everybody)
    return weights, -(weights @ everybody)


def contributions(maps: Tensor, weights: Tensor) -> Tensor:
    """Eq. 2: what each cell of `maps` (N, C, h, w) adds to the logit of the class with these weights (N, C).

    (N, h, w); the mean over cells is the logit less its bias (eq. 1).
    """
    return (weights[:, :, None, None] * maps).sum(1)


def part_scores(saliency: Tensor, masks: Tensor) -> Tensor:
    """Mean of the map (N, H, W) in each part's mask (N, P, H, W): (N, P); 0 where a face lacks the part."""
    inside = (masks * saliency[:, None]).sum((2, 3))
    return inside / (masks.sum((2, 3)) + _EPSILON)


def least_important(scores: Tensor, count: int) -> Tensor:
    """True for the `count` parts with the lowest of `scores` (N, P), the first where several are equal."""
    import torch

    order = scores.argsort(dim=1, stable=True)[:, :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, True)


def below_mean(scores: Tensor) -> Tensor:
    """True for the parts that score below the mean of their face, and for the lowest: 1 to P - 1 of P > 1."""
    # Never the highest: the mean of equal scores may be rounded up.
    lower = (scores < scores.mean(1, keepdim=True)) & (scores < scores.amax(1, keepdim=True))
    return lower | (~lower.any(1, keepdim=True) & least_important(scores, 1))


def min_max(maps: Tensor) -> Tensor:
    """Each of (N, h, w) scaled to [0, 1]; all 0 where it is constant."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=_EPSILON)
