"""Which engine this machine has, which one `auto` takes, and why."""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Literal, NamedTuple

from ifan.errors import EngineError

EngineName = Literal["openvino", "torch", "onnxruntime"]
Precision = Literal["fp32", "bf16", "fp16"]

ENGINES: tuple[EngineName, ...] = ("openvino", "torch", "onnxruntime")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")

INSTALL = {
    "openvino": "pip install openvino",
    "torch": "pip install 'ifan[torch]'",
    "onnx": "pip install 'ifan[torch]'",
    "onnxruntime": "pip install 'ifan[onnx]'",
}
"""How each engine, and what makes graphs for it, is brought in."""


class Choice(NamedTuple):
    """What will run.

    Attributes:
        engine: name of the engine.
        device: `cpu`, `cuda` or `mps`.
        precision: number format of the network's arithmetic.
        reason: why it was this one, for people.
    """

    engine: EngineName
    device: str
    precision: Precision
    reason: str


def choose(engine: str = "auto", precision: str = "auto", *, has_graph: bool = True) -> Choice:
    """Choose an engine and a precision.

    Args:
        engine: a name, or `auto`: PyTorch on a CUDA or MPS device if there is one, else OpenVINO.
        precision: a number format, or `auto`: the fastest that keeps the picture (see
            `docs/architecture.md`).
        has_graph: the model comes as an ONNX graph, or can be turned into one here.

    Raises:
        EngineError: the engine is unknown or not installed, or cannot do the precision here.
    """
    name, reason = _automatic(has_graph) if engine == "auto" else (_required(engine), "as asked")
    device = device_of(name)
    offered = precisions(name, device)
    if precision == "auto":
        return Choice(name, device, offered[0], reason)
    for candidate in offered:
        if candidate == precision:
            return Choice(name, device, candidate, reason)
    raise EngineError(
        f"--precision {precision}",
        f"is not offered by {name} on this machine's {device}",
        f"choose auto or {', '.join(offered)}",
    )


def device_of(engine: EngineName) -> str:
    """Return the device that an engine uses on this machine: `cpu`, `cuda` or `mps`."""
    return (accelerator() or "cpu") if engine == "torch" else "cpu"


def installed(package: str) -> bool:
    """Whether a package can be imported; does not import it."""
    return find_spec(package) is not None


def available(engine: EngineName) -> bool:
    """Whether all that an engine needs is installed; imports nothing."""
    # ONNX Runtime runs graphs, onnx cuts them into stages.
    packages = ("onnxruntime", "onnx") if engine == "onnxruntime" else (engine,)
    return all(map(installed, packages))


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def precisions(engine: EngineName, device: str) -> tuple[Precision, ...]:
    """Return what an engine offers on a device of this machine; what `auto` takes comes first."""
    if engine == "onnxruntime":
        return ("fp32",)
    if engine == "torch":
        # Automatic mixed precision is there to be asked for: what it costs a picture on a GPU was
        # not measured, and on a CPU it is OpenVINO that is fast.
        return ("fp32", "bf16", "fp16") if device == "cuda" else ("fp32", "bf16")
    offered: list[Precision] = ["fp32"]
    capabilities = openvino_capabilities()
    if "FP16" in capabilities:
        offered.append("fp16")
    if "BF16" in capabilities:
        offered.insert(0, "bf16")
    return tuple(offered)


@cache
def openvino_capabilities() -> tuple[str, ...]:
    """Return what OpenVINO says the CPU can do, as its own words (`BF16`, `INT8`, ...)."""
    from ifan.engines.without_telemetry import openvino

    return tuple(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


@cache
def accelerator() -> str | None:
    """Return `cuda` or `mps` if PyTorch can use such a device here, else None.

    PyTorch takes seconds to import, so it is asked only where a driver is in sight.
    """
    if not installed("torch") or not _has_driver():
        return None
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _has_driver() -> bool:
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _automatic(has_graph: bool) -> tuple[EngineName, str]:
    """Return what `auto` takes, and why."""
    if installed("torch") and accelerator():
        return "torch", f"it can use the {accelerator()} device of this machine"
    if has_graph and available("openvino"):
        return "openvino", "it is the fastest on a CPU"
    if has_graph and available("onnxruntime"):
        return "onnxruntime", "openvino is not installed"
    if installed("torch"):
        return "torch", "there is no ONNX graph, or nothing else that runs one"
    raise EngineError(
        "model", "needs PyTorch to be read" if not has_graph else "has no engine", INSTALL["torch"]
    )


def _required(engine: str) -> EngineName:
    for name in ENGINES:
        if engine == name:
            if not available(name):
                raise EngineError(f"--engine {name}", "is not installed", INSTALL[name])
            return name
    raise EngineError(f"--engine {engine}", "is unknown", f"choose auto or {', '.join(ENGINES)}")
