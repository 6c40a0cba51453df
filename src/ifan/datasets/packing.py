"""Decoded pictures in large files, of which a crop reads only what it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from ifan.datasets.examples import Example
from ifan.datasets.folders import Bits, FolderExamples, example_of
from ifan.datasets.index import Kind, Part, Place, read_index
from ifan.datasets.preparing import Encoded, Preparation

_PART_BYTES = 4_000_000_000
"""Some file systems end at 4 GiB a file."""


def pack(
    examples: FolderExamples, folder: Path, *, stopped: Callable[[], bool] = lambda: False
) -> Preparation:
    """Prepare decoded pictures for random access.

    Args:
        examples: what is packed, with as many bits as it has.
        folder: where it goes; new, empty, or of an earlier run, which is gone on with.
        stopped: asked now and then; once it is true, what is begun is finished, and no more.

    Returns:
        What does it, by its `make`.

    Raises:
        OutputError: the folder is not ours, or what is in it was made of something else.
    """
    return Preparation(examples, folder, _PixelWriter, _PART_BYTES, stopped)


class PackedExamples:
    """Examples that `pack` has prepared.

    Pictures are views of files in memory: what is not looked at is not read.

    Args:
        folder: of the data set.
        views: whether its dual-pixel views are wanted.
        bits: as those of `FolderExamples`.

    Raises:
        IfanError: there is no such data set, or it does not have what is wanted.
    """

    def __init__(self, folder: Path, *, views: bool, bits: Bits = 8) -> None:
        self._folder = folder
        self._index = read_index(folder)
        self._index.require(str(folder), "packed", views=views, bits=bits)
        self._index.require_files(folder)
        self._views = views
        self._bits = bits
        self._files: dict[str, npt.NDArray[np.uint8]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the files: another process opens its own."""
        return self.__dict__ | {"_files": {}}

    @property
    def names(self) -> list[str]:
        """The files of the center views, as they were called when they were prepared."""
        return self._index.names

    @property
    def blocks(self) -> None:
        """Any order is as cheap as another."""
        return

    def __len__(self) -> int:
        """Return how many examples there are."""
        return self._index.examples

    def __getitem__(self, number: int) -> Example:
        """Return an example; its pixels are read when they are looked at.

        Raises:
            IndexError: there is none of that number.
        """
        part, name, (begin, height, width) = self._index.locate(number)
        roles = self._index.roles
        shape = (len(roles), height, width, 3)
        dtype = np.dtype("u1" if self._index.bits == 8 else "<u2")
        end = begin + prod(shape) * dtype.itemsize
        pixels = self._file(part)[begin:end].view(dtype).reshape(shape)
        if self._bits < self._index.bits:
            pixels = pixels.view(np.uint8)[..., 1::2]  # the upper half of each number
        pictures = dict(zip(roles, pixels, strict=True))
        wanted = roles if self._views else roles[:2]
        return example_of({role: pictures[role] for role in wanted}, name)

    def _file(self, part: Part) -> npt.NDArray[np.uint8]:
        if part.file not in self._files:
            path = self._folder / part.file
            self._files[part.file] = np.asarray(np.memmap(path, np.uint8, mode="r"))
        return self._files[part.file]


class _PixelWriter:
    """Writes the pixels of one picture after the other; places are byte, height and width."""

    kind: ClassVar[Kind] = "packed"
    suffix: ClassVar[str] = ".pixels"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: list[Place] = []

    @staticmethod
    def encode(pixels: npt.NDArray[Any]) -> bytes:
        return pixels.tobytes()

    def add(self, example: Encoded) -> None:
        self._places.append((self._file.tell(), *example.size))
        self._file.writelines(example.pictures.values())

    def finish(self) -> Sequence[Place]:
        return self._places
