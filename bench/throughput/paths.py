"""The ways in which one and the same work is run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.throughput.workloads import TensorWork, bare_network

if TYPE_CHECKING:
    from torch import Tensor

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16)

PEER, LIBRARY = "peer", "library"
EAGER, LAYOUT, FLAT, ALIGNED, COMPILED = "eager", "channels_last", "flat", "aligned", "compiled"
PATHS = {
    EAGER: "the component's own code",
    LAYOUT: "the same, channels last in memory",
    FLAT: "written down as one graph, constants folded; a GPU replays it as a CUDA graph",
    ALIGNED: "the same, with channels padded to eights",
    COMPILED: "the graph through torch.compile",
}
"""Path -> what it is. Beside them are `peer`, the papers' style, and `library`, what is no torch function."""


class NothingNew(BenchError):
    """The path is another one for this work."""


_ONE_GRAPH = (FLAT, ALIGNED, COMPILED)


@dataclass(frozen=True)
class Prepared:
    """function: tensors as `TensorWork.inputs` gives them -> output. tensors: what it is timed on.

    replayed: it is a CUDA graph. note: what could not be done.
    """

    function: Callable[..., Tensor]
    tensors: tuple[Tensor, ...]
    replayed: bool = False
    note: str = ""


def possible(work: TensorWork, path: str, precision: str) -> bool:
    """Whether there is any point in a path: reduced precision and graphs need one fixed set of operations."""
    return work.one_graph or (path == EAGER and precision == FP32)


def prepare_peer(work: TensorWork, tensors: tuple[Tensor, ...]) -> Prepared:
    """The papers' style: fp32, eager, the network alone where it can be told apart from its hook."""
    import torch

    _lay_out(work, tensors, channels_last=False)
    found = bare_network(work, tensors)
    if found is None:
        return Prepared(_hook(work, FP32), tensors, note="with the component's hook")
    network, arguments = found

    def call(*_: Any) -> Tensor:
        with torch.no_grad():
            return network(*arguments)

    return Prepared(call, tensors, note="the network alone")


def prepare(
    work: TensorWork, path: str, precision: str, tensors: tuple[Tensor, ...], compile_mode: str
) -> Prepared:
    """`work` on a path of `PATHS` for these tensors. Raises NotFlat, NothingNew, or torch.compile's."""
    if path not in _ONE_GRAPH:
        tensors = _lay_out(work, tensors, channels_last=path == LAYOUT)
        return Prepared(_hook(work, precision), tensors)
    from bench.throughput.flat import NotFlat, align_channels, captured, flatten

    tensors = _lay_out(work, tensors, channels_last=True)
    graph: Callable[..., Tensor] = flatten(work.run, tensors, precision)
    if path == ALIGNED and not align_channels(graph):  # type: ignore[arg-type]
        raise NothingNew("all its channels come by eights already")
    if path == COMPILED:
        graph = _compiled(graph, compile_mode)
    function = partial(_quietly, graph)
    function(*tensors)
    if tensors[0].device.type != "cuda":
        return Prepared(function, tensors)
    try:
        return Prepared(captured(function, tensors), tensors, replayed=True)
    except NotFlat as error:
        return Prepared(function, tensors, note=str(error))


def _compiled(graph: Callable[..., Tensor], mode: str) -> Callable[..., Tensor]:
    import torch

    torch._dynamo.reset()
    found: Callable[..., Tensor] = torch.compile(graph, mode=mode, dynamic=False, fullgraph=True)
    return found


def _quietly(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Without gradients."""
    import torch

    with torch.no_grad():
        return function(*tensors)


def _hook(work: TensorWork, precision: str) -> Callable[..., Tensor]:
    """The work in torch's usual way; `bf16` by autocast. In inference mode no hook could differentiate."""
    import torch

    def call(*tensors: Tensor) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if precision == BF16:
                stack.enter_context(torch.autocast(tensors[0].device.type, torch.bfloat16))
            return work.run(*tensors).float()

    return call


def _lay_out(work: TensorWork, tensors: tuple[Tensor, ...], *, channels_last: bool) -> tuple[Tensor, ...]:
    """Networks, in place, and images in a memory layout."""
    import torch

    wanted = torch.channels_last if channels_last else torch.contiguous_format
    for network in work.networks:
        network.to(memory_format=wanted)  # type: ignore[call-overload]
    return tuple(t.contiguous(memory_format=wanted) if t.ndim == 4 else t for t in tensors)
