"""Running out of memory: foreseen where it can be, and said in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ifan.engines import FEATURES
from ifan.errors import OutOfMemoryError
from ifan.tiling import CELL

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

REMEDY = "close other programs, or give more --memory or a smaller --working-size"


@contextmanager
def allocation_errors(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """Turn an engine's failed allocation into an `OutOfMemoryError`.

    Args:
        shapes: of what the engine was given, for the message.
    """
    try:
        yield
    except Exception as error:  # ONNX Runtime's are of no common kind
        if isinstance(error, MemoryError) or any(s in str(error).lower() for s in _SIGNS):
            name, shape = list(shapes.items())[-1]
            cell = CELL if name in FEATURES else 1
            height, width = (cell * side for side in shape[-2:])
            reason = f"memory ran out at {width}x{height} pixels"
            raise OutOfMemoryError("network", reason, REMEDY) from error
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
