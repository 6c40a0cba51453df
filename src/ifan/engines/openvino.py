"""OpenVINO: the default on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifan.engines import FEATURES, Memory
from ifan.engines.compiled import CompiledGraphs
from ifan.engines.graphs import graph_faults_told
from ifan.engines.memory import allocation_errors
from ifan.engines.selection import Precision
from ifan.engines.without_telemetry import openvino

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
"""What OpenVINO calls the precisions."""

_MEMORY = {
    "fp32": Memory(whole=18, encode=13, predict=4.5, apply=6.5, decode=17.5, feature=0.25),
    "bf16": Memory(whole=12.5, encode=7.5, predict=2.8, apply=4, decode=12, feature=0.125),
    "fp16": Memory(whole=12.5, encode=7.5, predict=2.8, apply=4, decode=12, feature=0.125),
}

_STAGES = 4
_KEPT_STAGES = 6 * _STAGES
"""Compiled graphs kept, in stages of the network, as each holds the weights of its own: six whole
networks. At the working size `blur` a picture needs one for each of three sizes, in several passes
another for its transpose, and a large one needs its first in stages."""


class OpenVINOEngine:
    """Runs an ONNX graph with OpenVINO.

    The graph is compiled for each size that comes: a graph of free size takes more memory. There
    is one run at a time.

    Args:
        graph: the ONNX file.
        precision: number format of the arithmetic; pictures are float32 in any case.
        compiled: folder for what is compiled; None keeps nothing.
        threads: that a run takes; None: as many as there are cores.
    """

    def __init__(
        self,
        graph: Path,
        precision: Precision,
        compiled: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self.memory = _MEMORY[precision]
        self._core = openvino.Core()
        self._graph = graph
        self._feature_type = getattr(openvino.Type, HINTS[precision])
        self._hints = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None:
            self._hints["INFERENCE_NUM_THREADS"] = str(threads)
        self._kept = CompiledGraphs(self._core, self._hints, graph, compiled)
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._last: tuple[Any, Any, Any] = None, None, None  # key, compiled graph, request

    @cached_property
    def _model(self) -> Any:
        with graph_faults_told(self._graph):
            return self._core.read_model(self._graph)

    def run(self, given: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> list[NDArray[Any]]:
        """Compute tensors from others, see `ifan.engines.Engine`."""
        shapes = {name: array.shape for name, array in given.items()}
        with allocation_errors(shapes):
            request = self._request_for(shapes, wanted)
            results = request.infer([self._tensor(*item) for item in given.items()])
            # Copied: the next run writes where they are.
            return [np.array(results[index]) for index in range(len(wanted))]

    def release(self) -> None:
        """Give back the memory that is kept for the next call of the same size."""
        _, compiled, request = self._last
        self._last = None, None, None
        del request
        if compiled is not None:
            compiled.release_memory()

    def _request_for(self, shapes: dict[str, tuple[int, ...]], wanted: tuple[str, ...]) -> Any:
        """Return what runs a part of the graph; it holds its memory, so there is one at a time."""
        key = tuple(shapes.items()), wanted
        if self._last[0] != key:
            self.release()
            compiled = self._compile(key, shapes, wanted)
            self._last = key, compiled, compiled.create_infer_request()
        return self._last[2]

    def _compile(
        self, key: Any, shapes: dict[str, tuple[int, ...]], wanted: tuple[str, ...]
    ) -> Any:
        compiled = self._compiled.pop(key, None)
        if compiled is None:
            while self._compiled and sum(map(_stages, (*self._compiled, key))) > _KEPT_STAGES:
                del self._compiled[next(iter(self._compiled))]  # the one not used for longest
            compiled = self._kept.compiled(str(key), lambda: self._part(shapes, wanted))
        self._compiled[key] = compiled
        return compiled

    def _part(self, shapes: dict[str, tuple[int, ...]], wanted: Iterable[str]) -> Any:
        """Cut out of the graph what leads from some tensors to others."""
        whole = self._model.clone()
        with graph_faults_told(self._graph):
            inputs = [_input(whole, name) for name in shapes]
            outputs = [_source(whole, name) for name in wanted]
        part = openvino.Model(outputs, inputs)
        part.reshape(
            {
                node.output(0): list(shape)
                for node, shape in zip(inputs, shapes.values(), strict=True)
            }
        )
        return self._with_features_as_computed(part, list(shapes), list(wanted))

    def _with_features_as_computed(self, part: Any, given: list[str], wanted: list[str]) -> Any:
        """Take and give features in the precision of the arithmetic, half the size of float32."""
        from openvino.preprocess import PrePostProcessor

        steps = PrePostProcessor(part)
        for index, name in enumerate(given):
            if name in FEATURES:
                steps.input(index).tensor().set_element_type(self._feature_type)
        for index, name in enumerate(wanted):
            if name in FEATURES:
                steps.output(index).tensor().set_element_type(self._feature_type)
        return steps.build()

    def _tensor(self, name: str, array: NDArray[Any]) -> Any:
        array = np.ascontiguousarray(array)
        if name in FEATURES:
            # NumPy has no bfloat16; what the bits mean is said here.
            return openvino.Tensor(array, openvino.Shape(array.shape), self._feature_type)
        return openvino.Tensor(array, shared_memory=True)


def _stages(key: tuple[Any, ...]) -> int:
    """Return how many stages of the network a compiled graph has."""
    shapes, wanted = key
    names = {*dict(shapes), *wanted}
    return _STAGES if names.isdisjoint(FEATURES) else 1


def _source(model: Any, name: str) -> Any:
    """Return the port of the graph whose values an output of the graph has."""
    return model.output(name).node.input(0).get_source_output()


def _input(model: Any, name: str) -> Any:
    """Return an input of the graph: its own, or a new one in place of what computes a tensor."""
    for parameter in model.get_parameters():
        if name in parameter.output(0).names:
            return parameter
    source = _source(model, name)
    parameter = openvino.opset13.parameter(source.partial_shape, openvino.Type.f32, name)
    for reader in source.get_target_inputs():
        reader.replace_source_output(parameter.output(0))
    return parameter
