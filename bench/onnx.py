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
        """Outputs by name, rows in the order of `batch` (N, C, H, W), N >= 1."""
        session = self._session
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, {session.get_inputs()[0].name: np.ascontiguousarray(batch)})
        return dict(zip(names, values, strict=True))

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise Unavailable(
                f"onnxruntime cannot read {self.path}: {error}", "fetch the file again or update onnxruntime"
            ) from error
