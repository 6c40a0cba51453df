"""Running out of memory: foreseen where it can be, and said in one line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

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

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


class _Controller(NamedTuple):
    """How a version of Linux's control groups tells of memory.

    Attributes:
        name: what it calls the controller in the list of a process's groups.
        folder: where its groups are.
        limit: file with the bytes that a group may take.
        used: file with those that it takes.
        kept: what its statistics call those of files that are kept in case they are read again.
    """

    name: str
    folder: str
    limit: str
    used: str
    kept: str


_CONTROLLERS = (
    _Controller("", ".", "memory.max", "memory.current", "inactive_file"),
    _Controller(
        "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
)

REMEDY = "close other programs, or give more --memory or a smaller --working-size"


def shortage(height: int, width: int, needed: float, allowed: float) -> str:
    """Say that a picture needs more memory than it may take.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        needed: the least bytes that would do.
        allowed: bytes that may be taken.
    """
    # Rounded apart, so that what is said to do does; a byte more is for what 0.1 is not.
    least, most = math.ceil(needed / 1e7) / 100, math.floor((max(0, allowed) + 1) / 1e7) / 100
    return (
        f"{width}x{height} pixels need at least {least:.2f} GB of memory, "
        f"{most:.2f} GB may be taken"
    )


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

    # In a container, less than the machine has may be allowed.
    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Tell what is left in each control group that this process is in, and in those around it."""
    with suppress(OSError):  # not Linux
        for line in _OWN_GROUPS.read_text().splitlines():
            _, names, own = line.split(":", 2)
            for controller in _CONTROLLERS:
                if controller.name in names.split(","):
                    # A container may see its own group as the outermost, and yet be told its path.
                    for path in (PurePosixPath(own), *PurePosixPath(own).parents):
                        yield from _left_in(path, controller)


def _left_in(path: PurePosixPath, controller: _Controller) -> Iterator[int]:
    """Tell what is left in a control group, if it has a limit."""
    group = _CONTROL_GROUPS / controller.folder / path.relative_to("/")
    with suppress(OSError, ValueError):
        limit = int((group / controller.limit).read_text())
        used = int((group / controller.used).read_text())
        statistics = (group / "memory.stat").read_text().split()
        # Copies of files, kept in case they are read again, give way.
        kept = int(statistics[statistics.index(controller.kept) + 1])
        yield max(0, limit - used + kept)
