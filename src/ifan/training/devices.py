"""What a training runs on: one processor or many, on one machine or several."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import lightning_fabric
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ifan.errors import IfanError

PRECISIONS: Mapping[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Our names of precisions, and Fabric's."""


def open_fabric(precision: str, accelerator: str) -> lightning_fabric.Fabric:
    """Set up the device, and meet the other processes that `torchrun` may have started.

    Args:
        precision: a key of `PRECISIONS`.
        accelerator: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        IfanError: there is no such device, or it cannot compute so.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fp16 on a CPU, which is refused below
            fabric = lightning_fabric.Fabric(
                accelerator=accelerator, precision=PRECISIONS[precision], **_processes()
            )
    except (MisconfigurationException, RuntimeError) as error:
        raise IfanError(accelerator, f"cannot be trained on ({error})", "give cpu") from error
    if precision == "fp16" and fabric.device.type == "cpu":
        raise IfanError("fp16", "cannot be trained with on a CPU", "give --set precision=bf16")
    fabric.launch()
    return fabric


def _processes() -> dict[str, Any]:
    here, all_ = (int(os.environ.get(name, 1)) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if all_ == 1:
        return {"devices": 1}
    return {"devices": here, "num_nodes": all_ // here, "strategy": "ddp"}


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that memory ran out; on a CPU only its text does."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
