"""Architectures of the networks that methods train against and of their judges.

None of them is an evaluation component's: those are residual, with squeeze-excitation or margin losses.
All take float32 (N, 3, S, S) in [0, 1], any S, and work at 64 px.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, linear, normalize

from bench.components.method import resize
from bench.faces import Attribute

SIDE = 64
"""Pixels that every trained auxiliary looks at."""

EMBEDDING = 128
"""Length of the trained matchers' embeddings."""

RESAMPLED = tuple(f"resampled_{i}" for i in range(1, 6))
"""Classifiers that differ in their weights' start and in what their training set holds too much of."""


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


def plain_trunk(widths: Sequence[int]) -> tuple[nn.Module, int]:
    """Straight convolutions and max pooling as in VGG, six layers: 64 px -> (N, widths[5], 4, 4)."""
    a, b, c, d, e, f = widths
    layers = [*_unit(3, a, 5, 2), *_unit(a, b, 3), nn.MaxPool2d(2), *_unit(b, c, 3), *_unit(c, d, 3)]
    layers += [nn.MaxPool2d(2), *_unit(d, e, 3), nn.MaxPool2d(2), *_unit(e, f, 3)]
    return nn.Sequential(*layers), f


def strided_trunk(widths: Sequence[int]) -> tuple[nn.Module, int]:
    """4x4 convolutions of stride 2 with leaky ReLU, as in DCGAN: 64 px -> (N, widths[3], 4, 4)."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        layers += [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        channels = width
    return nn.Sequential(*layers), channels


class _Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        project = [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.layers = nn.Sequential(*_unit(inputs, wide, 1), *_unit(wide, wide, 3, stride, wide), *project)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.adds else out


def inverted_trunk(stem: int, widths: Sequence[int]) -> tuple[nn.Module, int]:
    """Inverted bottlenecks, two a stage (Sandler et al., CVPR 2018), the first of each with stride 2."""
    layers: list[nn.Module] = _unit(3, stem, 3, 2)
    channels = stem
    for width in widths:
        layers += [_Inverted(channels, width, 2, 3), _Inverted(width, width, 1, 3)]
        channels = width
    return nn.Sequential(*layers), channels


class AttributeHeads(nn.Module):
    """Features (N, D) -> logits (N, K) for each attribute."""

    def __init__(self, features: int, attributes: Sequence[Attribute], *, hidden: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
        self.shared = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {a.name: nn.Linear(hidden or features, len(a.classes)) for a in attributes}
        )

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        shared = self.shared(features)
        return {name: head(shared) for name, head in self.heads.items()}


class AttributeNetwork(nn.Module):
    """Images -> {attribute: logits (N, K)}, from the last map: its mean or, if `placed`, all its cells."""

    def __init__(
        self,
        trunk: tuple[nn.Module, int],
        attributes: Sequence[Attribute],
        *,
        placed: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.trunk, width = trunk
        self.placed = placed
        self.dropout = nn.Dropout(dropout)
        self.heads = AttributeHeads(width * _cells(self.trunk) if placed else width, attributes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.trunk(resize(images, SIDE) * 2 - 1)
        features = maps.flatten(1) if self.placed else maps.mean((2, 3))
        found: dict[str, Tensor] = self.heads(self.dropout(features))
        return found


def _cells(trunk: nn.Module) -> int:
    """Cells of the last map."""
    with torch.no_grad():
        return int(trunk.eval()(torch.zeros(1, 3, SIDE, SIDE)).shape[-1] ** 2)


class EmbeddingNetwork(nn.Module):
    """Images -> unit embeddings (N, 128), with a linear layer over the whole last map."""

    def __init__(self, trunk: tuple[nn.Module, int]) -> None:
        super().__init__()
        self.trunk, width = trunk
        features = width * _cells(self.trunk)
        self.neck = nn.Sequential(nn.Flatten(), nn.Linear(features, EMBEDDING, bias=False))
        self.norm = nn.BatchNorm1d(EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        return self.embed_maps(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        """Last maps (N, C, 4, 4), laid over the whole image."""
        found: Tensor = self.trunk(resize(images, SIDE) * 2 - 1)
        return found

    def embed_maps(self, maps: Tensor) -> Tensor:
        """Unit embeddings (N, 128) of `maps`."""
        return normalize(self.norm(self.neck(maps)))

    def lay(self, maps: Tensor, size: int) -> Tensor:
        """Maps (N, C, h, w) enlarged bilinearly to what of an image of side `size` they stand for."""
        return interpolate(maps, (size, size), mode="bilinear", align_corners=False)


class CosineSoftmax(nn.Module):
    """Scaled cosine softmax without margin (NormFace, Wang et al., ACM MM 2017), one proxy an identity."""

    def __init__(self, identities: int, scale: float) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(identities, EMBEDDING) / EMBEDDING**0.5)
        self.scale = scale

    def forward(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        return cross_entropy(self.scale * linear(embeddings, normalize(self.proxies)), identities)


class Probe(nn.Module):
    """Reads attributes off a frozen matcher's embedding of the image: {attribute: logits (N, K)}.

    Trained against, it takes out of the embedding what a matching loss alone would preserve.
    """

    def __init__(self, matcher: Callable[[Tensor], Tensor], heads: AttributeHeads) -> None:
        super().__init__()
        self.matcher, self.heads = matcher, heads

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = self.heads(self.matcher(images))
        return found


def new_classifier(name: str, attributes: Sequence[Attribute]) -> AttributeNetwork:
    """The untrained classifier of that name."""
    trunks: dict[str, Callable[[], tuple[nn.Module, int]]] = {
        "classifier_plain": lambda: plain_trunk((20, 28, 40, 56, 80, 96)),
        "classifier_strided": lambda: strided_trunk((24, 48, 64, 96)),
        "judge_classifier": lambda: inverted_trunk(20, (32, 48, 72)),
    }
    if name in RESAMPLED:
        return AttributeNetwork(plain_trunk((16, 24, 32, 48, 64, 80)), attributes)
    return AttributeNetwork(trunks[name](), attributes, placed=name == "classifier_strided")


def new_matcher(name: str) -> EmbeddingNetwork:
    """The untrained matcher of that name."""
    if name == "judge_matcher":
        return EmbeddingNetwork(inverted_trunk(16, (40, 64, 96)))
    return EmbeddingNetwork(plain_trunk((24, 32, 48, 64, 96, 128)))
