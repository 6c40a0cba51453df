"""Folders in object stores, and wherever else fsspec reaches."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec

from ifan.cluster.storage.interface import Entry, Missed, Storage, said_by, unlisted
from ifan.errors import IfanError, OutputError

Result = TypeVar("Result")

PATIENCE = 60.0
"""Seconds for which a store that does not answer is asked again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0

# Where an object appears once all of it is there, and never before.
_WHOLE_OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}

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

    def leads_to(self, path: str, other: Storage, file: str) -> bool:  # noqa: ARG002
        """See `Storage.leads_to`; here there are no links."""
        return False

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
                    raise unlisted(self.name(here), error) from error
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
                raise unlisted(self.address, error) from error
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


def _folders_of(path: str) -> Iterator[str]:
    """Yield the folders that a file is in, the outermost first."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))
