"""PyTorch: any checkpoint, on CUDA, MPS or the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ifan.engines import Array, Views
from ifan.engines.memory import allocation_errors
from ifan.engines.selection import Precision
from ifan.networks import IFAN

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Runs a network in PyTorch.

    Args:
        network: the network; it is moved to the device.
        device: `cpu`, `cuda` or `mps`.
        precision: number format of the convolutions (automatic mixed precision).
    """

    bytes_per_pixel = 20.0

    def __init__(self, network: IFAN, device: str, precision: Precision) -> None:
        self._device = torch.device(device)
        self._dtype = _DTYPES[precision]
        # Channels last spares the convolutions a rearrangement of their input.
        module: nn.Module = network.eval()
        module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = network

    def deblur(self, views: Views) -> Array:
        """Return the all-in-focus picture, 1x3xHxW, not clipped."""
        return self._run(self._network, views)

    def disparity(self, views: Views) -> Array:
        """Return the disparity map, 1x1xH/8xW/8, in cells of that map."""
        return self._run(self._disparity, views)

    def _disparity(self, center: Tensor, *sides: Tensor) -> Tensor:
        if sides:
            left, right = sides
            return self._network.disparity(left=left, right=right)
        return self._network.disparity(center)

    def _run(self, function: Callable[..., Tensor], views: Views) -> Array:
        height, width = views[0].shape[-2:]
        mixed = self._dtype is not torch.float32
        with (
            allocation_errors(height, width),
            torch.inference_mode(),
            # Float32 that was asked for is not to be rounded to TensorFloat-32 on a GPU.
            torch.backends.cudnn.flags(enabled=True, allow_tf32=mixed),
            torch.autocast(self._device.type, self._dtype, enabled=mixed),
        ):
            tensors = (
                torch.from_numpy(view).to(self._device, memory_format=torch.channels_last)
                for view in views
            )
            result = function(*tensors).float().cpu().numpy()
        return cast("Array", np.ascontiguousarray(result))
