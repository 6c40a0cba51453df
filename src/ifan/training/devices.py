"""What a training runs on: one processor or many, on one machine or several."""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

import lightning_fabric
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ifan.errors import IfanError

_log = logging.getLogger(__name__)

PRECISIONS: Mapping[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Our names of precisions, and Fabric's."""


def open_fabric(precision: str, accelerator: str) -> lightning_fabric.Fabric:
    """Set up the device, and meet the other processes that `torchrun` may have started.

    Args:
        precision: a key of `PRECISIONS`. Instead of `bf16`, a device that has no instructions for
            it is given `fp32`: PyTorch would compute the same there many times as slowly.
        accelerator: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        IfanError: there is no such device, or it cannot compute so; or `torchrun` was started in a
            way that does not work.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fp16 on a CPU, which is refused below
            fabric = _fabric(precision, accelerator)
            if precision == "bf16" and not has_bfloat16(fabric.device):
                _log.warning(
                    "bf16: is slow on this %s; fp32 is taken instead", _kind(fabric.device)
                )
                fabric = _fabric("fp32", accelerator)
    except (MisconfigurationException, RuntimeError) as error:
        raise IfanError(accelerator, f"cannot be trained on ({error})", "give cpu") from error
    if precision == "fp16" and fabric.device.type == "cpu":
        raise IfanError("fp16", "cannot be trained with on a CPU", "give --set precision=bf16")
    # Fabric would round the pictures themselves, and so the losses. Autocast knows better.
    fabric.strategy.precision.convert_input = lambda data: data  # type: ignore[method-assign]
    fabric.launch()
    return fabric


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 no more slowly than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return True
    mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _kind(device: torch.device) -> str:
    return "processor" if device.type == "cpu" else "GPU"


def leave_others() -> None:
    """Part from the other processes at the end, in order.

    Threads that still listen to them when Python ends can end the process with SIGABRT, and then
    `torchrun` takes a training that went well for one that failed.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Held until Python ends: were what DDP keeps of the group the last of it, it would be taken
        # apart with Python's lock held, for which the threads wait that it waits for.
        kept = [torch.distributed.group.WORLD]
        atexit.register(kept.clear)
        torch.distributed.destroy_process_group()


def _fabric(precision: str, accelerator: str) -> lightning_fabric.Fabric:
    return lightning_fabric.Fabric(
        accelerator=accelerator, precision=PRECISIONS[precision], **_processes()
    )


def _processes() -> dict[str, Any]:
    """Return what Fabric needs to know of the processes that `torchrun` started this time."""
    # Its agents share a store, in which processes that are started again would find the addresses
    # of those before them.
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if shared and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        reason = "would start processes that wait for the lost ones"
        remedy = "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 first"
        raise IfanError("torchrun --max-restarts", reason, remedy)
    names = ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "WORLD_SIZE")
    here, nodes, together = (int(os.environ.get(name, 1)) for name in names)
    if together == 1:
        return {"devices": 1}
    if here * nodes != together:
        reason = f"started {together} processes on {nodes} nodes, not as many on each"
        raise IfanError("torchrun", reason, "give every node the same --nproc-per-node")
    return {"devices": here, "num_nodes": nodes, "strategy": "ddp"}


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that memory ran out; on a CPU only its text does."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
