"""From pictures in folders to prepared data sets."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol

import numpy.typing as npt

from ifan.datasets.folders import FolderExamples, Role
from ifan.datasets.index import INDEX, Index, Kind, Part, Place, read_index
from ifan.errors import OutputError
from ifan.files import exists, make_folder, write_atomically
from ifan.processes import in_threads

_UNFINISHED = "unfinished.part"
_ELSEWHERE = "give another folder for what is prepared"


class Encoded(NamedTuple):
    """An example as bytes.

    Attributes:
        number: of the example.
        name: of the example, for messages.
        size: height and width.
        pictures: by what they show, as the form encodes them.
    """

    number: int
    name: str
    size: tuple[int, int]
    pictures: dict[Role, bytes]

    @property
    def nbytes(self) -> int:
        """How many there are."""
        return sum(map(len, self.pictures.values()))


class PartWriter(Protocol):
    """A form of prepared data sets: writes one of their large files."""

    kind: ClassVar[Kind]
    suffix: ClassVar[str]

    def __init__(self, file: BinaryIO) -> None:
        """Begin with an empty file."""

    @staticmethod
    def encode(pixels: npt.NDArray[Any]) -> bytes:
        """Turn a picture, HxWx3, into bytes; called in several threads."""

    def add(self, example: Encoded) -> None:
        """Write an example."""

    def finish(self) -> Sequence[Place]:
        """Complete the file, and return the places of what was added."""


class Preparation:
    """The making of a prepared data set; goes on where an earlier run was stopped or killed.

    Args:
        examples: what it is made of.
        folder: where it goes; new, empty, or of an earlier run.
        form: how examples are stored.
        part_bytes: how large a file becomes before the next one is begun.
        stopped: asked now and then; once it is true, the file that is being written is completed
            with what is in it, and no more.

    Raises:
        IfanError: the folder has an index that cannot be read.
        OutputError: the folder is not ours, or what is in it was made of something else.
    """

    def __init__(
        self,
        examples: FolderExamples,
        folder: Path,
        form: type[PartWriter],
        part_bytes: int,
        stopped: Callable[[], bool],
    ) -> None:
        self._examples = examples
        self._folder = folder
        self._form = form
        self._part_bytes = part_bytes
        self._stopped = stopped
        self._index = _begun(folder, _index_of(examples, form.kind))

    @property
    def missing(self) -> range:
        """The numbers of the examples that are not there yet."""
        return range(self._index.done, self._index.examples)

    def make(self) -> Generator[int, None, None]:
        """Write what is missing.

        Yields:
            The number of each example, once it is written.

        Raises:
            PictureError: a picture cannot be read, or has not the size of the others.
            OutputError: there is no room for the data set, or a file cannot be written.
        """
        try:
            make_folder(self._folder)
            with closing(in_threads(self._encoded, self.missing, self._stopped)) as examples:
                for first in examples:
                    self._require_room(first)
                    yield from self._write_part(chain([first], examples))
        except OSError as error:
            reason = f"cannot be written to ({error.strerror or error})"
            remedy = "make room; the same command goes on where this one was"
            raise OutputError(self._folder, reason, remedy) from error

    def _encoded(self, number: int) -> Encoded:
        example = self._examples[number]
        pictures: dict[Role, npt.NDArray[Any] | None] = {
            "center": example.center,
            "target": example.target,
            "left": example.left,
            "right": example.right,
        }
        encoded = {
            role: self._form.encode(pixels)
            for role, pixels in pictures.items()
            if pixels is not None
        }
        height, width = example.center.shape[:2]
        return Encoded(number, example.name, (height, width), encoded)

    def _require_room(self, example: Encoded) -> None:
        """Refuse to begin a part when the rest, if it is as this example, would not fit."""
        need = example.nbytes * len(self.missing)
        free = shutil.disk_usage(self._folder).free
        if need > free:
            reason = f"about {need / 1e9:.1f} GB are to be written, {free / 1e9:.1f} GB are free"
            raise OutputError(self._folder, reason, "make room, or write elsewhere")

    def _write_part(self, examples: Iterable[Encoded]) -> Generator[int, None, None]:
        """Write one file with examples, and list it in the index when it is whole."""
        unfinished = self._folder / _UNFINISHED
        names = []
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:
            writer = self._form(file)
            for example in examples:
                writer.add(example)
                names.append(example.name)
                yield example.number
                if file.tell() >= self._part_bytes:
                    break
            places = writer.finish()
            file.flush()
            os.fsync(file.fileno())
            if not os.path.samestat(unfinished.stat(), os.fstat(file.fileno())):
                raise OSError("another ifan data prepare writes there")
        target = self._folder / f"{len(self._index.parts):05d}{self._form.suffix}"
        unfinished.replace(target)
        size = target.stat().st_size
        part = Part(file=target.name, size=size, names=tuple(names), places=tuple(places))
        self._index = self._index.model_copy(update={"parts": (*self._index.parts, part)})
        data = self._index.model_dump_json().encode()
        write_atomically(self._folder / INDEX, data, overwrite=True)


def _index_of(examples: FolderExamples, kind: Kind) -> Index:
    """Return the index of a data set of which nothing is written yet."""
    seen = hashlib.sha256()
    for files in examples.files:
        for role, path in files.items():
            seen.update(f"{role} {path.name} {path.stat().st_size}\n".encode())
    views = any("left" in files for files in examples.files)
    return Index(
        kind=kind,
        bits=examples.bits,
        views=views,
        source=seen.hexdigest(),
        examples=len(examples),
    )


def _begun(folder: Path, index: Index) -> Index:
    """Return the index of what an earlier run has written to a folder, else this one."""
    if not exists(folder):
        return index
    if not exists(folder / INDEX):
        foreign = [path.name for path in folder.iterdir() if path.name != _UNFINISHED]
        if foreign:
            raise OutputError(folder, f"holds {foreign[0]}, which is not ours", _ELSEWHERE)
        return index
    before = read_index(folder)
    for name in ("kind", "bits", "views", "source", "examples"):
        there, here = getattr(before, name), getattr(index, name)
        if there != here:
            what = "other pictures" if name == "source" else f"{name} {there}, not {here}"
            raise OutputError(folder, f"was prepared with {what}", _ELSEWHERE)
    return before
