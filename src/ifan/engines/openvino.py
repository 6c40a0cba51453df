"""OpenVINO: the default on a CPU."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ifan.engines import Array, Views
from ifan.engines.memory import allocation_errors
from ifan.engines.selection import Precision
from ifan.engines.without_telemetry import openvino

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}

_BYTES_PER_PIXEL = {"fp32": 20.0, "bf16": 13.0, "fp16": 13.0}

_KEPT_GRAPHS = 2
"""Compiled graphs kept: one for pictures in landscape, one for those in portrait."""


class OpenVINOEngine:
    """Runs an ONNX graph with OpenVINO.

    The graph is compiled for each size that comes: a graph of free size takes more memory. Threads
    may share an engine; it runs one picture at a time, on all cores.

    Args:
        graph: the ONNX file.
        precision: number format of the arithmetic; input and output are float32 in any case.
    """

    def __init__(self, graph: Path, precision: Precision) -> None:
        self.bytes_per_pixel = _BYTES_PER_PIXEL[precision]
        self._core = openvino.Core()
        self._model = self._core.read_model(graph)
        self._hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._lock = Lock()

    def deblur(self, views: Views) -> Array:
        """Return the all-in-focus picture, 1x3xHxW, not clipped."""
        return self._run("deblurred", views)

    def disparity(self, views: Views) -> Array:
        """Return the disparity map, 1x1xH/8xW/8, in cells of that map."""
        return self._run("disparity", views)

    def _run(self, output: str, views: Views) -> Array:
        height, width = views[0].shape[-2:]
        with self._lock, allocation_errors(height, width):
            compiled = self._compile(output, views[0].shape)
            # A request of its own frees its memory when it is done.
            result = compiled.create_infer_request().infer(list(views), share_inputs=True)
            return np.array(result[0], np.float32)

    def _compile(self, output: str, shape: tuple[int, ...]) -> Any:
        key = (output, shape)
        compiled = self._compiled.pop(key, None)
        if compiled is None:
            if len(self._compiled) >= _KEPT_GRAPHS:
                del self._compiled[next(iter(self._compiled))]  # the one not used for longest
            whole = self._model.clone()
            # With one output asked for, what leads to the other only is left out.
            part = openvino.Model([whole.output(output)], whole.get_parameters())
            part.reshape({parameter: list(shape) for parameter in part.inputs})
            compiled = self._core.compile_model(part, "CPU", self._hints)
        self._compiled[key] = compiled
        return compiled
