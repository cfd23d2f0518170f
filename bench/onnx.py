"""Runs networks stored as ONNX with onnxruntime on one CPU thread."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Unavailable


class OnnxNetwork:
    """A network with one input of free batch size. The session is made on first use.

    Its answer for an image does not depend on the others of the batch, nor on the machine's other work.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, rows in the order of `batch` (N, C, H, W)."""
        session = self._session
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, {session.get_inputs()[0].name: np.ascontiguousarray(batch)})
        return dict(zip(names, values, strict=True))

    @cached_property
    def _session(self) -> Any:
        import onnx

        try:
            # Weights in files beside it are never followed: their paths are the file's to say.
            model = onnx.load(str(self.path), load_external_data=False)
            _refuse_external(model.graph)
            _free_inputs(model.graph)
            _replace_prelu(model.graph)
            return cpu_session(model.SerializeToString())
        except Exception as error:  # neither library's exceptions share a base class of their own
            raise Unavailable(
                f"onnxruntime cannot read {self.path}: {error}", "fetch the file again or update onnxruntime"
            ) from error


def cpu_session(model: bytes) -> Any:
    """An onnxruntime session of one thread for the ONNX file with these bytes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _refuse_external(graph: Any) -> None:
    """Raises ValueError where a graph's weights lie in other files."""
    outside = [t.name for t in graph.initializer if t.external_data or t.data_location]
    if outside:
        raise ValueError(f"weights {outside[0]} are in another file, which is not opened")


def _free_inputs(graph: Any) -> None:
    """Leave the batch size of a graph open, and its weights closed to callers.

    Old exporters list weights among the inputs, which forbids onnxruntime to fold them: UltraFace runs three
    times as fast without.
    """
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for value in (*graph.input, *graph.output):
        shape = value.type.tensor_type.shape
        if shape.dim and shape.dim[0].dim_value == 1:
            shape.dim[0].dim_param = "N"


def _replace_prelu(graph: Any) -> None:
    """Write every PRelu with constant slopes as operators that onnxruntime computes in its blocked layout.

    Its own PRelu takes longer than all convolutions of a MobileFaceNet together; without it such networks run
    2.4 to 2.9 times as fast. A single slope is a LeakyRelu. Otherwise slope * x + (1 - slope) * relu(x), the
    scalings as batch normalisations, which become depthwise convolutions.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type == "PRelu" and node.input[1] in constants:
            slopes = numpy_helper.to_array(constants[node.input[1]])
            if slopes.size == 1:
                nodes.append(_leaky(node, float(slopes.reshape(()))))
                continue
            if slopes.shape == (len(slopes), 1, 1):
                nodes += _scaled_and_summed(graph, node, slopes.ravel())
                continue
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _leaky(node: Any, slope: float) -> Any:
    from onnx import helper

    return helper.make_node("LeakyRelu", [node.input[0]], list(node.output), alpha=slope)


def _scaled_and_summed(graph: Any, node: Any, slopes: NDArray[np.float32]) -> list[Any]:
    from onnx import helper, numpy_helper

    x, y = node.input[0], node.output[0]

    def constant(name: str, values: NDArray[np.float32]) -> str:
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), f"{y}/{name}"))
        return f"{y}/{name}"

    nothing, one = constant("zeros", np.zeros_like(slopes)), constant("ones", np.ones_like(slopes))

    def scaled(source: str, name: str, factors: NDArray[np.float32]) -> Any:
        inputs = [source, constant(f"{name}/factors", factors), nothing, nothing, one]
        return helper.make_node("BatchNormalization", inputs, [f"{y}/{name}"], epsilon=0.0)

    return [
        helper.make_node("Relu", [x], [f"{y}/positive"]),
        scaled(x, "all", slopes),
        scaled(f"{y}/positive", "rest", 1 - slopes),
        helper.make_node("Add", [f"{y}/all", f"{y}/rest"], [y]),
    ]
