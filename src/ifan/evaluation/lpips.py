"""LPIPS v0.1 with AlexNet (Zhang et al., CVPR 2018), without PyTorch.

How far two pictures are apart in the features of a network that was trained to recognise things:
after each of five layers, the features of a place are scaled to length 1, and their squared
differences weighted, summed, and averaged over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from ifan.engines.memory import available_memory
from ifan.engines.without_telemetry import openvino
from ifan.errors import EngineError
from ifan.evaluation.metrics import Picture

# Of AlexNet's convolutions: stride and padding in pixels.
_LAYERS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
_POOLED = (1, 2)
"""Layers before which the largest of 3x3 features is taken, at every second place."""

# Of ImageNet, for values in [-1, 1].
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)

_EPSILON = 1e-10
"""Added to the length of features, so that those of length 0 can be divided by it."""

_BYTES_PER_PIXEL = 200
"""Peak memory, in bytes for each pixel of each picture; measured, with some to spare."""


class Lpips:
    """The metric, ready to run; threads may share it.

    Float32: it agrees with the definition in float64 to about 1e-7.
    """

    def __init__(self) -> None:
        core = openvino.Core()
        hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._network = core.compile_model(_graph(_weights()), "CPU", hints)

    def __call__(self, target: Picture, pictures: Sequence[Picture]) -> list[float]:
        """Return how far each of some pictures is from a target.

        Args:
            target: HxWx3, sRGB-coded in [0, 1], at least 31 pixels on each side.
            pictures: the same.

        Raises:
            EngineError: memory does not suffice.
        """
        _require_memory(target, 1 + len(pictures))
        planes = [picture.transpose(2, 0, 1) for picture in (target, *pictures)]
        batch = np.stack(planes, dtype=np.float32, casting="same_kind")
        # A request of its own frees its memory when it is done.
        result = self._network.create_infer_request().infer([batch], share_inputs=True)
        return [float(distance) for distance in result[0][1:]]


def _require_memory(picture: Picture, count: int) -> None:
    """Refuse pictures that would not fit into the memory that is free now."""
    height, width = picture.shape[:2]
    needed, available = _BYTES_PER_PIXEL * height * width * count, available_memory()
    if needed > available:
        reason = (
            f"{width}x{height} pixels need about {needed / 1e9:.1f} GB of memory to be scored, "
            f"{available / 1e9:.1f} GB are free"
        )
        raise EngineError("LPIPS", reason, "close other programs, or give smaller pictures")


def _weights() -> dict[str, npt.NDArray[np.float32]]:
    file = resources.files("ifan.evaluation") / "lpips_alexnet" / "weights.safetensors"
    return load(file.read_bytes())


def _graph(weights: dict[str, npt.NDArray[np.float32]]) -> Any:
    """Return the graph: pictures Nx3xHxW to their N distances from the first of them."""
    from openvino import opset13 as op

    def constant(*values: float) -> Any:
        return op.constant(np.array(values, np.float32).reshape(1, -1, 1, 1))

    def convolved(features: Any, kernel: npt.NDArray[np.float32], stride: int, pad: int) -> Any:
        sides = [pad, pad]
        return op.convolution(features, op.constant(kernel), [stride, stride], sides, sides, [1, 1])

    pictures = op.parameter([-1, 3, -1, -1], np.float32)
    features = op.subtract(op.multiply(pictures, constant(2)), constant(1))
    features = op.divide(op.subtract(features, constant(*_MEAN)), constant(*_DEVIATION))
    distances = None
    for number, (stride, pad) in enumerate(_LAYERS):
        if number in _POOLED:
            pooled = op.max_pool(features, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3])
            features = pooled.output(0)
        features = convolved(features, weights[f"conv{number}.weight"], stride, pad)
        features = op.relu(op.add(features, constant(*weights[f"conv{number}.bias"])))
        squares = op.reduce_sum(op.multiply(features, features), op.constant([1]), True)
        unit = op.divide(features, op.add(op.sqrt(squares), constant(_EPSILON)))
        first = op.slice(unit, *(op.constant([bound]) for bound in (0, 1, 1, 0)))
        steps = op.subtract(unit, first)
        weighted = convolved(op.multiply(steps, steps), weights[f"lin{number}.weight"], 1, 0)
        distance = op.reduce_mean(weighted, op.constant([1, 2, 3]))
        distances = distance if distances is None else op.add(distances, distance)
    return openvino.Model([distances], [pictures])
