"""A method's hook as one graph of tensor operations, and what can be done to such a graph before it runs.

The hook is run once and its operations are written down (`make_fx`): Python, module calls and autocast are
gone, and a GPU can replay the whole as one unit. What depends on weights alone is computed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.functional import instance_norm, one_hot
from torch.overrides import TorchFunctionMode

from bench.errors import BenchError

_CONVOLUTION = torch.ops.aten.convolution.default
_LEAVING = (torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.tolist, torch.Tensor.item)
_MULTIPLE = 8
"""Matrix units take channels by eights in 16-bit precision."""


class NotFlat(BenchError):
    """The function cannot be written down as one graph: it decides in Python or leaves torch."""


def flatten(function: Callable[..., Tensor], inputs: Sequence[Tensor], precision: str) -> fx.GraphModule:
    """`function(*inputs)` as a graph for inputs of these shapes, weights and constants folded.

    precision: `fp32`, or `bf16` for torch's autocast with weights cast beforehand; the output is float32.
    Raises NotFlat.
    """
    device = inputs[0].device

    def traced(*tensors: Tensor) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(_Traceable())
            if precision == "bf16":
                # A cache would keep casts of weights out of the graph's sight.
                stack.enter_context(torch.autocast(device.type, torch.bfloat16, cache_enabled=False))
            return function(*tensors).float()

    try:
        with torch.no_grad():
            function(*inputs)  # what is made at the first call is made outside the graph
        graph = _written_down(traced, inputs)
    except NotFlat:
        raise
    except Exception as error:  # what tracing meets in a component's code has no common base
        raise NotFlat(f"cannot be written down as one graph: {_first_line(error)}") from error
    with torch.no_grad():
        fold(graph)
    return graph


def _written_down(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    graph: fx.GraphModule = make_fx(function)(*inputs)
    for node in filter(_writes, graph.graph.nodes):
        if node.args[0].op != "call_function":
            raise NotFlat(f"it writes into its inputs or weights by {node.target}")
    for node in graph.graph.nodes:
        if node.target == torch.ops.aten.view.default:
            # A view of what was contiguous when it was written down; later the layout may be another.
            node.target = torch.ops.aten.reshape.default
    return graph


def fold(graph: fx.GraphModule) -> None:
    """Compute what no input has a part in, once; convolution kernels are stored channels last.

    Raises NotFlat where a run would change such a value for the next.
    """
    values: dict[fx.Node, Any] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            values[node] = _attribute(graph, str(node.target))
        elif _writes(node) and node.args[0] in values and not _writes_once(node, values):
            raise NotFlat(f"it writes into a constant by {node.target}")
        elif node.op == "call_function" and _is_constant(node, values):
            args, kwargs = _with_values((node.args, dict(node.kwargs)), values)
            values[node] = node.target(*args, **kwargs)
    kernels = {n.args[1] for n in graph.graph.nodes if n.op == "call_function" and n.target == _CONVOLUTION}
    for place, (node, value) in enumerate(list(values.items())):
        if isinstance(value, Tensor) and any(user not in values for user in node.users):
            if node in kernels and value.ndim == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            _replace(graph, node, f"folded_{place}", value.detach())
    # Not left to `eliminate_dead_code`, which keeps checks of values for their effects.
    for node in reversed(list(values)):
        if not node.users:
            graph.graph.erase_node(node)
    _forget_unused(graph)


def align_channels(graph: fx.GraphModule) -> int:
    """Pad convolutions with stored kernels to channels by eights, with zeros: the same sums, but faster
    kernels fit. Returns how many were changed."""
    changed = 0
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target == _CONVOLUTION and node.args[1].op == "get_attr":
            changed += _aligned(graph, node, changed)
    _forget_unused(graph)
    return changed


def _aligned(graph: fx.GraphModule, node: fx.Node, place: int) -> int:
    images, kernel, bias, *rest = node.args
    transposed, groups = rest[3], rest[5]
    weight = _attribute(graph, str(kernel.target))  # type: ignore[union-attr]
    if groups != 1 or weight.ndim != 4 or (isinstance(bias, fx.Node) and bias.op != "get_attr"):
        return 0
    outputs, inputs = (1, 0) if transposed else (0, 1)
    more_in, more_out = (-weight.shape[axis] % _MULTIPLE for axis in (inputs, outputs))
    if not more_in and not more_out:
        return 0
    wide = torch.nn.functional.pad(
        weight, [0, 0, 0, 0, *((0, more_out, 0, more_in) if transposed else (0, more_in, 0, more_out))]
    )
    with graph.graph.inserting_before(node):
        padded: Any = images
        if more_in:
            padded = graph.graph.call_function(
                torch.ops.aten.constant_pad_nd.default, (images, [0, 0, 0, 0, 0, more_in], 0.0)
            )
        wide = wide.contiguous(memory_format=torch.channels_last)
        stored = _stored(graph, f"folded_wide_{place}", wide)
        shift = bias
        if isinstance(bias, fx.Node) and more_out:
            values = torch.nn.functional.pad(_attribute(graph, str(bias.target)), [0, more_out])
            shift = _stored(graph, f"folded_bias_{place}", values)
        result = graph.graph.call_function(_CONVOLUTION, (padded, stored, shift, *rest))
        if more_out:
            result = graph.graph.call_function(
                torch.ops.aten.slice.Tensor, (result, 1, 0, weight.shape[outputs])
            )
    node.replace_all_uses_with(result)
    return 1


def captured(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[..., Tensor]:
    """`function` as a CUDA graph: calls copy their tensors in, replay, and return the same output tensor.

    Raises NotFlat when it does what cannot be recorded, such as waiting for the device.
    """
    held = [tensor.clone() for tensor in inputs]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function(*held)
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(recorded):
            output = function(*held)
    except RuntimeError as error:
        raise NotFlat(f"cannot be recorded as a CUDA graph: {_first_line(error)}") from error

    def replay(*tensors: Tensor) -> Tensor:
        for target, source in zip(held, tensors, strict=True):
            target.copy_(source)
        recorded.replay()
        return output

    return replay


class _Traceable(TorchFunctionMode):
    """Functions in a form that can be written down, and be fused; no leaving torch, which would make what
    numpy computes of one input a constant for all.

    Instance normalisation by the mean and variance of each plane: torch's own first copies channels-last maps
    into the other layout, and the next convolution copies them back. One-hot codes by comparison: torch's
    own looks at the largest label.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        told = kwargs or {}
        if func is instance_norm and told.get("running_mean") is None and told.get("use_input_stats", True):
            return planar_norm(args[0], told.get("weight"), told.get("bias"), told.get("eps", 1e-5))
        if func in _LEAVING:
            raise NotFlat(f"it leaves torch by `{func.__name__}`")
        if func is one_hot and len(args) == 2:
            classes = torch.arange(args[1], device=args[0].device)
            return (args[0][..., None] == classes).long()
        return func(*args, **told)


def planar_norm(maps: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Instance normalisation of (N, C, H, W), with float32 statistics of the images at hand."""
    wide = maps.float()
    variance, mean = torch.var_mean(wide, (2, 3), correction=0, keepdim=True)
    scale = torch.rsqrt(variance + epsilon)
    if weight is not None:
        scale = scale * weight[:, None, None]
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias[:, None, None]
    return (wide * scale + shift).to(maps.dtype)


def _forget_unused(graph: fx.GraphModule) -> None:
    """Drop operations and tensors that nothing reads any more."""
    graph.graph.eliminate_dead_code()
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    held = [
        *graph._parameters,
        *graph._buffers,
        *(n for n in vars(graph) if n.startswith("_tensor_constant")),
    ]
    for name in held:
        if name not in read:
            delattr(graph, name)
    graph.recompile()


def _is_constant(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    if not all(argument in values for argument in node.all_input_nodes):
        return False
    return torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)


def _writes_once(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Whether what it writes into is a value on the way to another constant, which nobody else reads."""
    target = node.args[0]
    assert isinstance(target, fx.Node)
    return target.op == "call_function" and len(target.users) == 1 and _is_constant(node, values)


def _with_values(arguments: Any, values: dict[fx.Node, Any]) -> Any:
    return fx.node.map_arg(arguments, lambda node: values[node])


def _replace(graph: fx.GraphModule, node: fx.Node, name: str, value: Tensor) -> None:
    with graph.graph.inserting_before(node):
        node.replace_all_uses_with(_stored(graph, name, value))


def _stored(graph: fx.GraphModule, name: str, value: Tensor) -> fx.Node:
    """A node that reads `value`; inside `inserting_before`."""
    graph.register_buffer(name, value)
    return graph.graph.get_attr(name)


def _attribute(graph: fx.GraphModule, target: str) -> Any:
    value: Any = graph
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
