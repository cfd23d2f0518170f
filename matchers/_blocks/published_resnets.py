"""Residual networks for faces with the parameter names of their published checkpoints.

Only what an embedding needs is here: classifiers are left out.
"""

from __future__ import annotations

from torch import Tensor, nn


class _SEBottleneck(nn.Module):
    """1x1 (with the stride), 3x3, 1x1 convolution, squeeze and excitation, shortcut: SE-ResNet of Caffe."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.conv4 = nn.Conv2d(outputs, outputs // 16, 1)
        self.conv5 = nn.Conv2d(outputs // 16, outputs, 1)
        self.downsample = None if stride == 1 and inputs == outputs else _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        out = self.bn3(self.conv3(out))
        gate = self.conv5(self.conv4(out.mean((2, 3), keepdim=True)).relu()).sigmoid()
        kept = x if self.downsample is None else self.downsample(x)
        result: Tensor = (gate * out + kept).relu()
        return result


class SENet50(nn.Module):
    """SE-ResNet-50 (Hu et al., CVPR 2018) in its Caffe form: float32 (N, 3, 224, 224) -> (N, 2048).

    Names of the PyTorch port of VGGFace2's models (cydonia999/VGGFace2-pytorch).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        inputs = 64
        for index, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
            layer = []
            for block in range(blocks):
                layer.append(_SEBottleneck(inputs, width, 2 if index > 1 and block == 0 else 1))
                inputs = 4 * width
            self.add_module(f"layer{index}", nn.Sequential(*layer))

    def forward(self, x: Tensor) -> Tensor:
        out = self.maxpool(self.bn1(self.conv1(x)).relu())
        for index in range(1, 5):
            out = self.get_submodule(f"layer{index}")(out)
        pooled: Tensor = out.mean((2, 3))
        return pooled


class _IRBlock(nn.Module):
    """Norm, convolution, norm, PReLU, convolution (with the stride), norm; shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = None if stride == 1 else _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """Improved ResNet of ArcFace (Deng et al., CVPR 2019): float32 (N, 3, 112, 112) -> (N, 512).

    blocks: of the four stages; (3, 4, 14, 3) is IR-50, (3, 13, 30, 3) IR-100.
    Names of InsightFace's PyTorch backbones.
    """

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for index, (width, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True), start=1):
            layer = []
            for block in range(count):
                layer.append(_IRBlock(inputs, width, 2 if block == 0 else 1))
                inputs = width
            self.add_module(f"layer{index}", nn.Sequential(*layer))
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn1(self.conv1(x)))
        for index in range(1, 5):
            out = self.get_submodule(f"layer{index}")(out)
        embedding: Tensor = self.features(self.fc(self.bn2(out).flatten(1)))
        return embedding


class _SphereBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.prelu1 = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.prelu2 = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.prelu2(self.conv2(self.prelu1(self.conv1(x))))
        return x + out


class Sphere20(nn.Module):
    """The 20-layer network of SphereFace (Liu et al., CVPR 2017): float32 (N, 3, 112, 96) -> (N, 512).

    Names of the PyTorch port of CosFace (MuggleWang/CosFace_pytorch).
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for index, (width, blocks) in enumerate(((64, 1), (128, 2), (256, 4), (512, 1)), start=1):
            down = [nn.Conv2d(inputs, width, 3, 2, 1), nn.PReLU(width)]
            rest = [_SphereBlock(width) for _ in range(blocks)]
            self.add_module(f"layer{index}", nn.Sequential(*down, *rest))
            inputs = width
        self.fc = nn.Linear(512 * 7 * 6, 512)

    def forward(self, x: Tensor) -> Tensor:
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
        embedding: Tensor = self.fc(x.flatten(1))
        return embedding


class VggFace16(nn.Module):
    """VGG-16 up to the second fully connected layer, after its ReLU: float32 (N, 3, 224, 224) -> (N, 4096).

    Names of the PyTorch port of VGG-Face's MatConvNet release (vgg_face_dag).
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        self._stages = []
        for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            names = [f"conv{stage}_{number}" for number in range(1, count + 1)]
            for name in names:
                self.add_module(name, nn.Conv2d(inputs, width, 3, padding=1))
                inputs = width
            self._stages.append(names)
        self.fc6 = nn.Linear(512 * 7 * 7, 4096)
        self.fc7 = nn.Linear(4096, 4096)

    def forward(self, x: Tensor) -> Tensor:
        for names in self._stages:
            for name in names:
                x = self.get_submodule(name)(x).relu()
            x = nn.functional.max_pool2d(x, 2)
        out: Tensor = self.fc7(self.fc6(x.flatten(1)).relu()).relu()
        return out


class CasiaNetEncoder(nn.Module):
    """Encoder of DR-GAN (Tran et al., CVPR 2017), a CASIA-Net with ELU: float32 (N, 3, 96, 96) -> (N, 320).

    Names of the generator in a PyTorch port (kayamin/DR-GAN). Where it halves the side it pads right and
    below only, as TensorFlow does.
    """

    _LAYERS = (
        *((32, 1), (64, 1), (64, 2), (64, 1), (128, 1), (128, 2), (96, 1)),
        *((192, 1), (192, 2), (128, 1), (256, 1), (256, 2), (160, 1), (320, 1)),
    )
    """Channels and stride of the 3x3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, stride in self._LAYERS:
            if stride == 2:
                layers.append(nn.ZeroPad2d((0, 1, 0, 1)))
            layers.append(nn.Conv2d(inputs, width, 3, stride, 1 if stride == 1 else 0, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ELU()]
            inputs = width
        self.G_enc_convLayers = nn.Sequential(*layers, nn.AvgPool2d(6, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.G_enc_convLayers(x).flatten(1)
        return out


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
