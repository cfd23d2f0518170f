"""Generators and embedders on one processor thread beside their plain networks, eager, in fp32, in one run:
`pytest tests/benchmarks/test_generator_speed.py -m benchmark -s`.

The peer is the network layer by layer as its paper prints it: nearest upsampling by itself, batch
normalisation by itself. Ours is the form that methods and matchers are evaluated in, or the fastest path of
`--inference fastest`, with bf16 among them where the processor has it. Times are CPU seconds of this process,
medians of calls that take turns. Goal of generators: >= 2, with bf16 where the processor has it. Only the
outputs are asserted: within a grey level, or 1e-3 of a cosine, of the peer's.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import discover
from bench.components.method import to_tensor
from bench.inference.algebra import evaluated
from bench.inference.fastest import LIMITS
from bench.inference.paths import BF16, FLAT, FP32, WINOGRAD, NothingNew, Prepared, native_bf16, prepare
from bench.inference.work import COSINE, GREY_LEVELS, TensorWork, deviation_of
from bench.throughput.samples import ATTRIBUTES, random_faces
from methods._blocks.networks import NearestConv
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.san_family import PAPER, QUICK, new_network

from .cpu_time import in_turns

pytestmark = pytest.mark.benchmark
ROUNDS, GOAL = 5, 2.0


@dataclass(frozen=True)
class Case:
    """make: the network. side, batch: of the images. unit: of the deviation."""

    name: str
    make: Callable[[], nn.Module]
    side: int
    batch: int
    unit: str = GREY_LEVELS


class _Printed(nn.Module):
    """SAN's layers one by one, upsampled maps and prototype joined at full size."""

    def __init__(self, network: SanAutoencoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, grey: Tensor, same: Tensor, joined: Tensor) -> Tensor:
        maps = self.network.autoencoder(torch.cat([grey, same], 1))
        logits = self.network.protocombiner[0](torch.cat([maps, joined], 1))
        return torch.sigmoid(logits + torch.logit(grey, eps=1e-2) if self.network.residual else logits)


def plain(network: nn.Module) -> nn.Module:
    """The network without any algebra."""
    if isinstance(network, SanAutoencoder):
        return _Printed(network)
    found = copy.deepcopy(network)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, NearestConv):
                setattr(parent, name, nn.Sequential(nn.Upsample(scale_factor=2), child.conv))
    return found


class _Work(TensorWork):
    def __init__(self, network: nn.Module, unit: str) -> None:
        self._network, self.deviation = network, unit

    def run(self, *tensors: Tensor) -> Tensor:
        found: Tensor = evaluated(self._network, "cpu")(*tensors)
        return found

    @property
    def networks(self) -> list[nn.Module]:
        return [self._network]


def gan(name: str, preset: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        method = discover.load_class("method", name)(ATTRIBUTES, preset=preset)
        method.part = method.parts()[0]
        network: nn.Module = method._new_network(0)
        return network

    return make


def trunk(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: discover.load_class("matcher", name)(**options)._trunk()


def published(name: str) -> Callable[[], nn.Module]:
    return lambda: discover.load_class("matcher", name)._build()


GENERATORS = (
    Case("SAN, quick", lambda: new_network({**PAPER, **QUICK}, 0), 64, 32),
    Case("SAN, paper", lambda: new_network(PAPER, 0), 224, 2),
    Case("PrivacyNet and StarGAN, quick", gan("privacynet", "quick"), 64, 16),
    Case("Gender-AN, quick", gan("gender_an", "quick"), 64, 16),
    Case("Gender-AN, paper", gan("gender_an", "paper"), 224, 2),
    Case("PrivacyNet, paper", gan("privacynet", "paper"), 224, 1),
    Case("StarGAN, paper", gan("stargan", "paper"), 224, 1),
)
EMBEDDERS = (
    Case("ArcFace, trained here", trunk("arcface"), 64, 16, COSINE),
    Case("SE-ResNet, trained here", trunk("se_resnet"), 64, 16, COSINE),
    Case("FaceNet", published("facenet_vggface2"), 160, 2, COSINE),
    Case("SENet-50", published("senet50_vggface2"), 224, 1, COSINE),
    Case("ArcFace IR-50", published("arcface_ir50"), 112, 2, COSINE),
    Case("VGG-Face", published("vgg_face"), 224, 1, COSINE),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(case: Case, network: nn.Module) -> tuple[Tensor, ...]:
    images = to_tensor(random_faces(case.batch, case.side, 1).images).contiguous()
    if case.unit == COSINE:
        return (images,)
    if isinstance(network, SanAutoencoder):
        return images[:, :1].contiguous(), images.flip(0), images.flip(-1)
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    labels = first.in_channels - 3 or network.units[0].upsample.in_channels  # type: ignore[index,union-attr]
    if first.in_channels == 3:
        labels -= network.encoder[1][0].out_channels  # type: ignore[index,union-attr]
    return images * 2 - 1, torch.rand(case.batch, int(labels), generator=torch.Generator().manual_seed(0))


def trained(network: nn.Module) -> nn.Module:
    """With statistics and a last layer as training leaves them: outputs that vary with every layer."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        held = dict(module.named_buffers(recurse=False))
        if isinstance(held.get("running_mean"), Tensor):
            count = len(held["running_mean"])
            held["running_mean"].copy_(torch.randn(count, generator=generator))
            held["running_var"].copy_(torch.rand(count, generator=generator) + 1)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 4 and weight.std() < 2e-3:  # a residual network starts as its input
                weight.mul_(100)
    return network.eval().requires_grad_(False)


def seconds(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """CPU seconds of each, median; after one call that does not count."""
    for call in calls:
        call()
    return list(in_turns({str(n): call for n, call in enumerate(calls)}, ROUNDS).values())


@pytest.mark.parametrize("case", [*GENERATORS, *EMBEDDERS], ids=lambda case: case.name)
def test_evaluation_beside_the_plain_network(case: Case, benchmark: Any, compare: Any) -> None:
    torch.manual_seed(0)
    network = trained(case.make())
    tensors, peer, own = inputs(case, network), plain(network), evaluated(network, "cpu")
    ways: dict[str, Callable[[], Tensor]] = {"exact": lambda: own(*tensors)}
    with torch.no_grad():
        ways |= {name: partial(way.function, *way.tensors) for name, way in prepared(case, network, tensors)}
        theirs, *ours = seconds([lambda: peer(*tensors), *ways.values()])
        benchmark.pedantic(ways["exact"], rounds=2)
        wanted = peer(*tensors)
        found = {name: call().float() for name, call in ways.items()}
    # A generator's images reach from -1 to 1, twice as far as images do; SAN's from 0 to 1.
    scale = 0.5 if case.unit == GREY_LEVELS and not isinstance(network, SanAutoencoder) else 1.0
    deviations = {name: scale * deviation_of(f, wanted, case.unit) for name, f in found.items()}
    assert deviations["exact"] < (1e-2 if case.unit == GREY_LEVELS else 1e-5)
    assert max(deviations.values()) <= LIMITS[case.unit]
    ratios = {name: theirs / taken for name, taken in zip(ways, ours, strict=True)}
    best = max(ratios, key=lambda name: ratios[name])
    benchmark.extra_info.update(ratios=ratios, deviations=deviations)
    told = ", ".join(f"{name} {ratios[name]:.2f}x, {deviations[name]:.1g} off" for name in ways)
    lacking = "" if native_bf16("cpu") else "; this processor has no bf16"
    note = f"{case.side} px, batch {case.batch}; {told} ({case.unit}){lacking}"
    goal = GOAL if case in GENERATORS else None
    compare(f"{case.name}, 1 thread", "the plain network, eager fp32", ratios[best], goal, note)


def prepared(case: Case, network: nn.Module, tensors: tuple[Tensor, ...]) -> Iterator[tuple[str, Prepared]]:
    """The paths beside exact evaluation that there are for the network on this processor."""
    work = _Work(network, case.unit)
    for path, precision in ((WINOGRAD, FP32), *([(FLAT, BF16)] if native_bf16("cpu") else [])):
        with contextlib.suppress(NothingNew):
            yield f"{path} {precision}", prepare(work, path, precision, tensors, "default")
