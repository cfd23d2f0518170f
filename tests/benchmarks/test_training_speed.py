"""Training steps a second beside a loop in the style of public code, in one run.

`pytest tests/benchmarks/test_training_speed.py -m benchmark -s`. Same networks, losses, faces and batches;
CPU seconds of this process with one thread, the two loops taking turns, medians. Images are of 64 px, as
preset `quick` trains, where the networks are most of the work: what is measured is what a loop adds to them.
The project's loop averages weights as well, where a method asks for it; the public style has no such thing.
On a GPU, where it adds most, `python -m bench throughput --training all --device cuda` measures the same.
No speed is asserted, and no goal is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.api import Context
from bench.throughput.training import Handed, handed_by, own_steps, public_steps
from bench.training import adam

from .cpu_time import in_turns

pytestmark = pytest.mark.benchmark

SIDE, TURNS = 64, 7
METHODS = ("san", "privacynet", "stargan", "gender_an")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settled(works: Mapping[str, Callable[[], Any]], turns: int = TURNS) -> dict[str, float]:
    """Median CPU seconds of each, after one call that does not count."""
    for work in works.values():
        work()
    return in_turns(works, turns)


def handed(name: str) -> Handed:
    return handed_by(name, "quick", SIDE, Context())


@pytest.mark.parametrize("name", METHODS)
def test_a_loop_beside_the_public_style(name: str, compare: Callable[..., None]) -> None:
    own, public = handed(name), handed(name)
    seconds = settled({"own": own_steps(own), "public": public_steps(public)})
    rate = own.cycle / seconds["own"]
    compare(
        f"training steps of {name}",
        "JPEG by PIL, plain Adam, .item() each loss",
        seconds["public"] / seconds["own"],
        None,
        f"{rate:.2f} steps/s of {own.plan.batch} images of {SIDE} px",
    )


def test_what_a_loop_adds_to_the_networks(compare: Callable[..., None]) -> None:
    """The same with a task that costs next to nothing: data, losses, bookkeeping."""
    own, public = idle(handed("privacynet")), idle(handed("privacynet"))
    seconds = settled({"own": own_steps(own), "public": public_steps(public)}, 5 * TURNS)
    compare(
        "a step but for networks and losses",
        "JPEG by PIL, .item() each loss",
        seconds["public"] / seconds["own"],
        None,
        f"{1e3 * seconds['own']:.1f} ms of CPU for {own.plan.batch} images of {SIDE} px",
    )


def test_an_optimiser_step(compare: Callable[..., None]) -> None:
    networks = list(handed("gender_an").task.modules.values())
    parameters = [p for network in networks for p in network.parameters()]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.01)
    ours, plain = adam(parameters, 1e-4), torch.optim.Adam(parameters, 1e-4)
    seconds = settled({"own": ours.step, "public": plain.step}, 5 * TURNS)
    count = sum(p.numel() for p in parameters)
    compare(
        "a step of Adam", "torch's default", seconds["public"] / seconds["own"], None, f"{count:,} weights"
    )


def idle(found: Handed) -> Handed:
    """Networks that are not asked."""

    def step(number: int, batch: Any) -> dict[str, Tensor]:
        return {"brightness": batch.images.mean(), "labels": batch.labels["gender"].float().mean()}

    found.task.step = step  # type: ignore[method-assign,assignment]
    return found
