"""PyTorch: any checkpoint, on CUDA, MPS or the CPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ifan.engines import FEATURES, Memory
from ifan.engines.memory import allocation_errors
from ifan.engines.selection import Precision
from ifan.networks import IFAN

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Runs a network in PyTorch.

    Args:
        network: the network; a copy of it is moved to the device.
        device: `cpu`, `cuda` or `mps`.
        precision: number format of the convolutions (automatic mixed precision).
        threads: that PyTorch may take on a CPU in all the program; None leaves it as it is.
    """

    memory = Memory(whole=20, encode=11, predict=4, apply=8, decode=15, feature=0.25)

    def __init__(
        self, network: IFAN, device: str, precision: Precision, threads: int | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._dtype = _DTYPES[precision]
        # Channels last spares the convolutions a rearrangement of their input.
        self._network = copy.deepcopy(network).eval()
        module: nn.Module = self._network
        module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, given: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> list[NDArray[Any]]:
        """Compute tensors from others, see `ifan.engines.Engine`."""
        mixed = self._dtype is not torch.float32
        with (
            allocation_errors({name: array.shape for name, array in given.items()}),
            torch.inference_mode(),
            # Float32 that was asked for is not to be rounded to TensorFloat-32 on a GPU.
            torch.backends.cudnn.flags(enabled=True, allow_tf32=mixed),
            torch.autocast(self._device.type, self._dtype, enabled=mixed),
        ):
            results = self._computed({n: self._tensor(array) for n, array in given.items()}, wanted)
            return [_array(name, result) for name, result in zip(wanted, results, strict=True)]

    def release(self) -> None:
        """Give back the memory that is kept for the next call."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _computed(self, given: dict[str, Tensor], wanted: tuple[str, ...]) -> Sequence[Tensor]:
        network = self._network
        match wanted:
            case ("deblurred",) if "bottleneck" in given:
                return [network.decode(**given)]
            case ("deblurred",):
                return [network(**given)]
            case ("bottleneck",):
                return [network.apply_filters(**given)]
            case ("filter_feature",):
                return network.predict(**given)[:1]
            case ("disparity",) if "encoded" in given:
                return [network.disparity_estimator(given["encoded"])]
            case ("disparity",):
                unread = {"center"} if network.dual_pixel else set()
                return [network.disparity(**{n: given[n] for n in given.keys() - unread})]
            case _:  # ("encoded", "defocused"), or the first of them
                return network.encode(**given)[: len(wanted)]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if array.dtype == np.int16:
            tensor = tensor.view(torch.bfloat16)  # which NumPy does not have
        return tensor.to(self._device, memory_format=torch.channels_last)


def _array(name: str, tensor: Tensor) -> NDArray[Any]:
    if name in FEATURES:
        tensor = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    else:
        tensor = tensor.float()
    return np.ascontiguousarray(tensor.cpu().numpy())
