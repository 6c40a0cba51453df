"""Networks as ONNX graphs, free in height and width. Needs PyTorch and onnx."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ifan.engines import VIEWS, Array, Choice, open_engine
from ifan.errors import ModelError
from ifan.files import require_free, write_atomically
from ifan.models.configuration import METADATA_KEY, Description
from ifan.models.graphs import WEIGHTS_KEY, fingerprint
from ifan.models.headers import too_large_for_half
from ifan.models.released import to_released
from ifan.networks import IFAN
from ifan.networks.ifan import Deblurring

OPSET = 17

_TRACED_SIZE = (64, 96)
_CHECKED_SIZE = (88, 72)
"""Height and width for the check; others than the traced ones, so that a graph that has baked
those in is found out."""

_FILTER_DIMENSIONS = 4
"""Weights of as many dimensions are filters; biases have one."""

_TOLERANCE = 1e-4
"""Largest difference to PyTorch, relative to the largest value (at least 1)."""


class _Graph(nn.Module):
    """What engines ask for, from the views that they give."""

    def __init__(self, network: IFAN) -> None:
        super().__init__()
        self.network = network

    def forward(self, center: Tensor, *sides: Tensor) -> Deblurring:
        left, right = sides if sides else (None, None)
        return self.network.deblur(center, left, right)


def export_onnx(
    path: str | os.PathLike[str],
    network: IFAN,
    *,
    sample_bits: int = 8,
    overwrite: bool = False,
) -> None:
    """Write a network as an ONNX graph, once it is shown to give what PyTorch gives.

    Inputs `center` (dual-pixel: and `left`, `right`), float32 Nx3xHxW; outputs as in
    `ifan.networks.ifan.Deblurring`, `deblurred` first. N, H and W are free. The graph can be cut at
    the features among the outputs, to be run in stages.

    Args:
        path: the file.
        network: float32, on the CPU.
        sample_bits: bits a sample of the pictures it was trained with, 8 or 16.
        overwrite: whether a file of that name is replaced.

    Raises:
        ModelError: the graph does not give what the network gives.
        OutputError: the file exists and `overwrite` is not set, or it cannot be written.
    """
    require_free(path, overwrite=overwrite)
    graph = onnx.load_from_string(_trace(network))
    weights = {name: tensor.numpy() for name, tensor in to_released(network).items()}
    said = Description.of(network, sample_bits).to_json()
    onnx.helper.set_model_props(graph, {METADATA_KEY: said, WEIGHTS_KEY: fingerprint(weights)})
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString()
    difference = _difference(data, network)
    if not difference <= _TOLERANCE:
        raise ModelError(
            path,
            f"would not hold what the network gives: they differ by {difference:.1g}",
            "check that the weights are finite and of ordinary size",
        )
    write_atomically(path, data, overwrite=overwrite)


def halved(graph: bytes, path: str | os.PathLike[str]) -> bytes:
    """Return an ONNX graph whose filters are float16, and become float32 before they are used.

    Args:
        graph: the graph, with filters in float32.
        path: what messages call the result.

    Raises:
        ModelError: a filter is too large for float16.
    """
    model = onnx.load_from_string(graph)
    casts = []
    for weights in model.graph.initializer:
        if len(weights.dims) < _FILTER_DIMENSIONS or weights.data_type != onnx.TensorProto.FLOAT:
            continue
        name, stored = weights.name, f"{weights.name}.half"
        with np.errstate(over="ignore"):
            values = onnx.numpy_helper.to_array(weights).astype(np.float16)
        if not np.isfinite(values).all():
            raise too_large_for_half(path)
        weights.CopyFrom(onnx.numpy_helper.from_array(values, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    # Nodes come in the order in which they run.
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _views(network: IFAN, size: tuple[int, int]) -> tuple[Array, ...]:
    random = np.random.default_rng(0)
    count = 3 if network.dual_pixel else 1
    return tuple(random.random((1, 3, *size), np.float32) for _ in range(count))


def _trace(network: IFAN) -> bytes:
    """Return the graph that PyTorch's exporter makes.

    Its newer exporter takes many times as long for a graph that runs no faster, so the older one
    does it as long as PyTorch has it.
    """
    views = _views(network, _TRACED_SIZE)
    names = VIEWS[: len(views)]
    whole, cells = {0: "N", 2: "H", 3: "W"}, {0: "N", 2: "H/8", 3: "W/8"}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        file = Path(folder) / "graph.onnx"
        warnings.simplefilter("ignore")  # that it is the older one, hundreds of times
        torch.onnx.export(
            _Graph(network).eval(),
            tuple(map(torch.from_numpy, views)),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(Deblurring._fields),
            dynamic_axes={
                **dict.fromkeys(Deblurring._fields, cells),
                **dict.fromkeys((*names, "deblurred"), whole),
            },
        )
        return file.read_bytes()


def _difference(graph: bytes, network: IFAN) -> float:
    """Return how far the graph, run by OpenVINO, is from the network, relative to its values."""
    views = _views(network, _CHECKED_SIZE)
    with torch.inference_mode():
        expected = network.deblur(*map(torch.from_numpy, views))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        file.write_bytes(graph)
        choice = Choice("openvino", "cpu", "fp32", "the check needs its precision")
        engine = open_engine(choice, graph=lambda: file, network=lambda: network)
        given = dict(zip(VIEWS, views, strict=False))
        found = (engine.run(given, (name,))[0] for name in ("deblurred", "disparity"))
        return max(map(_relative_difference, found, expected[:2]))


def _relative_difference(found: Array, expected: Tensor) -> float:
    reference = expected.numpy()
    with np.errstate(invalid="ignore"):  # of infinite values, the difference is no number
        return float(np.abs(found - reference).max() / max(1.0, np.abs(reference).max()))
