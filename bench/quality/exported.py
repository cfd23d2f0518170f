"""Runs a fixed torch network of convolutions on one CPU thread with onnxruntime, faster than torch does.

LPIPS's SqueezeNet takes half the time that torch needs for channels-last tensors, the Inception of FID three
quarters. The outputs are the same up to the order of sums in single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.onnx import cpu_session

if TYPE_CHECKING:
    from torch import nn

_OPSET, _IR = 17, 8
"""Versions of the format that every supported onnxruntime reads."""


class Exported:
    """The network as it was when this was made; its later changes do not count.

    network: from a stack of images to a tensor or a named tuple of them, made of the layers in `_LAYERS` and
    functions in `_FUNCTIONS`, with parameters on the CPU. Raises TypeError naming anything else.
    """

    def __init__(self, network: nn.Module) -> None:
        self._session = cpu_session(_model(network.eval()))

    def __call__(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs (N, ...) for images float32 (N, C, H, W) of any size."""
        found: list[NDArray[np.float32]] = self._session.run(None, {"x": np.ascontiguousarray(batch)})
        return found


def _model(network: nn.Module) -> bytes:
    """The network in ONNX, from the operations that torch.fx sees in its `forward`."""
    from onnx import TensorProto, helper
    from torch import fx

    traced = fx.symbolic_trace(network)
    layers, writer = dict(traced.named_modules()), _Writer()
    results: Any = ()
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            writer.names[node] = "x"
        elif node.op == "call_module" and type(layers[node.target]).__name__ in _LAYERS:
            layer = layers[node.target]
            _LAYERS[type(layer).__name__](writer, node, layer)
        elif node.op == "call_function" and node.target.__name__ in _FUNCTIONS:
            _FUNCTIONS[node.target.__name__](writer, node)
        elif node.op == "call_function" and isinstance(node.target, type) and issubclass(node.target, tuple):
            results = node.args
        elif node.op == "output":
            results = results or node.args
        else:
            raise TypeError(f"cannot be exported: {layers.get(node.target, node.target)}")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "c", "h", "w"])
    # Shapes of outputs follow from the graph.
    out = [helper.make_tensor_value_info(writer.names[n], TensorProto.FLOAT, None) for n in results]
    graph = helper.make_graph(writer.nodes, "network", [x], out, writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    return bytes(model.SerializeToString())


class _Writer:
    """The nodes and constants so far, and what the value of each traced node is called."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, node: Any, *constants: Any, **attributes: Any) -> None:
        """An operation on the traced node's first argument, or on all in it where that is a list."""
        from onnx import helper

        first = node.args[0]
        inputs = [self.names[n] for n in (first if isinstance(first, (list, tuple)) else (first,))]
        inputs += [self._constant(tensor, f"{node.name}.{n}") for n, tensor in enumerate(constants)]
        self.names[node] = node.name
        self.nodes.append(helper.make_node(kind, inputs, [node.name], **attributes))

    def same(self, node: Any) -> None:
        """What does nothing outside training."""
        self.names[node] = self.names[node.args[0]]

    def _constant(self, tensor: Any, name: str) -> str:
        from onnx import numpy_helper

        values = np.ascontiguousarray(tensor.detach().numpy(), np.float32)
        self.constants.append(numpy_helper.from_array(values, name))
        return name


# -- layers and functions ----------------------------------------------------------------------------------


def _convolution(writer: _Writer, node: Any, layer: Any) -> None:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise TypeError(f"cannot be exported: {layer}")
    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    writer.add(
        "Conv",
        node,
        *parameters,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
    )


def _normalisation(writer: _Writer, node: Any, layer: Any) -> None:
    # onnxruntime folds it into the convolution before.
    parameters = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    writer.add("BatchNormalization", node, *parameters, epsilon=layer.eps)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _window(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a pooling; refused where torch and ONNX count windows differently."""
    kernel, padding = _pair(asked["kernel_size"]), _pair(asked["padding"])
    ceil = asked.get("ceil_mode", False)
    if _pair(asked.get("dilation", 1)) != (1, 1) or (ceil and any(padding)) or asked.get("return_indices"):
        raise TypeError(f"cannot be exported: a pooling with {dict(asked)}")
    stride = _pair(asked["stride"] or kernel)
    return {"kernel_shape": kernel, "strides": stride, "pads": padding * 2, "ceil_mode": int(ceil)}


def _largest(writer: _Writer, node: Any, layer: Any) -> None:
    writer.add("MaxPool", node, **_window(vars(layer)))


def _mean(writer: _Writer, node: Any, layer: Any) -> None:
    if _pair(layer.output_size) != (1, 1):
        raise TypeError(f"cannot be exported: {layer}")
    writer.add("GlobalAveragePool", node)


def _asked(node: Any, *names: str) -> dict[str, Any]:
    """The arguments of a function after its first, by name."""
    return {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}


def _largest_of(writer: _Writer, node: Any) -> None:
    asked = _asked(node, "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    writer.add("MaxPool", node, **_window({"stride": None, "padding": 0, **asked}))


def _mean_of(writer: _Writer, node: Any) -> None:
    asked = _asked(node, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    window = _window({"stride": None, "padding": 0, **asked})
    writer.add("AveragePool", node, **window, count_include_pad=int(asked.get("count_include_pad", True)))


def _joined(writer: _Writer, node: Any) -> None:
    writer.add("Concat", node, axis=_asked(node, "dim").get("dim", 0))


def _flattened(writer: _Writer, node: Any) -> None:
    if _asked(node, "start_dim", "end_dim") != {"start_dim": 1}:
        raise TypeError(f"cannot be exported: {node.format_node()}")
    writer.add("Flatten", node, axis=1)


_LAYERS: dict[str, Callable[[_Writer, Any, Any], None]] = {
    "Conv2d": _convolution,
    "BatchNorm2d": _normalisation,
    "ReLU": lambda writer, node, layer: writer.add("Relu", node),
    "MaxPool2d": _largest,
    "AdaptiveAvgPool2d": _mean,
    "Dropout": lambda writer, node, layer: writer.same(node),
    "Identity": lambda writer, node, layer: writer.same(node),
}
_FUNCTIONS: dict[str, Callable[[_Writer, Any], None]] = {
    "relu": lambda writer, node: writer.add("Relu", node),
    "cat": _joined,
    "flatten": _flattened,
    "max_pool2d": _largest_of,
    "avg_pool2d": _mean_of,
}
