"""Networks in onnxruntime against themselves in torch, and what cannot be taken there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.quality.exported import Exported


class Branches(nn.Module):
    """Every layer and function that the networks of quality figures are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8, eps=1e-3))
        self.left = nn.Conv2d(8, 6, (1, 7), padding=(0, 3))
        self.right = nn.Conv2d(8, 4, 3, padding=2, dilation=2, groups=2)
        self.shrink = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.pool, self.rest = nn.AdaptiveAvgPool2d((1, 1)), nn.Sequential(nn.Dropout(), nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.first(x), inplace=True)
        wide = functional.avg_pool2d(
            self.left(x), kernel_size=3, stride=1, padding=1, count_include_pad=False
        )
        flat = functional.avg_pool2d(self.right(x), 3, 1, 1)
        both = functional.max_pool2d(torch.cat([wide, flat], 1), 3, stride=1, padding=1)
        return torch.flatten(self.rest(self.pool(self.shrink(both))), 1)


@pytest.fixture
def branches() -> nn.Module:
    torch.manual_seed(0)
    network = Branches().eval()
    for parameter in network.first[1].parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    network.first[1].running_mean.normal_()
    network.first[1].running_var.uniform_(0.5, 2)
    return network


def batch(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_as_torch_at_any_size_and_number(branches: nn.Module, size: tuple[int, int]) -> None:
    exported = Exported(branches)
    for count in (1, 3):
        images = batch(count, *size)
        with torch.no_grad():
            expected = branches(images).numpy()
        (found,) = exported(images.numpy())
        assert found.dtype == np.float32
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert expected.std() > 0.1


def test_images_in_any_memory_layout(branches: nn.Module) -> None:
    exported, images = Exported(branches), batch(2, 32, 32)
    last = images.contiguous(memory_format=torch.channels_last)
    assert np.array_equal(exported(last.numpy())[0], exported(images.numpy())[0])


def test_it_keeps_the_parameters_it_was_made_with(branches: nn.Module) -> None:
    exported, images = Exported(branches), batch(1, 32, 32).numpy()
    before = exported(images)[0]
    nn.init.zeros_(branches.left.weight)
    assert np.array_equal(exported(images)[0], before)


class Added(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.GELU()), "GELU"),
        (Added(), "add"),
        (nn.Sequential(nn.MaxPool2d(3, padding=1, ceil_mode=True)), "pooling"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")), "reflect"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(7)), "AdaptiveAvgPool2d"),
    ],
)
def test_what_cannot_be_taken_over_is_named(network: nn.Module, named: str) -> None:
    with pytest.raises(TypeError, match=f"cannot be exported.*{named}"):
        Exported(network)
