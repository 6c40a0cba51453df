"""Data sets larger than a disk: archives of pictures that are fetched when they are needed.

The archives are those of WebDataset: tar files in which `00000012.center.png` and the other
pictures of an example follow each other. Which example is where is in the index, so that any can be
read from an archive that is here. That package writes them, fetches them and keeps the cache small.
Needs `ifan[train]`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy.typing as npt

from ifan.datasets.examples import Example
from ifan.datasets.folders import Bits, FolderExamples, example_of, pixels_of
from ifan.datasets.index import INDEX, Kind, Part, Place, parse_index, read_index
from ifan.datasets.preparing import Encoded, Preparation
from ifan.errors import DownloadError, IfanError
from ifan.files import make_folder
from ifan.images import FORMATS, Metadata, Photograph, decode_photograph, encode_photograph
from ifan.places import place

_PNG = Path("picture.png")

# What curl means by its exit status.
_CURL = {
    6: "the server's name cannot be resolved",
    7: "the server cannot be reached",
    18: "the transfer was cut short",
    22: "the server does not give it",
    28: "the server does not answer in time",
}


def shard(
    examples: FolderExamples,
    folder: Path,
    *,
    part_bytes: int = 1_000_000_000,
    stopped: Callable[[], bool] = lambda: False,
) -> Preparation:
    """Prepare archives that can be kept elsewhere.

    Args:
        examples: what is archived, with as many bits as it has.
        folder: where it goes; new, empty, or of an earlier run, which is gone on with.
        part_bytes: how large an archive becomes before the next one is begun.
        stopped: asked now and then; once it is true, what is begun is finished, and no more.

    Returns:
        What does it, by its `make`.

    Raises:
        IfanError: what it needs is not installed.
        OutputError: the folder is not ours, or what is in it was made of something else.
    """
    _require_webdataset()
    return Preparation(examples, folder, _ArchiveWriter, part_bytes, stopped)


class ShardExamples:
    """Examples in archives that `shard` has prepared, here or elsewhere.

    Args:
        root: their folder, or its address: http(s), or what else WebDataset fetches from.
        views: whether the dual-pixel views are wanted.
        bits: as those of `FolderExamples`.
        cache: the folder where archives from elsewhere are kept; None is the system's place.
        cache_gigabytes: how much of them; what was not used for longest goes first.

    Raises:
        IfanError: there is no such data set, or it does not have what is wanted.
        DownloadError: the index cannot be fetched.
    """

    def __init__(
        self,
        root: str,
        *,
        views: bool,
        bits: Bits = 8,
        cache: Path | None = None,
        cache_gigabytes: float = 20.0,
    ) -> None:
        self._root = root.rstrip("/")
        self._views = views
        self._bits = bits
        self._cache: _Cache | None = None
        if is_address(root):
            self._cache = _Cache(cache or place("cache"), int(cache_gigabytes * 1e9))
            address = f"{self._root}/{INDEX}"
            self._index = parse_index(_fetched(address), address)
        else:
            self._index = read_index(Path(root))
            self._index.require_files(Path(root))
        self._index.require(self._root, "shards", views=views, bits=bits)

    @property
    def names(self) -> list[str]:
        """The files of the center views, as they were called when they were prepared."""
        return self._index.names

    @property
    def blocks(self) -> Sequence[range]:
        """The numbers of the examples in each archive."""
        return self._index.blocks

    def __len__(self) -> int:
        """Return how many examples there are."""
        return self._index.examples

    def __getitem__(self, number: int) -> Example:
        """Read an example; fetch its archive first if it is not here.

        Raises:
            PictureError: a picture is damaged.
            DownloadError: the archive cannot be fetched.
        """
        part, name, place = self._index.locate(number)
        roles = self._index.roles if self._views else self._index.roles[:2]
        pictures = {}
        with self._opened(part) as file:
            for role, begin, length in zip(roles, place[::2], place[1::2], strict=False):
                file.seek(begin)
                path = f"{self._root}/{part.file}/{number:08d}.{role}.png"
                photograph = decode_photograph(file.read(length), path)
                pictures[role] = pixels_of(photograph, self._bits)
        return example_of(pictures, name)

    def _opened(self, part: Part) -> BinaryIO:
        address = f"{self._root}/{part.file}"
        if self._cache is None:
            return Path(address).open("rb")
        return self._cache.open(address, part.size)


class _ArchiveWriter:
    """Writes tar files of PNG; places are first byte and length of each picture."""

    kind: ClassVar[Kind] = "shards"
    suffix: ClassVar[str] = ".tar"

    def __init__(self, file: BinaryIO) -> None:
        from webdataset import TarWriter

        self._file = file
        self._members: list[list[str]] = []
        self._archive = TarWriter(file, encoder=False, mtime=0, user="", group="")

    @staticmethod
    def encode(pixels: npt.NDArray[Any]) -> bytes:
        photograph = Photograph(pixels, None, "PNG", Metadata(), _PNG)
        return encode_photograph(photograph, FORMATS["PNG"], _PNG)

    def add(self, example: Encoded) -> None:
        key = f"{example.number:08d}"
        pictures = {f"{role}.png": data for role, data in example.pictures.items()}
        self._archive.write({"__key__": key, **pictures})
        self._members.append([f"{key}.{name}" for name in pictures])

    def finish(self) -> Sequence[Place]:
        self._archive.close()
        self._file.flush()
        with tarfile.open(self._file.name) as archive:
            spans = {member.name: (member.offset_data, member.size) for member in archive}
        return [tuple(chain(*(spans[name] for name in names))) for names in self._members]


class _Cache:
    """A folder of archives from elsewhere that does not grow beyond a size.

    Several processes may use it; what one of them has open stays readable when it goes.

    Args:
        folder: the folder.
        most_bytes: how large it becomes.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def open(self, address: str, size: int) -> BinaryIO:
        """Open an archive of so many bytes, after fetching it if it is not here.

        Raises:
            DownloadError: it cannot be fetched, or does not fit.
        """
        path = self._folder / "shards" / _cached_name(address)
        while True:  # another process may take it away before it is opened
            with suppress(FileNotFoundError):
                os.utime(path)  # it is in use, and is to stay
                file = path.open("rb")
                if os.fstat(file.fileno()).st_size == size:
                    return file
                file.close()
                path.unlink()  # the set has been prepared anew since
            self._fetch(address, size)

    def _fetch(self, address: str, size: int) -> None:
        from filelock import FileLock
        from webdataset.cache import FileCache

        if size > self._most_bytes:
            reason = f"has {size / 1e9:.2f} GB, more than the cache of {self._most_bytes / 1e9:.2f}"
            raise DownloadError(address, reason, "give a larger cache, or make smaller shards")
        make_folder(self._folder)
        cache = FileCache(
            str(self._folder / "shards"),
            url_to_name=_cached_name,
            validator=None,
            cache_size=max(1, self._most_bytes - size),
            cache_cleanup_interval=None,
        )
        # One at a time: else all would fetch the same, and take away what another is fetching.
        with FileLock(self._folder / "shards.lock"), _failure_explained(address):
            path = Path(cache.get_file(address))
            if path.stat().st_size != size:
                path.unlink()
                raise OSError("it has another size than the index says")


def is_address(root: str) -> bool:
    """Tell an address from the name of a folder."""
    return "://" in root


def _fetched(address: str) -> bytes:
    _require_webdataset()
    from webdataset import gopen

    with _failure_explained(address), gopen(address) as stream:
        data: bytes = stream.read()
        return data


@contextmanager
def _failure_explained(address: str) -> Iterator[None]:
    """Turn what goes wrong while something is fetched into a `DownloadError`."""
    try:
        yield
    except (OSError, ValueError) as error:
        status = re.search(r"exit (\d+)", str(error))
        reason = _CURL.get(int(status[1]), f"exit status {status[1]}") if status else str(error)
        remedy = "check the address and the network"
        raise DownloadError(address, f"cannot be fetched ({reason})", remedy) from error


def _cached_name(address: str) -> str:
    return f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{address.rsplit('/', 1)[-1]}"


def _require_webdataset() -> None:
    try:
        import webdataset  # noqa: F401
    except ModuleNotFoundError as error:
        remedy = "install it with: pip install 'ifan[train]'"
        raise IfanError(str(error.name), "is not installed", remedy) from error
