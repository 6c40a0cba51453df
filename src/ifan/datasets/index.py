"""The index of a prepared data set: which example is where in its large files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ifan.datasets.folders import Bits, Role
from ifan.errors import IfanError
from ifan.files import exists

INDEX = "index.json"
"""The file that makes a folder a prepared data set."""

Kind = Literal["packed", "shards"]
Place = tuple[int, ...]


class Part(BaseModel):
    """One of the large files.

    Attributes:
        file: its name in the folder.
        size: in bytes.
        names: of the examples in it, for messages.
        places: where each of them is; what the numbers mean depends on the kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    size: int
    names: tuple[str, ...]
    places: tuple[Place, ...]


class Index(BaseModel):
    """What a prepared data set holds.

    Attributes:
        kind: what its files are.
        bits: of the pixels, 8 or 16.
        views: whether there are dual-pixel views.
        source: SHA-256 of the names and sizes of the pictures it is made of.
        examples: how many there are once it is complete.
        parts: its files, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    bits: Bits
    views: bool
    source: str
    examples: int
    parts: tuple[Part, ...] = ()

    @property
    def roles(self) -> tuple[Role, ...]:
        """What the pictures of an example show, in the order in which they are stored."""
        return ("center", "target", "left", "right") if self.views else ("center", "target")

    @property
    def names(self) -> list[str]:
        """The names of the examples that are there already."""
        return [name for part in self.parts for name in part.names]

    @property
    def blocks(self) -> Sequence[range]:
        """The numbers of the examples in each part.

        Computed anew each time: `model_copy` would take what is cached along.
        """
        ends = (0, *accumulate(len(part.names) for part in self.parts))
        return [range(*block) for block in pairwise(ends)]

    @property
    def done(self) -> int:
        """How many examples there are already."""
        return self.blocks[-1].stop if self.blocks else 0

    def locate(self, number: int) -> tuple[Part, str, Place]:
        """Return the part that holds an example, its name, and its place there.

        Raises:
            IndexError: there is none of that number.
        """
        if not 0 <= number < self.done:
            raise IndexError(number)
        block = bisect_right(self.blocks, number, key=lambda block: block.start) - 1
        part, inside = self.parts[block], number - self.blocks[block].start
        return part, part.names[inside], part.places[inside]

    def require(self, where: str, kind: Kind, *, views: bool, bits: Bits) -> None:
        """Refuse a data set that does not have what is wanted.

        Args:
            where: what to call it in messages.
            kind: what can be read.
            views: whether dual-pixel views are wanted.
            bits: how many are wanted; 16 can be cut off to 8.

        Raises:
            IfanError: it is of another kind or incomplete, or has no views, or too few bits.
        """
        if kind != self.kind:
            reason = f"is {self.kind}, not {kind}"
            raise IfanError(where, reason, "see --shards of ifan data prepare")
        if self.done < self.examples:
            reason = f"has {self.done} of {self.examples} examples"
            raise IfanError(where, reason, "run ifan data prepare again, which goes on with it")
        if views and not self.views:
            reason = "was prepared without dual-pixel views"
            raise IfanError(where, reason, "prepare it with them, or train with pairs-only")
        if bits > self.bits:
            reason = f"was prepared with {self.bits} bits"
            raise IfanError(where, reason, f"prepare it with --bits {bits}")

    def require_files(self, folder: Path) -> None:
        """Refuse a folder whose files are not as they were written.

        Raises:
            IfanError: one is not there, or has another size.
        """
        for part in self.parts:
            path = folder / part.file
            if not exists(path) or path.stat().st_size != part.size:
                reason = "is not there as it was written"
                raise IfanError(path, reason, "copy it again, or run ifan data prepare anew")


def parse_index(data: bytes, where: str) -> Index:
    """Read an index from the bytes of its file.

    Raises:
        IfanError: it is none.
    """
    try:
        return Index.model_validate_json(data)
    except ValidationError as error:
        reason = "is not the index of a prepared data set"
        raise IfanError(where, reason, "run ifan data prepare, to another folder") from error


def read_index(folder: Path) -> Index:
    """Read the index in a folder.

    Raises:
        IfanError: there is none, or it cannot be read.
    """
    path = folder / INDEX
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise IfanError(path, reason, "give a folder that ifan data prepare made") from error
    return parse_index(data, str(path))
