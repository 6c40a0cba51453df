"""Folders on disks and in object stores, behind the few things that a batch does with them.

An address is a path, or what fsspec knows: `s3://bucket/folder`, `gs://...`, `sftp://...`.
"""

from __future__ import annotations

import errno
import os
import posixpath
import secrets
import shutil
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ifan.errors import IfanError, OutputError
from ifan.files import locked, make_folder, remove_leftovers, write_atomically

Result = TypeVar("Result")

Missed = Callable[[str, str], None]
"""Told of a folder that cannot be listed, and why."""

PATIENCE = 60.0
"""Seconds for which a store that does not answer is asked again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0

# Where an object appears once all of it is there, and never before.
_WHOLE_OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}

_INSTALL = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}

# No fault of the line: asking again gives the same answer.
_FINAL = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)

_WRONG_USE = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "TokenRetrievalError",
    "ParamValidationError",
}
"""The same of S3, by name, as its package may not be installed."""

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Why nothing can be at a path, and not only for now."""


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

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, however its user called it."""

    @abstractmethod
    def below(self, other: Storage) -> str | None:
        """Return where this folder is in another one, `.` for the same, None for elsewhere."""


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
                raise _unlisted(str(place), error) from error
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


class Store(Storage):
    """A folder that fsspec reaches.

    What a line that breaks has interrupted is tried again, with pauses.

    Args:
        address: with a protocol.
        options: for the file system of that protocol, such as `endpoint_url`.
        patience: seconds for which it is tried.
    """

    def __init__(self, address: str, options: dict[str, Any], patience: float) -> None:
        super().__init__(address)
        self._options = options
        self._patience = patience
        self._protocol = address.partition("://")[0]
        self._root = self._files._strip_protocol(address).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the connection: each process has its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_files"}

    @cached_property
    def _files(self) -> Any:
        # A listing that is kept would show what was there before.
        kind = fsspec.get_filesystem_class(self._protocol)
        # Where the address names a host, a port, a user, they are options, too.
        said = kind._get_kwargs_from_urls(self.address)
        return kind(**{"use_listings_cache": False, **said, **self._options})

    def entries(
        self,
        folder: str = "",
        leave_out: Callable[[str], bool] = lambda _: False,
        missed: Missed | None = None,
    ) -> Iterator[Entry]:
        """See `Storage.entries`."""
        is_s3 = hasattr(self._files, "call_s3")
        pages = self._s3_pages(folder) if is_s3 else self._folders(folder, leave_out, missed)
        for page in pages:
            for found in page:
                if not any(leave_out(folder) for folder in _folders_of(found.path)):
                    yield found

    def entry(self, path: str) -> Entry | None:
        """See `Storage.entry`."""
        try:
            said = self._patiently(lambda: self._files.info(self._path(path)))
        except FileNotFoundError:
            return None
        return self._entry(path, said) if said["type"] == "file" else None

    def read(self, path: str) -> bytes:
        """See `Storage.read`."""
        content: bytes = self._patiently(lambda: self._files.cat_file(self._path(path)))
        return content

    def write(self, path: str, data: bytes | memoryview, *, overwrite: bool = True) -> None:
        """See `Storage.write`."""
        if not overwrite and self.entry(path) is not None:
            raise OutputError(self.name(path), "already exists", "give another folder")
        self._written(path, lambda: self._pipe(data, self._path(path)))

    def open(self, path: str) -> BinaryIO:
        """See `Storage.open`."""
        opened: BinaryIO = self._patiently(lambda: self._files.open(self._path(path), "rb"))
        return opened

    def put(self, file: Path, path: str) -> None:
        """See `Storage.put`."""
        self._written(path, lambda: self._put(file, self._path(path)))

    def remove(self, path: str) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError):
            self._patiently(lambda: self._files.rm_file(self._path(path)))

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        with suppress(FileNotFoundError):
            self._patiently(lambda: self._files.rm(self._path(folder), recursive=True))

    def tidy(self, folder: str) -> None:
        """See `Storage.tidy`; of objects nothing is left."""

    def held(self) -> AbstractContextManager[None]:
        """See `Storage.held`."""
        return nullcontext()

    @property
    def place(self) -> str:
        """See `Storage.place`."""
        return f"{self._protocol}://{self._root}"

    def below(self, other: Storage) -> str | None:
        """See `Storage.below`."""
        if not isinstance(other, Store) or self._protocol != other._protocol:
            return None
        if self._root == other._root:
            return "."
        inside = self._root.removeprefix(f"{other._root}/")
        return inside if inside != self._root else None

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _written(self, path: str, write: Callable[[], None]) -> None:
        try:
            self._patiently(write)
        except Exception as error:
            reason = f"cannot be written ({said_by(error)})"
            raise OutputError(
                self.name(path), reason, "check the address and the rights"
            ) from error

    def _pipe(self, data: bytes | memoryview, path: str) -> None:
        with self._appearing_at(path) as name:
            self._files.pipe_file(name, data)

    def _put(self, file: Path, path: str) -> None:
        with self._appearing_at(path) as name:
            self._files.put_file(str(file), name)

    @contextmanager
    def _appearing_at(self, path: str) -> Iterator[str]:
        """Give a name to write to; when all is written, it becomes the right one."""
        if self._protocol in _WHOLE_OBJECTS:
            yield path
            return
        folder = posixpath.dirname(path)
        hidden = posixpath.join(folder, f".ifan-{secrets.token_hex(8)}.tmp")
        self._files.makedirs(folder, exist_ok=True)
        try:
            yield hidden
            self._files.mv(hidden, path)
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(hidden)
            raise

    def _folders(
        self, folder: str, leave_out: Callable[[str], bool], missed: Missed | None
    ) -> Iterator[list[Entry]]:
        """Yield the files of each folder."""
        folders = [folder]
        while folders:
            here = folders.pop()
            try:
                listing = self._listing(here)
            except PermissionError as error:
                if missed is None or here == folder:
                    raise _unlisted(self.name(here), error) from error
                missed(here, said_by(error))
                continue
            files = []
            for said in sorted(listing, key=lambda said: str(said["name"])):
                path = self._files._strip_protocol(said["name"])[len(self._root) + 1 :]
                if said["type"] == "directory" and path != here and not leave_out(path):
                    folders.append(path)
                elif said["type"] == "file":
                    files.append(self._entry(path, said))
            yield files

    def _listing(self, folder: str) -> list[dict[str, Any]]:
        path = self._path(folder).rstrip("/")
        try:
            found: list[dict[str, Any]] = self._patiently(lambda: self._files.ls(path, detail=True))
        except FileNotFoundError:
            return []
        return found

    def _s3_pages(self, folder: str) -> Iterator[list[Entry]]:
        """Yield pages of up to 1000 objects: there may be millions in what looks like a folder."""
        bucket, _, root = self._root.partition("/")
        above = f"{root}/" if root else ""
        asked = {"Bucket": bucket, "Prefix": f"{above}{folder}/" if folder else above}
        while True:
            try:
                said = self._patiently(lambda: self._files.call_s3("list_objects_v2", **asked))
            except OSError as error:  # as s3fs says that there is no bucket, or no right to see it
                raise _unlisted(self.address, error) from error
            yield [
                Entry(item["Key"][len(above) :], item["Size"], item["ETag"])
                for item in said.get("Contents", ())
                if not item["Key"].endswith("/")
            ]
            if not said.get("IsTruncated"):
                return
            asked["ContinuationToken"] = said["NextContinuationToken"]

    def _entry(self, path: str, said: dict[str, Any]) -> Entry:
        keys = ("ETag", "etag", "mtime", "updated", "last_modified", "LastModified", "created")
        stamp = next((said[key] for key in keys if said.get(key)), "")
        if isinstance(stamp, datetime):  # some tell the time in this way here, in that way there
            stamp = stamp.timestamp()
        return Entry(path, int(said["size"]), str(stamp))

    def _patiently(self, ask: Callable[[], Result]) -> Result:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return ask()
            except _FINAL:
                raise
            except Exception as error:  # each store's package has errors of its own
                if type(error).__name__ in _WRONG_USE:
                    reason = f"cannot be reached ({said_by(error)})"
                    raise IfanError(self.address, reason, "check the credentials") from error
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def open_storage(
    address: str, options: dict[str, Any] | None = None, patience: float = PATIENCE
) -> Storage:
    """Return the folder of an address.

    Args:
        address: a path, or an address with a protocol that fsspec knows.
        options: for the file system of that protocol.
        patience: seconds for which a store that does not answer is asked again.

    Raises:
        IfanError: the protocol is unknown, its package is not installed, or there is nobody.
    """
    if "://" not in address:
        return Disk(address)
    try:
        files = fsspec.get_filesystem_class(address.partition("://")[0])
        if files is LocalFileSystem:
            return Disk(LocalFileSystem._strip_protocol(address))
        return Store(address, options or {}, patience)
    except ValueError as error:
        raise IfanError(address, f"is no address ({error})", "give a path, or s3://...") from error
    except ImportError as error:
        package = _INSTALL.get(address.partition("://")[0], "what fsspec names")
        raise IfanError(
            address, f"needs a package ({error})", f"install it: pip install {package}"
        ) from error
    except (OSError, TypeError) as error:
        reason = f"cannot be reached ({said_by(error)})"
        raise IfanError(address, reason, "check the address and the network") from error


def said_by(error: BaseException) -> str:
    """Return what an error says, in short."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def _folders_of(path: str) -> Iterator[str]:
    """Yield the folders that a file is in, the outermost first."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _unlisted(name: str, error: OSError) -> IfanError:
    reason = f"cannot be listed ({said_by(error)})"
    return IfanError(name, reason, "check the name, and who may read it")
