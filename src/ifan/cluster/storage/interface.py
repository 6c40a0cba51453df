"""What a batch does with a folder, wherever that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ifan.errors import IfanError

Missed = Callable[[str, str], None]
"""Told of a folder that cannot be listed, and why."""


class Entry(NamedTuple):
    """A file of a folder.

    Attributes:
        path: from the folder, its parts separated by `/`.
        size: in bytes.
        stamp: differs when the file has been changed: time, entity tag, or whatever there is.
    """

    path: str
    size: int
    stamp: str


class Storage(ABC):
    """A folder, with all that is below it. Paths are from it, their parts separated by `/`.

    Where a file cannot be read or written, `OSError` says why, or what the store's package raises.

    Args:
        address: as its user gave it, for messages.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def name(self, path: str) -> str:
        """Return what to call a file in messages."""
        return f"{self.address.rstrip('/')}/{path}"

    @abstractmethod
    def entries(
        self,
        folder: str = "",
        leave_out: Callable[[str], bool] = lambda _: False,
        missed: Missed | None = None,
    ) -> Iterator[Entry]:
        """Yield all files, without holding more than those of one folder, or one page of a store.

        Args:
            folder: those below this one; where there is none, there are no files.
            leave_out: tells of which folders nothing is wanted.
            missed: is told of each folder below that cannot be listed; None to end there.

        Raises:
            IfanError: a folder cannot be listed.
        """

    @abstractmethod
    def entry(self, path: str) -> Entry | None:
        """Return a file's entry, None where there is no such file."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return what is in a file."""

    @abstractmethod
    def write(self, path: str, data: bytes | memoryview, *, overwrite: bool = True) -> None:
        """Write a file; at no moment does its name stand for a part of it.

        Raises:
            OutputError: the file is there and is not to be overwritten, or it cannot be written.
        """

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open a file to read parts of it."""

    @abstractmethod
    def put(self, file: Path, path: str) -> None:
        """Write what is in a file of this machine, like `write`, but without holding it."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is below it, if it is there."""

    @abstractmethod
    def tidy(self, folder: str) -> None:
        """Remove what killed programs have left of files that they were writing."""

    @abstractmethod
    def held(self) -> AbstractContextManager[None]:
        """Keep others on this machine from holding it meanwhile; in stores nothing can.

        Raises:
            OutputError: somebody holds it.
        """

    @abstractmethod
    def leads_to(self, path: str, other: Storage, file: str) -> bool:
        """Tell whether a name is, by links, that of a file of another folder, or lies in that.

        What lies in this folder does not, should this one be in the other.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, however its user called it."""

    @abstractmethod
    def below(self, other: Storage) -> str | None:
        """Return where this folder is in another one, `.` for the same, None for elsewhere."""


def said_by(error: BaseException) -> str:
    """Return what an error says, in short."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def unlisted(name: str, error: OSError) -> IfanError:
    """Return what to raise where a folder cannot be listed."""
    reason = f"cannot be listed ({said_by(error)})"
    return IfanError(name, reason, "check the name, and who may read it")
