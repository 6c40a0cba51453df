"""ONNX Runtime, for where it is the engine that a program has already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx.utils
import onnxruntime
from numpy.typing import NDArray

from ifan.engines import Memory
from ifan.engines.graphs import graph_faults_told
from ifan.engines.memory import allocation_errors


class OnnxRuntimeEngine:
    """Runs an ONNX graph with ONNX Runtime on the CPU, in float32.

    Args:
        graph: the ONNX file.
        threads: that a run takes; None: as many as there are cores.
    """

    memory = Memory(whole=60, encode=13, predict=6, apply=45, decode=35, feature=0.25)

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        self._graph = graph
        self._threads = threads or 0  # of which ONNX Runtime makes as many as there are cores
        self._sessions: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}

    def run(self, given: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> list[NDArray[Any]]:
        """Compute tensors from others, see `ifan.engines.Engine`."""
        with allocation_errors({name: array.shape for name, array in given.items()}):
            session = self._session(tuple(given), wanted)
            results = session.run(
                list(wanted), {n: np.ascontiguousarray(a) for n, a in given.items()}
            )
            return [np.asarray(result, np.float32) for result in results]

    def release(self) -> None:
        """Do nothing: no memory is kept."""

    def _session(self, given: tuple[str, ...], wanted: tuple[str, ...]) -> Any:
        """Return what runs the part of the graph that leads from some tensors to others."""
        if (given, wanted) not in self._sessions:
            with graph_faults_told(self._graph):
                whole = onnx.load(self._graph)
                part = onnx.utils.Extractor(whole).extract_model(list(given), list(wanted))
            options = onnxruntime.SessionOptions()
            # Memory goes back after each picture instead of staying at the largest one's need.
            options.enable_cpu_mem_arena = False
            options.intra_op_num_threads = self._threads
            options.log_severity_level = 4  # errors are raised; they need not be printed besides
            self._sessions[given, wanted] = onnxruntime.InferenceSession(
                part.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[given, wanted]
