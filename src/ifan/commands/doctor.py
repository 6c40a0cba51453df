"""`ifan doctor`."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import typer

from ifan import __version__
from ifan.errors import EngineError

if TYPE_CHECKING:
    from ifan.engines.selection import EngineName


_PACKAGES = (
    ("pyvips", "photographs", "pip install ifan"),
    ("pi-heif", "HEIC", "pip install 'ifan[raw]'"),
    ("imagecodecs", "JPEG XL", "pip install 'ifan[raw]'"),
    ("pylibjxl", "JPEG XL", "pip install 'ifan[raw]'"),
    ("rawpy", "RAW", "pip install 'ifan[raw]'"),
    ("onnx", "graphs from checkpoints", "pip install 'ifan[torch]'"),
    ("lightning-fabric", "ifan train", "pip install 'ifan[train]'"),
    ("scikit-image", "ifan evaluate", "pip install 'ifan[evaluate]'"),
    ("fastapi", "ifan serve", "pip install 'ifan[serve]'"),
    ("ray", "ifan batch", "pip install 'ifan[cluster]'"),
)
"""Package, what it is for, how it is brought in. One stands for all that a command needs."""


def doctor() -> None:
    """Say what this machine has, what will be used, what is missing and how to get it."""
    import psutil

    from ifan.engines import selection
    from ifan.engines.memory import available_memory
    from ifan.models import store

    total = psutil.virtual_memory().total
    typer.echo(f"ifan {__version__}, Python {platform.python_version()}, {platform.platform()}")
    typer.echo(f"processor: {os.cpu_count()} logical cores")
    typer.echo(
        f"memory: {available_memory() / 1e9:.1f} GB free of {total / 1e9:.1f} GB\n\nengines:"
    )
    for name in selection.ENGINES:
        typer.echo(f"  {_engine_line(name)}")
    typer.echo("\nbesides:")
    for package, use, install in _PACKAGES:
        version = selection.version(package)
        typer.echo(f"  {package:16} {version or f'missing: {install}'}, for {use}")
    typer.echo(f"\nmodels, imported ones in {store.models_folder()}:")
    for model in store.available_models():
        typer.echo(f"  {model.name}")
    try:
        choice = selection.choose()
    except EngineError as error:
        typer.echo(f"\nnothing can run ifan-s: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"\nused by default: {store.DEFAULT_MODEL} with {choice.engine} on {choice.device} in "
        f"{choice.precision}, because {choice.reason}"
    )


def _engine_line(name: EngineName) -> str:
    from ifan.engines import selection

    if not selection.available(name):
        return f"{name:12} missing: {selection.INSTALL[name]}"
    device = selection.device_of(name)
    offered = ", ".join(selection.precisions(name, device))
    return f"{name:12} {selection.version(name)}, on {device}, in {offered}"
