"""What a batch writes down on its way, so that whatever is killed, nothing is lost or done twice.

Below the folder of results lies `.ifan-batch` until the batch is done:

    settings.json           what the results are made with
    anew                    with --overwrite: results from before are to be made again
    begun.json              results that killed runs may have written before they could tell
    parcels/NAME.json       what is being done, and what has become of it; the workers write these
    parts/NUMBER-TOKEN.parquet
                            what has been done; the driver gathers finished parcels in these

A parcel is written down before its first result is. So of a file that has the name of a result it
is known whether it was there before, or was made by somebody who was killed before he could tell.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ifan.cluster.listing import Parcel
from ifan.cluster.manifest import Record, completed, records_in, table_of
from ifan.cluster.storage import Storage

FOLDER = ".ifan-batch"
_SETTINGS = f"{FOLDER}/settings.json"
_ANEW = f"{FOLDER}/anew"
_BEGUN = f"{FOLDER}/begun.json"
_PARCELS = f"{FOLDER}/parcels"
_PARTS = f"{FOLDER}/parts"


@dataclass
class Progress:
    """How far a parcel has come.

    Attributes:
        parcel: its photographs.
        foreign: targets that were there before, and that no batch has made.
        records: of the photographs that are finished, by their sources.
        attempts: how often a worker has begun with it.
        trying: the photograph that a worker has begun with alone.
        deaths: how often a worker has ended while it was at a photograph alone.
    """

    parcel: Parcel
    foreign: list[str]
    records: dict[str, Record] = field(default_factory=dict)
    attempts: int = 0
    trying: str | None = None
    deaths: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return it as text."""
        return json.dumps(self.__dict__).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return what a text is of."""
        said = json.loads(text)
        said["parcel"] = Parcel.from_json(json.dumps(said["parcel"][0]))
        said["records"] = {name: Record(*fields) for name, fields in said["records"].items()}
        return cls(**said)


class Journal:
    """The journal of a batch.

    Args:
        target: the folder of results.
    """

    def __init__(self, target: Storage) -> None:
        self._target = target
        self._parts: int | None = None  # how many there are

    def settings(self) -> dict[str, Any] | None:
        """Return what the results of an unfinished batch are made with; None if there is none."""
        if self._target.entry(_SETTINGS) is None:
            return None
        return completed(json.loads(self._target.read(_SETTINGS)))

    def begin(self, settings: Mapping[str, Any], *, anew: bool) -> None:
        """Write down what the results are made with, and whether all are made anew.

        Then what has been done before is forgotten, but that its results are no stranger's.
        """
        if anew:
            self.note_begun(self.begun() | self._made())
            self._target.write(_ANEW, b"")
            self._target.remove_folder(_PARTS)
            self._target.remove_folder(_PARCELS)
        self._target.write(_SETTINGS, json.dumps(settings).encode())

    def is_anew(self) -> bool:
        """Whether a batch that is not finished makes all anew: what was done before it is old."""
        return self._target.entry(_ANEW) is not None

    def _made(self) -> frozenset[str]:
        """Return the targets that an unfinished batch has made, or may have."""
        noted = (record.target for batch in self.records(self.parts()) for record in batch)
        dealt = (
            {picture.target for picture in progress.parcel.pictures}.difference(progress.foreign)
            for progress in self.unfinished()
        )
        return frozenset(noted).union(*dealt)

    def begun(self) -> frozenset[str]:
        """Return the targets that killed runs may have written."""
        if self._target.entry(_BEGUN) is None:
            return frozenset()
        return frozenset(json.loads(self._target.read(_BEGUN)))

    def note_begun(self, targets: Iterable[str]) -> None:
        """Write down the targets that killed runs may have written."""
        self._target.write(_BEGUN, json.dumps(sorted(targets)).encode())

    def progress(self, parcel: Parcel) -> Progress | None:
        """Return how far a parcel has come; None if nobody has begun with it."""
        path = f"{_PARCELS}/{parcel.name}.json"
        if self._target.entry(path) is None:
            return None
        return Progress.from_json(self._target.read(path))

    def note(self, progress: Progress) -> None:
        """Write down how far a parcel has come."""
        self._target.write(f"{_PARCELS}/{progress.parcel.name}.json", progress.to_json())

    def unfinished(self) -> Iterator[Progress]:
        """Yield how far each parcel has come that a killed batch was at."""
        for path in self._files(_PARCELS, ".json"):
            yield Progress.from_json(self._target.read(path))

    def forget(self, parcel: str) -> None:
        """Forget a parcel whose records are in a part."""
        self._target.remove(f"{_PARCELS}/{parcel}.json")

    def add_part(self, records: list[Record], settings: Mapping[str, Any]) -> None:
        """Write down what has been done."""
        if self._parts is None:
            self._parts = len(self.parts())
        # Of two batches at once, which nothing prevents in a store, neither loses what it has done.
        name = f"{self._parts:09d}-{secrets.token_hex(4)}.parquet"
        self._target.write(f"{_PARTS}/{name}", table_of(records, settings))
        self._parts += 1

    def parts(self) -> list[str]:
        """Return the parts that there are, in the order in which they were written."""
        return sorted(self._files(_PARTS, ".parquet"))

    def records(self, parts: list[str]) -> Iterator[list[Record]]:
        """Yield the records of parts, some at a time."""
        for part in parts:
            yield from records_in(self._target, part)

    def end(self) -> None:
        """Remove the journal: what it says is in the manifest."""
        self._target.remove_folder(FOLDER)

    def _files(self, folder: str, ending: str) -> Iterator[str]:
        """Yield the files of a folder; not the hidden ones that are being written, or were."""
        paths = (entry.path for entry in self._target.entries(folder))
        return (path for path in paths if path.endswith(ending))
