"""What the procedural faces must be good for: thumbnails hide gender, small networks read faces.

Slow: each test renders thousands of faces or trains a network, bounded to about two minutes of one core.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.datasets.synthetic.identities import draw_population
from bench.datasets.synthetic.render import RenderedFaces, render_faces

pytestmark = pytest.mark.slow

WORLD, IMAGES = 11, 12
TRAIN, TRAIN_START = 1500, 0
TEST, TEST_START = 400, 100_000
SIZE = 64
HEADS = {"gender": 2, "race": 3, "young": 2, "smiling": 2}
ATTRIBUTE_GATES = {"gender": 0.95, "race": 0.90, "young": 0.88, "smiling": 0.80}
STUMP_GATE = 0.75


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def train_faces() -> RenderedFaces:
    return render_faces(draw_population(WORLD, TRAIN_START, TRAIN), 2, SIZE, IMAGES)


@pytest.fixture(scope="module")
def test_faces() -> RenderedFaces:
    return render_faces(draw_population(WORLD, TEST_START, TEST), 2, SIZE, IMAGES)


def thumbnails(faces: RenderedFaces) -> NDArray[np.float32]:
    """8x8 RGB block means, (N, 192)."""
    n, size = len(faces), faces.images.shape[1]
    blocks = faces.images.reshape(n, 8, size // 8, 8, size // 8, 3)
    means: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return means.reshape(n, -1)


def best_stump(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[int, float, bool]:
    """Column, threshold and direction that split y best; exact search over all thresholds."""
    best = (0.0, 0, 0.0, True)
    for column in range(x.shape[1]):
        order = np.argsort(x[:, column], kind="stable")
        values, positives = x[order, column], np.cumsum(y[order])
        below = np.arange(1, len(y) + 1)
        above_is_positive = (below - positives + positives[-1] - positives) / len(y)
        above_is_positive[:-1][values[1:] == values[:-1]] = 0.5
        for up, accuracy in ((True, above_is_positive), (False, 1 - above_is_positive)):
            at = int(np.argmax(accuracy))
            if accuracy[at] > best[0]:
                best = (float(accuracy[at]), column, float(values[at]), up)
    return best[1:]


def test_no_thumbnail_cell_tells_gender(train_faces: RenderedFaces, test_faces: RenderedFaces) -> None:
    column, threshold, up = best_stump(thumbnails(train_faces), train_faces.labels["gender"])
    guess = (thumbnails(test_faces)[:, column] > threshold) == up
    accuracy = float(np.mean(guess == (test_faces.labels["gender"] == 1)))
    cell, channel = divmod(column, 3)
    print(f"stump: accuracy {accuracy:.3f} (row {cell // 8}, column {cell % 8}, {'RGB'[channel]})")
    assert accuracy < STUMP_GATE


class SmallNet(nn.Module):
    """Four strided convolutions, one linear head per attribute."""

    def __init__(self, heads: dict[str, int]) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for stage in range(4):
            kernel = 5 if stage == 0 else 3
            layers += [
                nn.Conv2d(widths[stage], widths[stage + 1], kernel, 2, kernel // 2, bias=False),
                nn.BatchNorm2d(widths[stage + 1]),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(2048, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, k) for name, k in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(x)
        return {name: head(features) for name, head in self.heads.items()}


def to_tensor(faces: RenderedFaces) -> Tensor:
    return torch.from_numpy(faces.images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Mirror half of the batch, move it by up to 3 pixels, vary brightness."""
    mirror = torch.rand(len(x), 1, 1, 1, generator=rng) < 0.5
    x = torch.where(mirror, x.flip(3), x)
    dx, dy = torch.randint(-3, 4, (2,), generator=rng).tolist()
    x = torch.roll(x, (dy, dx), dims=(2, 3))
    return x * (1 + 0.1 * torch.randn(len(x), 1, 1, 1, generator=rng))


def train(net: SmallNet, faces: RenderedFaces, epochs: int, batch: int, rate: float) -> None:
    rng = torch.Generator().manual_seed(1)
    x = to_tensor(faces)
    targets = {name: torch.from_numpy(faces.labels[name]).long() for name in HEADS}
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    net.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=rng).split(batch):
            if len(index) < batch:
                continue
            outputs = net(augment(x[index], rng))
            losses = [
                nn.functional.cross_entropy(outputs[name], targets[name][index], label_smoothing=0.05)
                for name in HEADS
            ]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            schedule.step()


def test_small_network_reads_attributes_of_strangers(
    train_faces: RenderedFaces, test_faces: RenderedFaces
) -> None:
    torch.manual_seed(0)
    net = SmallNet(HEADS)
    train(net, train_faces, epochs=12, batch=64, rate=2e-3)
    net.eval()
    with torch.no_grad():
        outputs = net(to_tensor(test_faces))
    accuracy = {
        name: float(np.mean(outputs[name].argmax(1).numpy() == test_faces.labels[name])) for name in HEADS
    }
    print("attributes: " + ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items()))
    for name, least in ATTRIBUTE_GATES.items():
        assert accuracy[name] >= least, name
