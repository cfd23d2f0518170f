"""Networks as they are evaluated compute what they were trained to, to rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from bench import discover
from bench.inference.algebra import evaluated, folded, forget, form, made_of
from bench.inference.winograd import WinogradConv, with_winograd
from bench.training.optimisers import adam
from matchers._blocks.published_resnets import CasiaNetEncoder, IResNet, SENet50
from methods._blocks.networks import NearestConv, TranslationGenerator
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.stu import StganGenerator


def _lived_in(network: nn.Module) -> nn.Module:
    """With weights and statistics such as training leaves, and not as they were made."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        statistics = dict(module.named_buffers(recurse=False))
        if "running_mean" in statistics and statistics["running_mean"] is not None:
            statistics["running_mean"].copy_(torch.randn(len(module.weight), generator=generator) * 0.3)
            statistics["running_var"].copy_(torch.rand(len(module.weight), generator=generator) + 0.5)
            with torch.no_grad():
                module.weight.copy_(torch.rand(len(module.weight), generator=generator) + 0.5)
                module.bias.copy_(torch.randn(len(module.bias), generator=generator) * 0.2)
    return network.eval()


def _draw(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def _norms(network: nn.Module) -> int:
    return sum(isinstance(m._buffers.get("running_mean"), torch.Tensor) for m in network.modules())


def _trunk(name: str) -> nn.Module:
    settings = {"widths": [4, 6, 8, 10], "features": 12, "size": 32}
    return discover.load_class("matcher", name)(**settings)._trunk()


SMALL = {"stem": 4, "down": [4, 8], "up": [8, 4], "blocks": 1, "head_kernel": 3}
CASES = {
    "nearest": (lambda: NearestConv(3, 5, bias=True), [(2, 3, 7, 9)], 0),
    "translation": (lambda: TranslationGenerator(2, **SMALL), [(2, 3, 16, 16), (2, 2)], 0),
    "translation, nearest": (
        lambda: TranslationGenerator(2, **SMALL, upsampling="nearest", norm=False, residual=True),
        [(2, 3, 16, 16), (2, 2)],
        0,
    ),
    "stgan": (lambda: StganGenerator(2, width=4, depth=3), [(2, 3, 16, 16), (2, 2)], 0),
    "stgan, port": (
        lambda: StganGenerator(2, width=4, depth=3, injection="port", last_norm=True),
        [(2, 3, 16, 16), (2, 2)],
        0,
    ),
    # In an improved residual block one normalisation stands before the padding of a convolution.
    "arcface": (lambda: _trunk("arcface"), [(2, 3, 32, 32)], 5),
    "cosface": (lambda: _trunk("cosface"), [(2, 3, 32, 32)], 1),
    "se_resnet": (lambda: _trunk("se_resnet"), [(2, 3, 32, 32)], 1),
    "iresnet": (lambda: IResNet((1, 1, 1, 1)), [(1, 3, 112, 112)], 5),
    "casianet": (CasiaNetEncoder, [(1, 3, 96, 96)], 0),
}


@pytest.mark.parametrize("name", CASES)
def test_evaluation_is_exact_but_for_rounding(name):
    make, shapes, left = CASES[name]
    torch.manual_seed(0)
    network = _lived_in(make())
    inputs = [_draw(*shape) for shape in shapes]
    with torch.no_grad():
        wanted, found = network(*inputs), evaluated(network, "cpu")(*inputs)
    scale = float(wanted.abs().max())
    torch.testing.assert_close(found / scale, wanted / scale, rtol=0, atol=1e-5)
    assert _norms(evaluated(network, "cpu")) == left


def test_squeeze_and_excitation_is_folded_throughout():
    with torch.device("meta"):
        network = SENet50().eval()
    assert _norms(network) == 53
    assert _norms(folded(network)) == 0


@pytest.mark.parametrize("residual", [False, True])
def test_san_is_evaluated_as_its_printed_layers_say(residual):
    torch.manual_seed(0)
    network = SanAutoencoder((4, 5, 8, 6), residual=residual)
    grey, same, joined = _draw(2, 1, 16, 16), _draw(2, 3, 16, 16), 1 - _draw(2, 3, 16, 16)
    with torch.no_grad():
        logits = network.protocombiner[0](
            torch.cat([network.autoencoder(torch.cat([grey, same], 1)), joined], 1)
        )
        wanted = torch.sigmoid(logits + torch.logit(grey, eps=1e-2) if residual else logits)
        for found in (network(grey, same, joined), evaluated(network, "cpu")(grey, same, joined)):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_nearest_upsampling_is_part_of_the_convolution():
    layer = NearestConv(3, 5, bias=True)
    images = _draw(2, 3, 6, 4)
    with torch.no_grad():
        wanted = layer.conv(interpolate(images, scale_factor=2.0, mode="nearest"))
        torch.testing.assert_close(evaluated(layer, "cpu")(images), wanted, rtol=0, atol=1e-5)


def test_the_form_is_made_once_and_anew_when_weights_change():
    network = _lived_in(_trunk("cosface"))
    images = _draw(2, 3, 32, 32)
    first = evaluated(network, "cpu")
    assert evaluated(network, "cpu") is first
    for change in (
        lambda: network.load_state_dict({k: v * 1.1 for k, v in network.state_dict().items()}),
        lambda: torch.optim.SGD(network.parameters(), 0.1).step(),
    ):
        for p in network.parameters():
            p.grad = torch.ones_like(p)
        change()
        network.eval()
        with torch.no_grad():
            wanted, found = network(images), evaluated(network, "cpu")(images)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        assert evaluated(network, "cpu") is not first


def test_training_and_stored_weights_stay_as_they_are():
    network = _lived_in(_trunk("arcface")).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    form_of_it = evaluated(network, "cpu")
    assert network.training
    assert not form_of_it.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    with form("trained"):
        assert evaluated(network, "cpu") is network
    assert evaluated(network, "cpu") is form_of_it


def test_what_is_normalised_twice_or_read_before_stays():
    """A convolution whose output is used beside its normalisation cannot take it up."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = self.conv(images)
            return maps + self.norm(maps)

    class Shared(Both):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(images)) + self.conv(images)

    for make in (Both, Shared):
        network = _lived_in(make())
        images = _draw(2, 3, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(folded(network)(images), network(images), rtol=1e-5, atol=1e-5)
        assert _norms(folded(network)) == 1


@pytest.mark.parametrize("side", [(8, 8), (7, 13), (1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_winograds_filtering_is_the_convolution(side, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 6, 3, padding=1, bias=bias)
    maps = torch.randn(2, 5, *side)
    with torch.no_grad():
        wanted = conv.double()(maps.double())
        found = WinogradConv(conv.float())(maps)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_only_wide_plain_convolutions_gain_by_winograds_filtering():
    layers = [
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, stride=2, padding=1),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 1),
    ]
    assert [with_winograd(nn.Sequential(layer)) for layer in layers] == [1, 0, 0, 0, 0, 0]


def test_winograds_form_is_made_only_where_it_is_asked_for():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.BatchNorm2d(128)).eval()
    maps = _draw(1, 128, 8, 8)
    with torch.no_grad():
        wanted = evaluated(network, "cpu")(maps)
        assert made_of(network, "winograd") == []
        with form("winograd"):
            found = evaluated(network, "cpu")(maps)
    assert [type(m) for m in made_of(network, "winograd")[0].modules()][1] is WinogradConv
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)
    forget(network, {"folded"})
    assert (len(made_of(network, "folded")), len(made_of(network, "winograd"))) == (1, 0)


def test_activations_overwrite_only_what_nobody_else_reads():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()
            self.first = nn.Sequential(nn.Conv2d(3, 4, 3), self.act)
            self.second = nn.Sequential(self.act, nn.Conv2d(4, 4, 3))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = self.first(images) - 0.5
            return self.second(maps).sum((2, 3)) + maps.sum((2, 3))

    torch.manual_seed(0)
    network, images = Twice(), _draw(2, 3, 8, 8)
    found = folded(network)
    assert found.first[1].inplace
    assert not found.second[0].inplace
    assert not network.act.inplace
    with torch.no_grad():
        torch.testing.assert_close(found(images), network(images))


def test_a_step_of_a_fused_optimiser_is_noticed():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    images = torch.rand(2, 3, 8, 8)
    before = evaluated(network, "cpu")(images)
    optimiser = adam(network.parameters(), 0.1)
    network.train()(images).square().mean().backward()
    optimiser.step()
    after = evaluated(network, "cpu")(images)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, network.eval()(images))
