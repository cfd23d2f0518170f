"""Several processes that train one network together, started by torchrun; alone, nothing here does anything.

Every process takes its share of each batch, draws what it would draw for the whole batch and keeps its part,
and averages gradients with the others before a step: all hold the same weights throughout.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from bench.errors import BenchError, InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

T = TypeVar("T")

_LONGEST_WAIT = timedelta(days=1)
"""For a process that reads a dataset while the others wait. One that fails is noticed by torchrun at once."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def session(device: str) -> Iterator[str]:
    """Meet the other processes that torchrun started; yields the device of this one.

    device: `cpu` (gloo) or `cuda` (NCCL, one GPU a process). Raises InputError for any other, and where the
    machine has fewer GPUs than processes.
    """
    import torch
    from torch import distributed

    own, backend = device, "gloo"
    if device == "cuda":
        place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= there:
            raise InputError(
                f"torchrun started process {place + 1} on this machine, which has {there} GPUs; "
                "start at most as many processes"
            )
        own, backend = f"cuda:{place}", "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(place)
    elif device != "cpu":
        raise InputError(f"--device {device}: under torchrun write cpu, or cuda for one GPU a process")
    distributed.init_process_group(backend, timeout=_LONGEST_WAIT)
    yield own
    # Not after a failure: the others no longer answer, and torchrun ends them.
    gathered(None)
    gc.collect()  # what still refers to the group keeps its threads alive, which must not outlive Python
    distributed.destroy_process_group()


def here() -> tuple[int, int]:
    """Number of this process, from 0, and how many there are."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def is_first() -> bool:
    """Whether this process writes files and tells people."""
    return here()[0] == 0


def share_of(batch: int) -> slice:
    """This process's part of a batch. Raises InputError for a batch that cannot be shared out evenly."""
    place, count = here()
    if count == 1:
        return slice(0, batch)
    size = batch // count
    if size * count != batch or size < 2:
        raise InputError(
            f"a batch of {batch} cannot be shared out among {count} processes, each at least 2 samples and "
            "all the same number; change the option `batch` or the number of processes"
        )
    return slice(place * size, (place + 1) * size)


def rand(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Uniform [0, 1) draws of `shape`, samples first: this process's part of what is drawn for the batch."""
    import torch

    place, count = here()
    whole = torch.rand((shape[0] * count, *shape[1:]), generator=generator, device=generator.device)
    return whole[place * shape[0] : (place + 1) * shape[0]]


def randn(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """The same of standard normal draws."""
    import torch

    place, count = here()
    whole = torch.randn((shape[0] * count, *shape[1:]), generator=generator, device=generator.device)
    return whole[place * shape[0] : (place + 1) * shape[0]]


def gathered(value: T) -> list[T]:
    """What every process passes here, in their order; all must call it. Serves as a barrier, too."""
    count = here()[1]
    if count == 1:
        return [value]
    from torch import distributed

    found: list[Any] = [None] * count
    with _losing_nobody():
        distributed.all_gather_object(found, value)
    return found


def agreed(value: T) -> T:
    """What the first process passes here."""
    return gathered(value)[0]


def start_alike(modules: Iterable[nn.Module]) -> None:
    """Give parameters and buffers of all processes the first one's values."""
    if here()[1] == 1:
        return
    from torch import distributed

    with _losing_nobody():
        for module in modules:
            for tensor in module.state_dict().values():
                sent = tensor.contiguous()
                distributed.broadcast(sent, 0)
                tensor.copy_(sent)


def average_buffers(modules: Iterable[nn.Module]) -> None:
    """Give floating buffers, as running statistics are, their mean over the processes."""
    if here()[1] > 1:
        buffers = [b for m in modules for b in m.buffers() if b.is_floating_point()]
        for buffer, mean in zip(buffers, _means(buffers), strict=True):
            buffer.copy_(mean)


@contextmanager
def averaging(optimisers: Iterable[Optimizer]) -> Iterator[None]:
    """Inside, gradients are averaged over the processes right before each step of these optimisers.

    DistributedDataParallel does this during the backward pass of a network's one forward pass. Where a step
    has several (a critic on real, on generated and on mixed images), and derives gradients of gradients, its
    bookkeeping does not hold.
    """
    handles = [o.register_step_pre_hook(_average_gradients) for o in optimisers] if here()[1] > 1 else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _average_gradients(optimiser: Optimizer, *_: Any) -> None:
    import torch

    trained = [p for group in optimiser.param_groups for p in group["params"]]
    # A share without a single label leaves no gradient, and still has to take part.
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    for parameter, gradient, mean in zip(trained, gradients, _means(gradients), strict=True):
        parameter.grad = gradient.copy_(mean)  # which keeps its order in memory, as fused optimisers need


def _means(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Means over the processes, sent as one."""
    import torch
    from torch import distributed

    if not tensors:
        return []
    flat = torch.cat([t.reshape(-1) for t in tensors])
    with _losing_nobody():
        distributed.all_reduce(flat)
    parts = (flat / here()[1]).split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]


@contextmanager
def _losing_nobody() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise BenchError(
            "another process of this training is gone, its own message says why; repeat the command to "
            f"continue from the last checkpoint ({str(error).splitlines()[0]})"
        ) from error
