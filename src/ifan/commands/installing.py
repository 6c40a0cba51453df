"""What is said where an extra is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ifan.errors import IfanError


@contextmanager
def installed(extra: str) -> Iterator[None]:
    """Say what to install if an import fails.

    Args:
        extra: the one that brings what is imported.

    Raises:
        IfanError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"install it with: pip install 'ifan[{extra}]'"
        raise IfanError(str(error.name), "is not installed", remedy) from error
