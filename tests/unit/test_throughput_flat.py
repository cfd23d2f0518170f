"""Graphs of a function's operations compute what the function does."""

import pytest
import torch
from torch import nn
from torch.nn.functional import instance_norm, one_hot

from bench.inference.flat import NotFlat, align_channels, flatten, planar_norm
from bench.throughput.counts import count


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 10, 3, padding=1),
        nn.InstanceNorm2d(10, affine=True),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(10, 3, 4, 2, 1),
    ]
    network = nn.Sequential(*layers).eval()
    nn.init.normal_(network[1].weight)
    nn.init.normal_(network[1].bias)
    return network


def _images(seed: int, side: int = 8) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_planar_norm_is_instance_norm():
    maps = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1
    weight, bias = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    wanted = instance_norm(maps, weight=weight, bias=bias, eps=1e-5)
    torch.testing.assert_close(planar_norm(maps, weight, bias, 1e-5), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(planar_norm(maps, None, None, 1e-5), instance_norm(maps), rtol=1e-5, atol=1e-5)


def test_a_graph_answers_for_inputs_it_was_not_made_with():
    network = _network()
    graph = flatten(network, [_images(0)], "fp32")
    with torch.no_grad():
        torch.testing.assert_close(graph(_images(1)), network(_images(1)), rtol=1e-5, atol=1e-5)


def test_reduced_precision_deviates_little_but_does():
    network = _network()
    graph = flatten(network, [_images(0)], "bf16")
    found = graph(_images(1))
    with torch.no_grad():
        wanted = network(_images(1))
    assert found.dtype == torch.float32
    assert 0 < (found - wanted).abs().mean() < 0.02 * wanted.abs().mean()


def test_what_depends_on_weights_alone_is_computed_before():
    kernel = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    graph = flatten(
        lambda images: torch.conv2d(images, kernel.flip(-1).exp() / torch.arange(1.0, 4.0)),
        [_images(0)],
        "fp32",
    )
    called = [n for n in graph.graph.nodes if n.op == "call_function"]
    assert [n.target for n in called] == [torch.ops.aten.convolution.default]
    wanted = torch.conv2d(_images(1), kernel.flip(-1).exp() / torch.arange(1.0, 4.0))
    torch.testing.assert_close(graph(_images(1)), wanted)


def test_padded_channels_change_nothing():
    network = _network()
    graph = flatten(network, [_images(0)], "fp32")
    assert align_channels(graph) == 2
    widths = [
        getattr(graph, n.args[1].target).shape[:2]
        for n in graph.graph.nodes
        if n.target == torch.ops.aten.convolution.default
    ]
    assert all(w % 8 == 0 for pair in widths for w in pair)
    with torch.no_grad():
        torch.testing.assert_close(graph(_images(1)), network(_images(1)), rtol=1e-5, atol=1e-5)
    assert align_channels(graph) == 0


def test_labels_stay_inputs():
    def coded(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return images + one_hot(labels, 3).float()[:, :, None, None]

    graph = flatten(coded, [_images(0), torch.tensor([0, 1])], "fp32")
    labels = torch.tensor([2, 0])
    torch.testing.assert_close(graph(_images(1), labels), coded(_images(1), labels))


@pytest.mark.parametrize(
    "function",
    [
        lambda images: images * float(images.numpy().mean()),
        lambda images: images * images.mean().item(),
        lambda images: images if images.mean() > 0 else -images,
    ],
    ids=["numpy", "item", "branch"],
)
def test_a_function_that_decides_outside_torch_is_refused(function):
    with pytest.raises(NotFlat):
        flatten(function, [_images(0)], "fp32")


def test_operations_and_bytes_of_a_convolution():
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    images = _images(0)
    found = count(lambda: torch.relu(conv(images)))
    assert found.flop == 2 * 2 * 8 * 8 * 5 * 3 * 9
    assert found.moved == 4 * (images.numel() + conv.weight.numel() + 2 * 5 * 64)
