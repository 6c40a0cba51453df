"""How many multiplications a network needs for a picture, read off its graph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ifan.engines.without_telemetry import openvino

_CONVOLUTION, _TRANSPOSED = "Convolution", "ConvolutionBackpropData"


def multiplications(graph: Path, height: int, width: int) -> int:
    """Count multiply-accumulate operations for one picture.

    Counted are the convolutions of the graph, a transposed one by the pixels that go in, and one
    operation more for each bias that is added; activations and the IAC itself are not. The
    published numbers were counted so; where the graph leaves out filters that are never read, they
    are not counted either.

    Args:
        graph: an ONNX graph of `ifan.models.export`.
        height: of the picture in pixels, a multiple of 8.
        width: of the picture in pixels, a multiple of 8.
    """
    model = openvino.Core().read_model(graph)
    model.reshape({view: [1, 3, height, width] for view in model.inputs})
    return sum(map(_of_operation, model.get_ordered_ops()))


def _of_operation(operation: Any) -> int:
    kind = operation.get_type_name()
    if kind in (_CONVOLUTION, _TRANSPOSED):
        # One weight meets every pixel of what it is laid on: the output, or the transposed input.
        laid_on = operation.input(0) if kind == _TRANSPOSED else operation.output(0)
        weights: int = math.prod(operation.input(1).get_shape())
        pixels: int = math.prod(list(laid_on.get_shape())[2:])
        return weights * pixels
    if kind == "Add" and _adds_bias(operation):
        outputs: int = math.prod(operation.output(0).get_shape())
        return outputs
    return 0


def _adds_bias(addition: Any) -> bool:
    # Each convolution has a bias, so what is added to its result at once is that.
    terms = (term.get_source_output().get_node() for term in addition.inputs())
    return any(term.get_type_name() in (_CONVOLUTION, _TRANSPOSED) for term in terms)
