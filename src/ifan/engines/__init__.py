"""What runs a network: OpenVINO, PyTorch or ONNX Runtime behind one small protocol.

An engine knows arrays, not pictures: it takes views whose height and width are multiples of 8 and
gives what the network gives. Padding is `ifan.engines.staged`'s work, clipping and scaling are
`ifan.images.rendition`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ifan.engines.selection import Choice, choose

if TYPE_CHECKING:
    from ifan.networks import IFAN

__all__ = ["Array", "Choice", "Engine", "Memory", "Views", "choose", "open_engine"]

Array = NDArray[np.float32]

Views = tuple[Array, ...]
"""(center,) or, for a dual-pixel network, (center, left, right): each 1x3xHxW, sRGB-coded in
[0, 1], contiguous, H and W multiples of 8."""

VIEWS = ("center", "left", "right")
FEATURES = ("encoded", "defocused", "filter_feature", "bottleneck")
"""What the views and the features between the stages are called."""


class Memory(NamedTuple):
    """Peak memory that an engine takes, measured by `benchmarks/network.py`.

    All in bytes for each pixel and each channel of the network's width.

    Attributes:
        whole: of a picture that goes through the network at once.
        encode: of a tile, in the first stage.
        predict: of a tile, in the second stage.
        apply: of a tile, in the third stage.
        decode: of a tile, in the fourth stage.
        feature: what is kept of each of the features between the stages.
    """

    whole: float
    encode: float
    predict: float
    apply: float
    decode: float
    feature: float


class Engine(Protocol):
    """A network, ready to run, whole or in its four stages.

    Its tensors have names: the views `center`, `left` and `right`, 1x3xHxW; `deblurred`, like
    these, not clipped; `disparity`, 1x1xH/8xW/8, in cells of that map; and between the stages the
    features `encoded`, `defocused`, `filter_feature` and `bottleneck`, 1x4*widthxH/8xW/8, in a
    number format of the engine's own, which are to be cut and handed back only.

        views -> deblurred          the whole network
        views -> disparity          what of it estimates the disparity
        views -> encoded, defocused; encoded -> filter_feature;
            filter_feature, defocused -> bottleneck; bottleneck, center -> deblurred
        views -> encoded; encoded -> disparity

    Attributes:
        memory: what it takes.
    """

    memory: Memory

    def run(self, given: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> list[NDArray[Any]]:
        """Compute tensors from others, in one of the ways above.

        Args:
            given: arrays by name.
            wanted: names of what is to be computed.

        Raises:
            OutOfMemoryError: memory ran out.
        """
        ...

    def release(self) -> None:
        """Give back the memory that is kept for the next call of the same size."""
        ...


def open_engine(
    choice: Choice,
    *,
    graph: Callable[[], Path],
    network: Callable[[], IFAN],
    compiled: Path | None = None,
    threads: int | None = None,
) -> Engine:
    """Make the chosen engine.

    Args:
        choice: what `choose` returned.
        graph: gives the network as an ONNX file; called only if the engine runs that.
        network: gives the network in PyTorch; called only if the engine runs that.
        compiled: folder for compiled graphs, if they are to be kept.
        threads: that it may take on a CPU; None: as many as there are cores.
    """
    if choice.engine == "torch":
        from ifan.engines.torch import TorchEngine

        return TorchEngine(network(), choice.device, choice.precision, threads)
    if choice.engine == "onnxruntime":
        from ifan.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph(), threads)
    from ifan.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(graph(), choice.precision, compiled, threads)
