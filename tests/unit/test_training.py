"""The supervised loop: it learns, repeats itself to the byte, and can be interrupted anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.api import BenchError, Context, InputError
from bench.training import (
    PLAIN,
    Augment,
    class_weights,
    fit_network,
    masked_cross_entropy,
    one_cycle,
    resize_images,
    rows_of_step,
    seeded,
)

EVERYTHING = Augment(blur=0.5, noise=0.02, erase=0.5)


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def two_brightnesses(count: int = 50, side: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = rng.normal(100 + 50 * labels[:, None, None, None], 30, (count, side, side, 3))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


def small_network() -> nn.Sequential:
    with seeded(5):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        )


def train(
    folder: Path | None = None, *, stop_after: int | None = None, steps: int = 16, **changed: Any
) -> tuple[dict[str, Any], dict[str, bytes], int]:
    """Figures, weights as bytes, and the number of steps that were computed."""
    images, labels = two_brightnesses()
    targets, module, calls = torch.from_numpy(labels), small_network(), 0

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        nonlocal calls
        if calls == stop_after:
            raise Interrupted
        calls += 1
        return nn.functional.cross_entropy(module(pixels), targets[rows])

    recipe: dict[str, Any] = {
        "batch": 8,
        "rate": 0.01,
        "weight_decay": 0.01,
        "seed": 3,
        "augment": EVERYTHING,
    }
    recipe |= {"ctx": Context(workdir=folder), "save_seconds": 0.0, "steps": steps, **changed}
    figures = fit_network(module, images, loss, **recipe)
    return figures, {k: v.numpy().tobytes() for k, v in module.state_dict().items()}, calls


def test_it_learns_and_leaves_the_network_ready_for_use() -> None:
    images, labels = two_brightnesses(200)
    targets, module = torch.from_numpy(labels), small_network()
    told: list[tuple[float, float, str]] = []

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        assert pixels.shape == (16, 3, 12, 12)
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        return nn.functional.cross_entropy(module(pixels), targets[rows])

    figures = fit_network(
        module,
        images,
        loss,
        steps=80,
        batch=16,
        rate=0.02,
        seed=1,
        augment=Augment(),
        ctx=Context(report=lambda *a: told.append(a)),
    )
    assert not module.training
    answers = module(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).argmax(1)
    assert (answers == targets).float().mean() > 0.95
    assert figures["steps"] == 80
    assert len(figures["loss_curve"]) == 32
    assert figures["final_loss"] < figures["loss_curve"][0]
    assert told[-1][:2] == (80, 80)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("stop_after", [1, 7, 15])
def test_a_resumed_training_ends_with_the_same_bytes(tmp_path: Path, optimiser: str, stop_after: int) -> None:
    unbroken = train(optimiser=optimiser)
    with pytest.raises(Interrupted):
        train(tmp_path, stop_after=stop_after, optimiser=optimiser)
    torch.manual_seed(99)  # another process has another random state
    resumed = train(tmp_path, optimiser=optimiser)
    assert resumed[:2] == unbroken[:2]
    assert resumed[2] == 16 - stop_after


def test_a_finished_network_is_not_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path)
    second = train(tmp_path)
    assert second == (first[0], first[1], 0)
    assert not list(tmp_path.glob(".new-*"))


def test_a_checkpoint_serves_only_the_training_that_made_it(tmp_path: Path) -> None:
    train(tmp_path)
    assert train(tmp_path, seed=4)[2] == 16
    assert train(tmp_path, name="second")[2] == 16


def test_the_seed_decides_alone() -> None:
    torch.manual_seed(1)
    first = train()
    state = torch.manual_seed(2).get_state()
    second = train()
    assert torch.equal(torch.get_rng_state(), state), "the caller's random state must come back"
    assert first == second
    assert train(seed=4)[1] != first[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"steps": 0}, "0 steps"), ({"batch": 1}, "batch of at least 2")],
)
def test_impossible_recipes_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(**changed)


def test_divergence_is_told_with_its_step() -> None:
    images, _ = two_brightnesses()

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        return module(pixels).sum() * float("nan")

    with pytest.raises(BenchError, match="diverged at step 0"):
        fit_network(small_network(), images, loss, steps=3, batch=8, rate=0.1, seed=0, ctx=Context())


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (7, 7), (5, 13), (1, 2)])
def test_every_row_is_seen_once_an_epoch(count: int, batch: int) -> None:
    stream = np.concatenate([rows_of_step(count, batch, 3, step) for step in range(3 * count)])
    epochs = stream[: len(stream) // count * count].reshape(-1, count)
    assert (np.sort(epochs, axis=1) == np.arange(count)).all()
    if count > 4:
        assert (epochs[0] != epochs[1]).any()


def test_the_schedule_rises_to_its_peak_and_falls_to_nothing() -> None:
    shares = np.array([one_cycle(p, 0.2) for p in np.linspace(0, 1, 101)])
    assert shares.argmax() == 20
    assert shares[20] == pytest.approx(1)
    assert shares[0] == pytest.approx(0.04)
    assert shares[100] == pytest.approx(0, abs=1e-12)
    assert (np.diff(shares[:21]) > 0).all()
    assert (np.diff(shares[20:]) < 0).all()


def test_masked_cross_entropy_by_hand() -> None:
    logits = {
        "a": torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]]),
        "b": torch.tensor([[0.0, 0.0, 3.0]] * 3),
    }
    labels = {"a": torch.tensor([0, 0, -1]), "b": torch.tensor([-1, 2, -1])}
    a = (np.log(1 + np.exp(-2)) + np.log(1 + np.exp(1))) / 2
    b = np.log(1 + 2 * np.exp(-3))
    assert masked_cross_entropy(logits, labels).item() == pytest.approx((a + b) / 2, rel=1e-6)
    weights = {"a": torch.tensor([0.5, 1.5]), "b": torch.tensor([1.0, 1.0, 2.0])}
    assert masked_cross_entropy(logits, labels, weights).item() == pytest.approx(
        (a / 2 + 2 * b) / 2, rel=1e-6
    )


def test_a_batch_without_labels_changes_nothing() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    value = masked_cross_entropy({"a": logits}, {"a": torch.full((4,), -1)})
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_class_weights_give_equal_say_and_average_one() -> None:
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4 + [-1] * 5)
    weights = class_weights(labels, 4)
    known = labels[labels >= 0]
    says = [weights[known[known == k]].sum() for k in (0, 1, 3)]
    np.testing.assert_allclose(says, says[0])
    assert weights[known].mean() == pytest.approx(1)
    assert weights[2] == 0


def photo(side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand((3, 3, 4, 4), generator=generator)
    return nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def changed(augment: Augment, seed: int = 0) -> Tensor:
    return augment(photo(), torch.Generator().manual_seed(seed))


def test_augmentation_is_drawn_from_its_generator_and_stays_an_image() -> None:
    first, again = changed(EVERYTHING), changed(EVERYTHING)
    assert torch.equal(first, again)
    assert not torch.equal(first, changed(EVERYTHING, seed=1))
    assert first.shape == photo().shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_every_augmentation_does_what_it_says() -> None:
    none = dict.fromkeys(("flip", "shift", "zoom", "rotate", "brightness", "contrast", "tint"), 0.0)
    torch.testing.assert_close(changed(PLAIN), photo(), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed(Augment(**{**none, "flip": 1.0})), photo().flip(-1), atol=1e-5, rtol=0)
    for name in ("shift", "zoom", "rotate", "brightness", "contrast", "tint", "blur", "noise", "erase"):
        size = {"rotate": 20.0, "erase": 1.0}.get(name, 0.3)
        moved = changed(Augment(**{**none, name: size})) - photo()
        assert moved.abs().max() > 0.01, name
    brighter = changed(Augment(**{**none, "brightness": 0.1})) - photo()
    assert brighter.std((1, 2, 3)).max() < 0.02
    assert brighter.abs().max() <= 0.1 + 1e-5


def test_erasing_paints_a_rectangle_of_at_most_half_the_side() -> None:
    augment = Augment(0, 0, 0, 0, 0, 0, 0, erase=1.0)
    images = torch.zeros(64, 3, 20, 20)
    painted = (augment(images, torch.Generator().manual_seed(0)) > 0).any(1)
    assert painted.any((1, 2)).all()
    assert painted.any(1).sum(1).max() <= 11
    assert painted.any(2).sum(1).max() <= 11


def test_resizing_keeps_bytes_at_equal_size() -> None:
    images, _ = two_brightnesses(5)
    assert resize_images(images, 12) is images
    assert resize_images(images, 6, batch=2).shape == (5, 6, 6, 3)
    flat = np.full((2, 12, 12, 3), 77, np.uint8)
    assert (resize_images(flat, 30) == 77).all()


def test_seeded_restores_the_random_state() -> None:
    state = torch.manual_seed(7).get_state()
    with seeded(1):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(1):
        assert torch.equal(torch.rand(3), first)
