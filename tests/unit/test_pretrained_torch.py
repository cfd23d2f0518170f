"""Published networks whose weights users convert themselves: names, shapes, pixels, and what is refused.

The names and shapes are written out from the public code of each port; all numbers are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from bench import discover
from bench.components.base import Context
from bench.errors import InputError, Unavailable
from bench.faces import Faces
from bench.foreign import Pretrained
from bench.geometry import CELEBA_LANDMARKS
from bench.pretrained_torch import TorchMatcher
from bench.weights import WeightsFolder
from bench.weights_command import add
from bench.weights_format import Tensor as Header

Shapes = dict[str, tuple[int, ...]]


# -- the published listings --------------------------------------------------------------------------------


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.{k}": (width,) for k in ("weight", "bias", "running_mean", "running_var")}


def conv(name: str, outputs: int, inputs: int, *kernel: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, *kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def merged(parts: Iterable[Shapes]) -> Shapes:
    return {name: shape for part in parts for name, shape in part.items()}


def senet50() -> Shapes:
    """models/senet.py of cydonia999/VGGFace2-pytorch: conv4 and conv5 are the squeeze and the excitation."""

    def block(at: str, inputs: int, width: int, squeezed: int, first: bool) -> Shapes:
        four = 4 * width
        return merged(
            [
                *(conv(f"{at}.conv1", width, inputs, 1, 1, bias=False), norm(f"{at}.bn1", width)),
                *(conv(f"{at}.conv2", width, width, 3, 3, bias=False), norm(f"{at}.bn2", width)),
                *(conv(f"{at}.conv3", four, width, 1, 1, bias=False), norm(f"{at}.bn3", four)),
                *(conv(f"{at}.conv4", squeezed, four, 1, 1), conv(f"{at}.conv5", four, squeezed, 1, 1)),
                conv(f"{at}.downsample.0", four, inputs, 1, 1, bias=False) if first else {},
                norm(f"{at}.downsample.1", four) if first else {},
            ]
        )

    layers = [(1, 3, 64, 64, 16), (2, 4, 256, 128, 32), (3, 6, 512, 256, 64), (4, 3, 1024, 512, 128)]
    return merged(
        [
            *(conv("conv1", 64, 3, 7, 7, bias=False), norm("bn1", 64)),
            *(
                block(f"layer{n}.{b}", inputs if b == 0 else 4 * width, width, squeezed, b == 0)
                for n, blocks, inputs, width, squeezed in layers
                for b in range(blocks)
            ),
        ]
    )


def iresnet(*blocks: int) -> Shapes:
    """recognition/arcface_torch/backbones/iresnet.py of deepinsight/insightface."""

    def block(at: str, inputs: int, width: int, first: bool) -> Shapes:
        return merged(
            [
                norm(f"{at}.bn1", inputs),
                *(conv(f"{at}.conv1", width, inputs, 3, 3, bias=False), norm(f"{at}.bn2", width)),
                {f"{at}.prelu.weight": (width,)},
                *(conv(f"{at}.conv2", width, width, 3, 3, bias=False), norm(f"{at}.bn3", width)),
                conv(f"{at}.downsample.0", width, inputs, 1, 1, bias=False) if first else {},
                norm(f"{at}.downsample.1", width) if first else {},
            ]
        )

    widths = [(1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)]
    return merged(
        [
            *(conv("conv1", 64, 3, 3, 3, bias=False), norm("bn1", 64), {"prelu.weight": (64,)}),
            *(
                block(f"layer{n}.{b}", inputs if b == 0 else width, width, b == 0)
                for (n, inputs, width), count in zip(widths, blocks, strict=True)
                for b in range(count)
            ),
            *(norm("bn2", 512), conv("fc", 512, 25088), norm("features", 512)),
        ]
    )


def sphere20() -> Shapes:
    """net.py of MuggleWang/CosFace_pytorch: a layer is a convolution, a PReLU, then 1, 2, 4 or 1 blocks."""
    return merged(
        [
            *(
                part
                for n, inputs, width, blocks in [
                    (1, 3, 64, 1),
                    (2, 64, 128, 2),
                    (3, 128, 256, 4),
                    (4, 256, 512, 1),
                ]
                for part in [
                    conv(f"layer{n}.0", width, inputs, 3, 3),
                    {f"layer{n}.1.weight": (width,)},
                    *(
                        {
                            f"layer{n}.{b}.conv{k}.weight": (width, width, 3, 3),
                            f"layer{n}.{b}.prelu{k}.weight": (width,),
                        }
                        for b in range(2, 2 + blocks)
                        for k in (1, 2)
                    ),
                ]
            ),
            conv("fc", 512, 21504),
        ]
    )


def vgg_face() -> Shapes:
    """vgg_face_dag.py, the port of the MatConvNet release."""
    channels = dict(
        [
            *(("1_1", (64, 3)), ("1_2", (64, 64)), ("2_1", (128, 64)), ("2_2", (128, 128))),
            *(("3_1", (256, 128)), ("3_2", (256, 256)), ("3_3", (256, 256))),
            *(("4_1", (512, 256)), ("4_2", (512, 512)), ("4_3", (512, 512))),
            *(("5_1", (512, 512)), ("5_2", (512, 512)), ("5_3", (512, 512))),
        ]
    )
    convolutions = [conv(f"conv{n}", o, i, 3, 3) for n, (o, i) in channels.items()]
    return merged([*convolutions, conv("fc6", 4096, 25088), conv("fc7", 4096, 4096)])


def facenet() -> Shapes:
    """models/inception_resnet_v1.py of timesler/facenet-pytorch."""

    def unit(at: str, outputs: int, inputs: int, *kernel: int) -> Shapes:
        return conv(f"{at}.conv", outputs, inputs, *kernel, bias=False) | norm(f"{at}.bn", outputs)

    def block35(at: str) -> Shapes:
        return merged(
            [
                unit(f"{at}.branch0", 32, 256, 1, 1),
                *(unit(f"{at}.branch1.0", 32, 256, 1, 1), unit(f"{at}.branch1.1", 32, 32, 3, 3)),
                *(unit(f"{at}.branch2.0", 32, 256, 1, 1), unit(f"{at}.branch2.1", 32, 32, 3, 3)),
                *(unit(f"{at}.branch2.2", 32, 32, 3, 3), conv(f"{at}.conv2d", 256, 96, 1, 1)),
            ]
        )

    def cross(at: str, width: int, narrow: int, length: int) -> Shapes:
        return merged(
            [
                *(unit(f"{at}.branch0", narrow, width, 1, 1), unit(f"{at}.branch1.0", narrow, width, 1, 1)),
                unit(f"{at}.branch1.1", narrow, narrow, 1, length),
                unit(f"{at}.branch1.2", narrow, narrow, length, 1),
                conv(f"{at}.conv2d", width, 2 * narrow, 1, 1),
            ]
        )

    return merged(
        [
            *(
                unit("conv2d_1a", 32, 3, 3, 3),
                unit("conv2d_2a", 32, 32, 3, 3),
                unit("conv2d_2b", 64, 32, 3, 3),
            ),
            *(unit("conv2d_3b", 80, 64, 1, 1), unit("conv2d_4a", 192, 80, 3, 3)),
            unit("conv2d_4b", 256, 192, 3, 3),
            *(block35(f"repeat_1.{n}") for n in range(5)),
            *(unit("mixed_6a.branch0", 384, 256, 3, 3), unit("mixed_6a.branch1.0", 192, 256, 1, 1)),
            *(unit("mixed_6a.branch1.1", 192, 192, 3, 3), unit("mixed_6a.branch1.2", 256, 192, 3, 3)),
            *(cross(f"repeat_2.{n}", 896, 128, 7) for n in range(10)),
            *(unit("mixed_7a.branch0.0", 256, 896, 1, 1), unit("mixed_7a.branch0.1", 384, 256, 3, 3)),
            *(unit("mixed_7a.branch1.0", 256, 896, 1, 1), unit("mixed_7a.branch1.1", 256, 256, 3, 3)),
            *(unit("mixed_7a.branch2.0", 256, 896, 1, 1), unit("mixed_7a.branch2.1", 256, 256, 3, 3)),
            unit("mixed_7a.branch2.2", 256, 256, 3, 3),
            *(cross(f"repeat_3.{n}", 1792, 192, 3) for n in range(5)),
            cross("block8", 1792, 192, 3),
            *({"last_linear.weight": (512, 1792)}, norm("last_bn", 512)),
        ]
    )


def openface() -> Shapes:
    """loadOpenFace.py of thnkim/OpenFacePytorch, the port of nn4.small2.v1.t7."""

    def wide(at: str, inputs: int, narrow: int, outputs: int, kernel: int) -> Shapes:
        return merged(
            [
                *(conv(f"{at}.1_conv", narrow, inputs, 1, 1), norm(f"{at}.2_bn", narrow)),
                *(conv(f"{at}.4_conv", outputs, narrow, kernel, kernel), norm(f"{at}.5_bn", outputs)),
            ]
        )

    def pooled(at: str, inputs: int, outputs: int) -> Shapes:
        return conv(f"{at}.2_conv", outputs, inputs, 1, 1) | norm(f"{at}.3_bn", outputs)

    def plain(at: str, inputs: int, outputs: int) -> Shapes:
        return conv(f"{at}.1_conv", outputs, inputs, 1, 1) | norm(f"{at}.2_bn", outputs)

    a, b, c, d, e, f, g = (f"layer{n}.seq_list" for n in (14, 15, 16, 17, 18, 19, 21))
    return merged(
        [
            *(
                conv("layer1", 64, 3, 7, 7),
                norm("layer2", 64),
                conv("layer6", 64, 64, 1, 1),
                norm("layer7", 64),
            ),
            *(conv("layer9", 192, 64, 3, 3), norm("layer10", 192)),
            *(wide(f"{a}.0", 192, 96, 128, 3), wide(f"{a}.1", 192, 16, 32, 5)),
            *(pooled(f"{a}.2", 192, 32), plain(f"{a}.3", 192, 64)),
            *(wide(f"{b}.0", 256, 96, 128, 3), wide(f"{b}.1", 256, 32, 64, 5)),
            *(pooled(f"{b}.2", 256, 64), plain(f"{b}.3", 256, 64)),
            *(wide(f"{c}.0", 320, 128, 256, 3), wide(f"{c}.1", 320, 32, 64, 5)),
            *(wide(f"{d}.0", 640, 96, 192, 3), wide(f"{d}.1", 640, 32, 64, 5)),
            *(pooled(f"{d}.2", 640, 128), plain(f"{d}.3", 640, 256)),
            *(wide(f"{e}.0", 640, 160, 256, 3), wide(f"{e}.1", 640, 64, 128, 5)),
            *(wide(f"{f}.0", 1024, 96, 384, 3), pooled(f"{f}.1", 1024, 96), plain(f"{f}.2", 1024, 256)),
            *(wide(f"{g}.0", 736, 96, 384, 3), pooled(f"{g}.1", 736, 96), plain(f"{g}.2", 736, 256)),
            conv("layer25", 128, 736),
        ]
    )


def dr_gan() -> Shapes:
    """model/single_DR_GAN_model.py of kayamin/DR-GAN, class Generator: place in the list, channels."""
    places = [
        *((0, 32, 3), (3, 64, 32), (7, 64, 64), (10, 64, 64), (13, 128, 64), (17, 128, 128), (20, 96, 128)),
        *((23, 192, 96), (27, 192, 192), (30, 128, 192), (33, 256, 128), (37, 256, 256), (40, 160, 256)),
        (43, 320, 160),
    ]
    at = "G_enc_convLayers"
    return merged(
        part
        for n, outputs, inputs in places
        for part in (conv(f"{at}.{n}", outputs, inputs, 3, 3, bias=False), norm(f"{at}.{n + 1}", outputs))
    )


LISTED: dict[str, Callable[[], Shapes]] = {
    "senet50_vggface2": senet50,
    "vgg_face": vgg_face,
    "arcface_ir50": lambda: iresnet(3, 4, 14, 3),
    "arcface_ir100": lambda: iresnet(3, 13, 30, 3),
    "cosface_sphere20": sphere20,
    "facenet_vggface2": facenet,
    "openface_nn4_small2": openface,
    "dr_gan": dr_gan,
}


def matcher_class(name: str) -> type[TorchMatcher]:
    found: type[TorchMatcher] = discover.load_class("matcher", name)
    return found


def test_every_network_that_users_convert_is_tested() -> None:
    listed = {
        n
        for n, c in discover.components("matcher").items()
        if c.metadata.get("pretrained", {}).get("sha256") == ""
    }
    assert listed == set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    assert matcher_class(name).tensors() == LISTED[name]()


@pytest.mark.parametrize(
    ("name", "parameters", "beside"),
    [
        ("senet50_vggface2", 28_088_024 - 2048 * 1000 - 1000, "legacy_seresnet50 of timm without classifier"),
        ("vgg_face", 145_002_878 - 4096 * 2622 - 2622, "the release without fc8"),
        ("facenet_vggface2", 27_910_327 - 512 * 8631 - 8631, "the port's, without logits"),
        ("openface_nn4_small2", 3_733_968, "stated in nn4.small2.def.lua"),
    ],
)
def test_parameters_are_as_many_as_published(name: str, parameters: int, beside: str) -> None:
    with torch.device("meta"):
        network = matcher_class(name)._build()
    assert sum(p.numel() for p in network.parameters()) == parameters, beside


@pytest.mark.parametrize(
    ("name", "millions", "tolerance"),
    [
        ("arcface_ir50", 43.59, 0.005),
        # Intel's model zoo, of the MXNet original, where some normalisations are folded away
        ("arcface_ir100", 65.132, 0.05),
    ],
)
def test_sizes_that_are_published_rounded(name: str, millions: float, tolerance: float) -> None:
    with torch.device("meta"):
        network = matcher_class(name)._build()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=tolerance)


SIDES = {
    # height, width, length of the embedding
    "senet50_vggface2": (224, 224, 2048),
    "vgg_face": (224, 224, 4096),
    "arcface_ir50": (112, 112, 512),
    "arcface_ir100": (112, 112, 512),
    "cosface_sphere20": (112, 96, 512),
    "facenet_vggface2": (160, 160, 512),
    "openface_nn4_small2": (96, 96, 128),
    "dr_gan": (96, 96, 320),
}


@pytest.mark.parametrize("name", LISTED)
def test_from_the_aligned_face_to_the_embedding(name: str) -> None:
    height, width, length = SIDES[name]
    class_ = matcher_class(name)
    assert (class_.alignment.height, class_.alignment.width) == (height, width)
    with torch.device("meta"):
        network = class_._build().eval()
        assert network(torch.empty(2, 3, height, width)).shape == (2, length)


# -- against libraries that have the same network ----------------------------------------------------------


def randomised(network: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Numbers for all parameters and running figures that neither explode nor vanish."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        values = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            values = values.abs() + 0.5
        elif tensor.ndim == 1:
            values = 0.1 * values + (0.5 if name.endswith("weight") else 0.0)
        else:
            values *= (2 / tensor[0].numel()) ** 0.5
        state[name] = values
    return state


def filled(network: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    counters = {k: torch.tensor(0) for k in network.state_dict() if k.endswith("num_batches_tracked")}
    network.load_state_dict({**state, **counters}, assign=True)
    return network.eval().requires_grad_(False)


@pytest.mark.slow
def test_senet50_equals_timm() -> None:
    timm = pytest.importorskip("timm", reason="timm has the same network")
    from matchers._blocks.published_resnets import SENet50

    ours = SENet50()
    state = randomised(ours)
    theirs = timm.create_model("legacy_seresnet50", pretrained=False, num_classes=0)
    renamed = {
        (f"layer0.{k}" if k.startswith(("conv1.", "bn1.")) else k)
        .replace(".conv4.", ".se_module.fc1.")
        .replace(".conv5.", ".se_module.fc2."): v
        for k, v in state.items()
    }
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 60
    with torch.inference_mode():
        found, expected = filled(ours, state)(pixels), filled(theirs, renamed)(pixels)
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.slow
def test_vgg_face_equals_torchvision() -> None:
    """torchvision's VGG-16 has the same layers, its classifier's first two being fc6 and fc7."""
    from torchvision.models import vgg16

    from matchers._blocks.published_resnets import VggFace16

    with torch.device("meta"):
        ours, theirs = VggFace16(), vgg16()
    state = randomised(ours)
    convolutions = [k[: -len(".weight")] for k in state if k.startswith("conv") and k.endswith(".weight")]
    places = [i for i, layer in enumerate(theirs.features) if isinstance(layer, nn.Conv2d)]
    names = dict(zip(convolutions, (f"features.{i}" for i in places), strict=True))
    names |= {"fc6": "classifier.0", "fc7": "classifier.3"}
    theirs.classifier = theirs.classifier[:5]
    renamed = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()}
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, expected = filled(ours, state)(pixels), filled(theirs, renamed)(pixels)
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("at", "width", "scale"),
    [("repeat_1.4", 256, 0.17), ("repeat_2.9", 896, 0.10), ("repeat_3.0", 1792, 0.20), ("block8", 1792, 1.0)],
)
def test_residuals_of_facenet_are_scaled_as_in_the_port(at: str, width: int, scale: float) -> None:
    """A residual of ones alone: what is added is the scale; the last block has no ReLU after it."""
    from matchers._blocks.published_inceptions import InceptionResnetV1

    with torch.device("meta"):
        network = InceptionResnetV1()
    block = network.get_submodule(at).to_empty(device="cpu").eval()
    state = {k: torch.zeros_like(v) for k, v in block.state_dict().items()}
    block.load_state_dict(state | {"conv2d.bias": torch.ones(width)})
    x = torch.linspace(-3, 3, width)[None, :, None, None].expand(1, -1, 5, 5)
    expected = x + scale
    assert torch.allclose(block(x), expected if at == "block8" else expected.relu(), atol=1e-6)


def test_pooled_branches_of_openface() -> None:
    """Root of the sum of squares over 3x3, and maps that are smaller than the others in their middle."""
    from matchers._blocks.published_inceptions import OpenFaceNN4Small2, _centred

    with torch.device("meta"):
        network = OpenFaceNN4Small2()
    pool: nn.Module = network.layer15.seq_list[2].get_submodule("1_pool")
    x = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    corner = (x[..., :3, :3] ** 2).sum() ** 0.5
    assert torch.allclose(pool(x)[0, 0, 0, 0], corner)
    assert pool(x).shape == (1, 1, 4, 4)
    padded = _centred(torch.ones(1, 1, 5, 5), 12)[0, 0]
    assert padded.shape == (12, 12)
    assert torch.equal(padded.nonzero()[[0, -1]], torch.tensor([[3, 3], [7, 7]]))


def test_openface_normalises_across_five_channels() -> None:
    """As Lua's SpatialCrossMapLRN(5, 1e-4, .75), by its definition; torch's CrossMapLRN2d never lets go of
    the first channel."""
    from matchers._blocks.published_inceptions import _across

    x = 30 * torch.rand(2, 12, 5, 5, generator=torch.Generator().manual_seed(0))
    squares = [(x[:, max(0, c - 2) : c + 3] ** 2).sum(1) for c in range(12)]
    expected = x / (1 + 1e-4 / 5 * torch.stack(squares, 1)) ** 0.75
    assert torch.allclose(_across(x), expected, rtol=1e-5)


# -- what reaches the network --------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Hands its input back as the embedding."""

    def forward(self, pixels: Tensor) -> Tensor:
        self.given = pixels
        return pixels.flatten(1)


def canonical(images: NDArray[np.uint8]) -> Faces:
    """178 px faces where CelebA's lie."""
    landmarks = np.array(CELEBA_LANDMARKS) - (0, 20)
    return Faces(
        images=images,
        identities=np.arange(len(images)),
        keys=np.array([str(i) for i in range(len(images))]),
        landmarks=np.tile(landmarks, (len(images), 1, 1)).astype(np.float32),
    )


def given(name: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network gets: (N, 3, H, W)."""
    matcher = matcher_class(name)()
    recorder = Recorder()
    matcher._network = recorder
    matcher.embed(canonical(images), Context())
    pixels: NDArray[np.float32] = recorder.given.numpy()
    return pixels


COLOUR = np.array([200, 60, 10], np.uint8)
"""Red, green, blue."""
PIXELS = {
    "senet50_vggface2": [10 - 91.4953, 60 - 103.8827, 200 - 131.0912],
    "vgg_face": [200 - 129.1863, 60 - 104.7624, 10 - 93.5940],
    "arcface_ir50": [72.5 / 127.5, -67.5 / 127.5, -117.5 / 127.5],
    "arcface_ir100": [72.5 / 127.5, -67.5 / 127.5, -117.5 / 127.5],
    "cosface_sphere20": [72.5 / 127.5, -67.5 / 127.5, -117.5 / 127.5],
    "facenet_vggface2": [72.5 / 128, -67.5 / 128, -117.5 / 128],
    "openface_nn4_small2": [200 / 255, 60 / 255, 10 / 255],
    "dr_gan": [-117.5 / 127.5, -67.5 / 127.5, 72.5 / 127.5],
}


@pytest.mark.parametrize("name", LISTED)
def test_colour_order_mean_and_scale(name: str) -> None:
    found = given(name, np.broadcast_to(COLOUR, (2, 178, 178, 3)).copy())
    assert found.shape == (2, 3, *SIDES[name][:2])
    assert found.dtype == np.float32
    for channel, value in enumerate(PIXELS[name]):
        assert np.allclose(found[:, channel], value, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("senet50_vggface2", (41.4, 77.0, 136.4, 172.0)),
        ("vgg_face", (41.4, 77.0, 136.4, 172.0)),
        ("facenet_vggface2", (32.7, 50.7, 145.2, 198.4)),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_loose_crops(name: str, box: tuple[float, float, float, float], axis: int) -> None:
    """A ramp along one axis shows where each pixel comes from; the image is CelebA's rows 20 to 197."""
    ramp = np.indices((178, 178))[1 - axis].astype(np.uint8)
    found = given(name, np.repeat(ramp[None, ..., None], 3, axis=3))[0, 1]
    low, high = (given(name, np.full((1, 178, 178, 3), v, np.uint8))[0, 1, 0, 0] for v in (0, 100))
    line = (found[found.shape[0] // 2] if axis == 0 else found[:, found.shape[1] // 2]) - low
    line = line / (high - low) * 100
    start, stop = (box[0], box[2]) if axis == 0 else (box[1] - 20, box[3] - 20)
    centres = start + (np.arange(len(line)) + 0.5) * (stop - start) / len(line) - 0.5
    assert np.abs(line - np.clip(centres, 0, 177)).max() <= 2


@pytest.mark.parametrize(
    ("name", "eyes"),
    [
        ("arcface_ir50", [(38.2946, 51.6963), (73.5318, 51.5014)]),
        ("cosface_sphere20", [(30.2946, 51.6963), (65.5318, 51.5014)]),
        ("openface_nn4_small2", [(26.63, 16.06), (67.79, 15.26)]),
        # ArcFace's template in a face of 100 px, of which 2 px are cut off on either side
        ("dr_gan", [(38.2946 / 1.12 - 2, 51.6963 / 1.12 - 2), (73.5318 / 1.12 - 2, 51.5014 / 1.12 - 2)]),
    ],
)
def test_templates(name: str, eyes: list[tuple[float, float]]) -> None:
    """Dots on the eyes arrive at the template's, but for what five points leave to a least-squares fit."""
    image = np.zeros((178, 178, 3), np.uint8)
    for x, y in np.array(CELEBA_LANDMARKS[:2]) - (0, 20):
        image[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    found = given(name, image[None])[0, 0]
    bright = found > (found.min() + found.max()) / 2
    middle = found.shape[1] // 2
    for half, first, (x, y) in ((bright[:, :middle], 0, eyes[0]), (bright[:, middle:], middle, eyes[1])):
        rows, columns = np.nonzero(half)
        assert abs(columns.mean() + first - x) < 2.5
        assert abs(rows.mean() - y) < 2.5


# -- from a user's file to embeddings ------------------------------------------------------------------------


@cache
def made_up(name: str) -> dict[str, NDArray[np.float32]]:
    with torch.device("meta"):
        network = matcher_class(name)._build()
    return {k: v.numpy() for k, v in randomised(network).items()}


def checkpoint(path: Path, arrays: dict[str, Any]) -> Path:
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, str(path))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "openface_nn4_small2",
        "dr_gan",
        pytest.param("facenet_vggface2", marks=pytest.mark.slow),
        pytest.param("cosface_sphere20", marks=pytest.mark.slow),
        pytest.param("senet50_vggface2", marks=pytest.mark.slow),
    ],
)
def test_an_added_file_embeds_whatever_the_batch(name: str, tmp_path: Path) -> None:
    extra = {f"{k}weight": np.zeros((2, 2), np.float32) for k in matcher_class(name).unused}
    counters = {"some.bn.num_batches_tracked": np.array(7, np.int64)}
    arrays = {**made_up(name), **extra, **counters}
    (tmp_path / "folder").mkdir()
    add(name, checkpoint(tmp_path / "mine.safetensors", arrays), tmp_path / "folder")
    ctx = Context(weights=WeightsFolder(tmp_path / "folder"))
    matcher = matcher_class(name)()
    matcher.prepare(ctx)
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    images = coarse.repeat(30, axis=1).repeat(30, axis=2)[:, :178, :178]
    whole = matcher.embed(canonical(images), ctx)
    assert whole.shape == (5, SIDES[name][2])
    assert np.abs(whole - matcher.embed(canonical(images), ctx, batch=1)).max() < 1e-5
    direct = filled(matcher_class(name)._build(), {k: torch.from_numpy(v) for k, v in made_up(name).items()})
    expected = direct(torch.from_numpy(given(name, images))).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(whole - expected).max() < 1e-5
    assert np.abs(whole[0] - whole[1]).max() > 1e-4


def test_no_faces_give_no_embeddings(tmp_path: Path) -> None:
    add("dr_gan", checkpoint(tmp_path / "mine.safetensors", made_up("dr_gan")), tmp_path)
    matcher = matcher_class("dr_gan")()
    nobody = canonical(np.zeros((0, 178, 178, 3), np.uint8))
    assert matcher._embed(nobody, Context(weights=WeightsFolder(tmp_path))).shape == (0, 320)


FIRST = "G_enc_convLayers.0.weight"


def without_first(arrays: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arrays.items() if k != FIRST}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without_first, rf"{FIRST} \(32, 3, 3, 3\) is missing"),
        (lambda a: a | {FIRST: a[FIRST][:, :1]}, rf"{FIRST} is \(32, 1, 3, 3\), expected \(32, 3, 3, 3\)"),
        (lambda a: a | {FIRST: a[FIRST].astype(np.float16)}, f"{FIRST} is F16, expected F32"),
        (lambda a: a | {"extra.weight": np.zeros(3, np.float32)}, r"extra.weight \(3,\) is unknown"),
        (lambda a: {f"module.{k}": v for k, v in a.items()}, r"is missing; .* and 135 more"),
    ],
)
def test_another_architecture_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], what: str, tmp_path: Path
) -> None:
    file = checkpoint(tmp_path / "mine.safetensors", change(made_up("dr_gan")))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"not the weights of dr_gan.*{what}"):
        add("dr_gan", file, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_deeper_network_is_not_taken_for_its_beginning() -> None:
    """IR-100 has all the names of IR-50 with the same shapes, and more."""
    deeper = {k: Header("F32", s) for k, s in LISTED["arcface_ir100"]().items()}
    with pytest.raises(InputError, match=r"layer2.4.bn1.weight \(128,\) is unknown"):
        matcher_class("arcface_ir50").check(deeper)


def test_a_file_that_was_pinned_by_hand_is_checked_as_well(tmp_path: Path) -> None:
    from bench.weights import sha256_of_file

    path = checkpoint(tmp_path / "dr_gan.safetensors", without_first(made_up("dr_gan")))
    WeightsFolder(tmp_path).pin(path.name, sha256_of_file(path))
    with pytest.raises(Unavailable, match=f"{FIRST}.* is missing.*weights add dr_gan FILE"):
        matcher_class("dr_gan")().prepare(Context(weights=WeightsFolder(tmp_path)))


@pytest.mark.parametrize("name", LISTED)
def test_without_the_file_there_is_a_remedy(name: str, tmp_path: Path) -> None:
    matcher = matcher_class(name)()
    pretrained = matcher_class(name).pretrained
    assert isinstance(pretrained, Pretrained)
    with pytest.raises(Unavailable) as caught:
        matcher.prepare(Context())
    assert "--weights" in caught.value.remedy
    with pytest.raises(Unavailable) as caught:
        matcher.prepare(Context(weights=WeightsFolder(tmp_path)))
    assert pretrained.source in caught.value.remedy
    assert f"weights add {name} FILE" in caught.value.remedy
