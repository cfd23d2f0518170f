"""Inception networks for faces with the parameter names of their published checkpoints; no classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_Size = int | tuple[int, int]


class _Conv(nn.Module):
    """Convolution, batch normalisation with TensorFlow's epsilon, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: _Size, stride: int = 1, padding: _Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv(x)).relu()
        return out


class _Residual(nn.Module):
    """Branches side by side, brought to the input's width by a 1x1 convolution, scaled and added to it."""

    def __init__(self, width: int, branches: Sequence[nn.Module], inner: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.ends = True
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.count = len(branches)
        self.conv2d = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.count)], 1)
        out: Tensor = self.conv2d(inner) * self.scale + x
        return out.relu() if self.ends else out


def _block35() -> _Residual:
    branches = [
        _Conv(256, 32, 1),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1)),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1), _Conv(32, 32, 3, padding=1)),
    ]
    return _Residual(256, branches, 96, 0.17)


def _block17() -> _Residual:
    row, column = _Conv(128, 128, (1, 7), padding=(0, 3)), _Conv(128, 128, (7, 1), padding=(3, 0))
    branches = [_Conv(896, 128, 1), nn.Sequential(_Conv(896, 128, 1), row, column)]
    return _Residual(896, branches, 256, 0.10)


def _block8(scale: float) -> _Residual:
    row, column = _Conv(192, 192, (1, 3), padding=(0, 1)), _Conv(192, 192, (3, 1), padding=(1, 0))
    branches = [_Conv(1792, 192, 1), nn.Sequential(_Conv(1792, 192, 1), row, column)]
    return _Residual(1792, branches, 384, scale)


class _Reduction(nn.Module):
    """Branches that halve the side, side by side with a max pooling."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.count = len(branches)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self.count)]
        return torch.cat([*parts, nn.functional.max_pool2d(x, 3, 2)], 1)


class InceptionResnetV1(nn.Module):
    """Inception-ResNet-v1 (Szegedy et al., AAAI 2017): float32 (N, 3, 160, 160) -> (N, 512), not normalised.

    Names and epsilons of the common PyTorch port of FaceNet's weights (timesler/facenet-pytorch).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = _Conv(3, 32, 3, 2)
        self.conv2d_2a = _Conv(32, 32, 3)
        self.conv2d_2b = _Conv(32, 64, 3, padding=1)
        self.conv2d_3b = _Conv(64, 80, 1)
        self.conv2d_4a = _Conv(80, 192, 3)
        self.conv2d_4b = _Conv(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _Reduction(
            _Conv(256, 384, 3, 2),
            nn.Sequential(_Conv(256, 192, 1), _Conv(192, 192, 3, padding=1), _Conv(192, 256, 3, 2)),
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _Reduction(
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 384, 3, 2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, 2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, padding=1), _Conv(256, 256, 3, 2)),
        )
        self.repeat_3 = nn.Sequential(*(_block8(0.20) for _ in range(5)))
        self.block8 = _block8(1.0)
        self.block8.ends = False
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(nn.functional.max_pool2d(x, 3, 2))))
        x = self.mixed_7a(self.repeat_2(self.mixed_6a(self.repeat_1(x))))
        x = self.block8(self.repeat_3(x)).mean((2, 3))
        embedding: Tensor = self.last_bn(self.last_linear(x))
        return embedding


class _TorchInception(nn.Module):
    """Inception of the Lua library dpnn: 1x1 then k x k branches, a pooled branch, a 1x1 branch.

    kernels, outputs: side and channels of the k x k convolutions. reduce: channels of the 1x1 convolution of
    each branch, the pooled and the plain one last; 0 leaves it out. Maps smaller than the largest are padded
    with zeros all around.
    """

    def __init__(
        self,
        inputs: int,
        kernels: Sequence[int],
        stride: int,
        outputs: Sequence[int],
        reduce: Sequence[int],
        pool: nn.Module,
    ) -> None:
        super().__init__()
        branches = [
            _named(
                ("1_conv", nn.Conv2d(inputs, narrow, 1)),
                ("2_bn", nn.BatchNorm2d(narrow)),
                ("3_relu", nn.ReLU()),
                ("4_conv", nn.Conv2d(narrow, width, kernel, stride, kernel // 2)),
                ("5_bn", nn.BatchNorm2d(width)),
                ("6_relu", nn.ReLU()),
            )
            for kernel, width, narrow in zip(kernels, outputs, reduce, strict=False)
        ]
        pooled, plain = (*reduce[len(kernels) :], 0, 0)[:2]
        branches.append(_named(("1_pool", pool), *(_unit(inputs, pooled, 2) if pooled else ())))
        if plain:
            branches.append(_named(*_unit(inputs, plain, 1)))
        self.seq_list = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.seq_list]
        side = max(m.shape[-1] for m in maps)
        return torch.cat([_centred(m, side) for m in maps], 1)


class OpenFaceNN4Small2(nn.Module):
    """nn4.small2 of OpenFace (Amos et al., CMU-CS-16-118): float32 (N, 3, 96, 96) in [0, 1] -> (N, 128).

    Names of its PyTorch port (thnkim/OpenFacePytorch), whose numbers are the Lua file's. Not normalised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.layer2 = nn.BatchNorm2d(64)
        self.layer6 = nn.Conv2d(64, 64, 1)
        self.layer7 = nn.BatchNorm2d(64)
        self.layer9 = nn.Conv2d(64, 192, 3, 1, 1)
        self.layer10 = nn.BatchNorm2d(192)
        both, large = (3, 5), nn.MaxPool2d(3, 2)
        mean = nn.LPPool2d(2, 3, 3)
        self.layer14 = _TorchInception(192, both, 1, (128, 32), (96, 16, 32, 64), large)
        self.layer15 = _TorchInception(256, both, 1, (128, 64), (96, 32, 64, 64), mean)
        self.layer16 = _TorchInception(320, both, 2, (256, 64), (128, 32), large)
        self.layer17 = _TorchInception(640, both, 1, (192, 64), (96, 32, 128, 256), mean)
        self.layer18 = _TorchInception(640, both, 2, (256, 128), (160, 64), large)
        self.layer19 = _TorchInception(1024, (3,), 1, (384,), (96, 96, 256), mean)
        self.layer21 = _TorchInception(736, (3,), 1, (384,), (96, 96, 256), large)
        self.layer25 = nn.Linear(736, 128)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.layer2(self.layer1(x)).relu(), 3, 2, 1)
        x = self.layer7(self.layer6(_across(x))).relu()
        x = _across(self.layer10(self.layer9(x)).relu())
        x = self.layer17(self.layer16(self.layer15(self.layer14(nn.functional.max_pool2d(x, 3, 2, 1)))))
        x = self.layer21(self.layer19(self.layer18(x))).mean((2, 3))
        embedding: Tensor = self.layer25(x)
        return embedding


def _named(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, layer in layers:
        sequence.add_module(name, layer)
    return sequence


def _unit(inputs: int, outputs: int, first: int) -> list[tuple[str, nn.Module]]:
    """1x1 convolution, normalisation and ReLU, numbered from `first`."""
    return [
        (f"{first}_conv", nn.Conv2d(inputs, outputs, 1)),
        (f"{first + 1}_bn", nn.BatchNorm2d(outputs)),
        (f"{first + 2}_relu", nn.ReLU()),
    ]


def _centred(maps: Tensor, side: int) -> Tensor:
    before = (side - maps.shape[-1]) // 2
    after = side - maps.shape[-1] - before
    return nn.functional.pad(maps, (before, after, before, after))


def _across(x: Tensor) -> Tensor:
    """Response normalisation over five neighbouring channels."""
    return nn.functional.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
