"""The ways in which one and the same work is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.inference.work import TensorWork, bare_network

if TYPE_CHECKING:
    from torch import Tensor

    from bench.inference.algebra import Form

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16)

PEER, LIBRARY = "peer", "library"
EAGER, LAYOUT, WINOGRAD = "eager", "channels_last", "winograd"
FLAT, ALIGNED, COMPILED = "flat", "aligned", "compiled"
PATHS = {
    EAGER: "the component's own code",
    LAYOUT: "the same, channels last in memory",
    WINOGRAD: "the same, wide convolutions by Winograd's filtering, on a processor",
    FLAT: "written down as one graph, constants folded; a GPU replays it as a CUDA graph",
    ALIGNED: "the same, with channels padded to eights",
    COMPILED: "the graph through torch.compile",
}
"""Path -> what it is. Beside them are `peer`, the papers' style, and `library`, what is no torch function."""


class NothingNew(BenchError):
    """The path is another one for this work."""


_ONE_GRAPH = (FLAT, ALIGNED, COMPILED)
FORMS: dict[str, Form] = {
    EAGER: "folded",
    WINOGRAD: "winograd",
    **dict.fromkeys((LAYOUT, *_ONE_GRAPH), "folded_channels_last"),
}
"""Path -> the form that networks have on it, or are written down from."""


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
    if path == WINOGRAD:
        return precision == FP32 and work.one_graph
    return work.one_graph or (path == EAGER and precision == FP32)


def prepare_peer(work: TensorWork, tensors: tuple[Tensor, ...]) -> Prepared:
    """The papers' style: fp32, eager, the networks as they were trained, alone where they can be told apart
    from their hook."""
    import torch

    from bench.inference.algebra import form

    tensors = _lay_out(work, tensors, channels_last=False)
    with form("trained"):
        found = bare_network(work, tensors)
    if found is None:
        return Prepared(_hook(work, FP32, "trained"), tensors, note="with the component's hook")
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
        function = _hook(work, precision, FORMS[path])
        if path == WINOGRAD:
            _require_winograd(work, function, tensors)
        return Prepared(function, tensors)
    from bench.inference.algebra import form
    from bench.inference.flat import NotFlat, align_channels, captured, flatten

    tensors = _lay_out(work, tensors, channels_last=True)
    with form(FORMS[path]):
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


@contextmanager
def convolutions(*, benchmark: bool, tf32: bool) -> Iterator[None]:
    """cuDNN's choice of kernels by trial, and TF32 in float32 convolutions, inside.

    Not by `cudnn.flags`, which switches cuDNN off unless it is told not to.
    """
    import torch

    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32
    cudnn.benchmark, cudnn.allow_tf32 = benchmark, tf32
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32 = before


def native_bf16(device: str) -> bool:
    """Whether the device multiplies in bf16 by itself, so that there is any point in it."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(asked() for asked in known if asked is not None)


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


def _hook(work: TensorWork, precision: str, wanted: Form) -> Callable[..., Tensor]:
    """The work in torch's usual way; `bf16` by autocast. In inference mode no hook could differentiate."""
    import torch

    from bench.inference.algebra import form

    def call(*tensors: Tensor) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(form(wanted))
            stack.enter_context(torch.no_grad())
            if precision == BF16:
                stack.enter_context(torch.autocast(tensors[0].device.type, torch.bfloat16))
            return work.run(*tensors).float()

    return call


def _require_winograd(work: TensorWork, function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> None:
    """Raises NothingNew unless the work evaluates such convolutions; a GPU's library has them already."""
    from bench.inference.algebra import made_of
    from bench.inference.winograd import WinogradConv

    if tensors[0].device.type == "cpu":
        function(*tensors)  # makes the forms of the networks that it evaluates
        made = [found for network in work.networks for found in made_of(network, "winograd")]
        if any(isinstance(m, WinogradConv) for found in made for m in found.modules()):
            return
    raise NothingNew("no convolution of its networks gains by it")


def _lay_out(work: TensorWork, tensors: tuple[Tensor, ...], *, channels_last: bool) -> tuple[Tensor, ...]:
    """Networks, in place, and images in a memory layout."""
    import torch

    wanted = torch.channels_last if channels_last else torch.contiguous_format
    for network in work.networks:
        network.to(memory_format=wanted)  # type: ignore[call-overload]
    return tuple(t.contiguous(memory_format=wanted) if t.ndim == 4 else t for t in tensors)
