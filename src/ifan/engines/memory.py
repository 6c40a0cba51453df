"""Running out of memory: foreseen where it can be, and said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ifan.errors import EngineError

_SIGNS = (
    "out of memory",
    "not enough memory",
    "bad_alloc",
    "bad allocation",
    "can't allocate",
    "cannot allocate",
    "failed to allocate",
)
"""What the engines' errors say when an allocation failed, in lower case."""

_CONTROL_GROUP = Path("/sys/fs/cgroup")

REMEDY = "give a smaller --working-size"


@contextmanager
def allocation_errors(height: int, width: int) -> Iterator[None]:
    """Turn an engine's failed allocation into an `EngineError`.

    Args:
        height: height of the picture in pixels, for the message.
        width: width of the picture in pixels, for the message.
    """
    try:
        yield
    except Exception as error:  # ONNX Runtime's are of no common kind
        if isinstance(error, MemoryError) or any(s in str(error).lower() for s in _SIGNS):
            reason = f"memory ran out at {width}x{height} pixels"
            raise EngineError("network", reason, REMEDY) from error
        raise


def available_memory() -> int:
    """Return the bytes of memory that this process can still get without swapping."""
    import psutil

    available = psutil.virtual_memory().available
    # In a container, less than the machine has may be allowed.
    with suppress(OSError, ValueError):  # no such limit
        limit = int((_CONTROL_GROUP / "memory.max").read_text())
        used = int((_CONTROL_GROUP / "memory.current").read_text())
        statistics = (_CONTROL_GROUP / "memory.stat").read_text().split()
        # Copies of files, kept in case they are read again, give way.
        kept = int(statistics[statistics.index("inactive_file") + 1])
        available = min(available, max(0, limit - used + kept))
    return available


def require_memory(needed: float, height: int, width: int) -> None:
    """Refuse work that would not fit into the memory that is free now.

    Where memory is overcommitted, an allocation that is too large does not fail: the system stops
    the process later, without a word. So the need is compared first.

    Args:
        needed: estimated peak in bytes.
        height: height of the picture in pixels, for the message.
        width: width of the picture in pixels, for the message.

    Raises:
        EngineError: less is available.
    """
    available = available_memory()
    if needed > available:
        reason = (
            f"{width}x{height} pixels at once need about {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are free"
        )
        raise EngineError("network", reason, REMEDY)
