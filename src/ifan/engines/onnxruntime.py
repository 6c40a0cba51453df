"""ONNX Runtime, for where it is the engine that a program has already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from ifan.engines import Array, Views
from ifan.engines.memory import allocation_errors


class OnnxRuntimeEngine:
    """Runs an ONNX graph with ONNX Runtime on the CPU, in float32.

    Args:
        graph: the ONNX file.
    """

    bytes_per_pixel = 45.0

    def __init__(self, graph: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Memory goes back after each picture instead of staying at the largest one's need.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4  # errors are raised; they need not be printed besides
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def deblur(self, views: Views) -> Array:
        """Return the all-in-focus picture, 1x3xHxW, not clipped."""
        return self._run("deblurred", views)

    def disparity(self, views: Views) -> Array:
        """Return the disparity map, 1x1xH/8xW/8, in cells of that map."""
        return self._run("disparity", views)

    def _run(self, output: str, views: Views) -> Array:
        height, width = views[0].shape[-2:]
        names = (node.name for node in self._session.get_inputs())
        with allocation_errors(height, width):
            result = self._session.run([output], dict(zip(names, views, strict=True)))
        return np.asarray(result[0], np.float32)
