"""Models: names to weights. The table of known ones, files, folders, download and export."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifan.models.checkpoints import (
        Checkpoint,
        load_released_checkpoint,
        save_released_checkpoint,
        save_safetensors,
    )
    from ifan.models.export import export_onnx
    from ifan.models.store import Model, open_model

__all__ = [
    "Checkpoint",
    "Model",
    "export_onnx",
    "load_released_checkpoint",
    "open_model",
    "save_released_checkpoint",
    "save_safetensors",
]

_HOMES = {
    **dict.fromkeys(
        (
            "Checkpoint",
            "load_released_checkpoint",
            "save_released_checkpoint",
            "save_safetensors",
        ),
        "ifan.models.checkpoints",
    ),
    "export_onnx": "ifan.models.export",
    "Model": "ifan.models.store",
    "open_model": "ifan.models.store",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: most of them need PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
