"""What runs a network: OpenVINO, PyTorch or ONNX Runtime behind one small protocol.

An engine knows arrays, not pictures: it takes views whose height and width are multiples of 8 and
gives what the network gives. Padding, clipping and scaling are `ifan.deblurrer`'s work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ifan.engines.selection import Choice, choose

if TYPE_CHECKING:
    from ifan.networks import IFAN

__all__ = ["Choice", "Engine", "Views", "choose", "open_engine"]

Array = NDArray[np.float32]

Views = tuple[Array, ...]
"""(center,) or, for a dual-pixel network, (center, left, right): each 1x3xHxW, sRGB-coded in
[0, 1], contiguous, H and W multiples of 8."""


class Engine(Protocol):
    """A network, ready to run.

    Attributes:
        bytes_per_pixel: peak memory that `deblur` takes, in bytes for each pixel and each channel
            of the network's width; measured, see `benchmarks/network.py`.
    """

    bytes_per_pixel: float

    def deblur(self, views: Views) -> Array:
        """Return the all-in-focus picture, 1x3xHxW, not clipped.

        Raises:
            EngineError: memory ran out.
        """
        ...

    def disparity(self, views: Views) -> Array:
        """Return the disparity map, 1x1xH/8xW/8, in cells of that map.

        Raises:
            EngineError: memory ran out.
        """
        ...


def open_engine(
    choice: Choice, *, graph: Callable[[], Path], network: Callable[[], IFAN]
) -> Engine:
    """Make the chosen engine.

    Args:
        choice: what `choose` returned.
        graph: gives the network as an ONNX file; called only if the engine runs that.
        network: gives the network in PyTorch; called only if the engine runs that.
    """
    if choice.engine == "torch":
        from ifan.engines.torch import TorchEngine

        return TorchEngine(network(), choice.device, choice.precision)
    if choice.engine == "onnxruntime":
        from ifan.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph())
    from ifan.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(graph(), choice.precision)
