"""Folders on disks."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from ifan.cluster.storage.interface import Entry, Missed, Storage, said_by, unlisted
from ifan.errors import OutputError
from ifan.files import locked, make_folder, remove_leftovers, write_atomically

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Why nothing can be at a path, and not only for now."""


class Disk(Storage):
    """A folder on a disk of this machine, or on one that it shares with others."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._root = Path(address).absolute()

    def entries(
        self,
        folder: str = "",
        leave_out: Callable[[str], bool] = lambda _: False,
        missed: Missed | None = None,
    ) -> Iterator[Entry]:
        """See `Storage.entries`."""
        top = self._path(folder)

        def told(error: OSError) -> None:
            if isinstance(error, FileNotFoundError):
                return
            place = Path(error.filename)
            if missed is None or place == top:
                raise unlisted(str(place), error) from error
            missed(place.relative_to(self._root).as_posix(), said_by(error))

        for parent, folders, names in os.walk(top, onerror=told):
            inside = Path(parent).relative_to(self._root)
            folders[:] = sorted(n for n in folders if not leave_out((inside / n).as_posix()))
            for name in sorted(names):
                path = (inside / name).as_posix()
                try:
                    found = self.entry(path)
                except OSError:  # who reads it hears of it
                    found = Entry(path, 0, "")
                if found is not None:
                    yield found

    def entry(self, path: str) -> Entry | None:
        """See `Storage.entry`."""
        try:
            said = self._path(path).stat()
        except OSError as error:
            if error.errno in _NOWHERE:
                return None
            raise
        if not stat.S_ISREG(said.st_mode):
            return None
        return Entry(path, said.st_size, str(said.st_mtime_ns))

    def read(self, path: str) -> bytes:
        """See `Storage.read`."""
        return self._path(path).read_bytes()

    def write(self, path: str, data: bytes | memoryview, *, overwrite: bool = True) -> None:
        """See `Storage.write`."""
        target = self._path(path)
        make_folder(target.parent)
        write_atomically(target, data, overwrite=overwrite)

    def open(self, path: str) -> BinaryIO:
        """See `Storage.open`."""
        return self._path(path).open("rb")

    def put(self, file: Path, path: str) -> None:
        """See `Storage.put`."""
        with (
            file.open("rb") as opened,
            mmap(opened.fileno(), 0, access=ACCESS_READ) as content,
            memoryview(content) as data,
        ):
            self.write(path, data)

    def remove(self, path: str) -> None:
        """See `Storage.remove`."""
        self._path(path).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        shutil.rmtree(self._path(folder), ignore_errors=True)

    def tidy(self, folder: str) -> None:
        """See `Storage.tidy`."""
        remove_leftovers(self._path(folder))

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Storage.held`; by a lock on the folder itself, of which nothing is left."""
        make_folder(self._root)
        with locked(self._root) as is_ours:
            if not is_ours:
                remedy = "let it end, or stop it"
                raise OutputError(self.address, "another batch is writing there", remedy)
            yield

    def leads_to(self, path: str, other: Storage, file: str) -> bool:
        """See `Storage.leads_to`."""
        if not isinstance(other, Disk):
            return False
        here = Path(os.path.realpath(self._path(path)))
        if here == Path(os.path.realpath(other._path(file))):
            return True
        return here.is_relative_to(other.place) and not here.is_relative_to(self.place)

    @property
    def place(self) -> str:
        """See `Storage.place`."""
        return os.path.realpath(self._root)

    def below(self, other: Storage) -> str | None:
        """See `Storage.below`."""
        if not isinstance(other, Disk):
            return None
        here, there = Path(self.place), Path(other.place)
        return here.relative_to(there).as_posix() if here.is_relative_to(there) else None

    def _path(self, path: str) -> Path:
        """Return where a file is: below the folder, whatever names a store may have given it."""
        return self._root / posixpath.normpath(f"/{path}").lstrip("/")
