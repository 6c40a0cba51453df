"""What became of each photograph, as a Parquet file, and which ones need no work any more."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ifan.cluster.listing import Picture
from ifan.cluster.storage import Storage
from ifan.errors import OutputError

MANIFEST = "manifest.parquet"
FAILURES = "failures.jsonl"

_DIGEST = "S17"
_SETTINGS_KEY = b"ifan"
_ROWS_AT_ONCE = 20_000

_LATER_SETTINGS = {"passes": 1}
"""What batches had, of before there was a word for it."""


class Record(NamedTuple):
    """What became of a photograph, or of a folder that cannot be listed: a row of the manifest.

    Attributes:
        source: the photograph, from the folder of sources.
        target: its result, from the folder of targets.
        status: `done`; `skipped`, as a file that is no result of a batch has its name; or `failed`.
        width, height: in pixels, once it has been read.
        source_bytes: size of the photograph's file.
        source_stamp: differs when the photograph has been changed.
        target_bytes: size of the result's file; where it failed, of that of an earlier state of the
            photograph, if there is one.
        sha256: of the result's file.
        seconds: how long it was worked on; others may have been worked on at the same time.
        model: what it was deblurred with.
        finished: when, in seconds since 1970.
        reason, remedy: why it failed or was skipped, and what to do about it.
        folder: of the sources, where it was then.
    """

    source: str
    target: str
    status: Literal["done", "skipped", "failed"]
    width: int | None = None
    height: int | None = None
    source_bytes: int | None = None
    source_stamp: str | None = None
    target_bytes: int | None = None
    sha256: str | None = None
    seconds: float | None = None
    model: str | None = None
    finished: float | None = None
    reason: str | None = None
    remedy: str | None = None
    folder: str = ""

    @property
    def pixels(self) -> int:
        """How many pixels the photograph has; 0 if it could not be read."""
        return (self.width or 0) * (self.height or 0)


_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("source_bytes", pa.int64()),
        pa.field("source_stamp", pa.string()),
        pa.field("target_bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("seconds", pa.float32()),
        pa.field("model", pa.string()),
        pa.field("finished", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("remedy", pa.string()),
        pa.field("folder", pa.string(), nullable=False),
    ]
)


def table_of(records: Iterable[Record], settings: Mapping[str, Any]) -> bytes:
    """Return records as a Parquet file."""
    content = io.BytesIO()
    with writer_to(content, settings) as writer:
        add_to(writer, records)
    return content.getvalue()


def writer_to(where: Any, settings: Mapping[str, Any]) -> pq.ParquetWriter:
    """Open a Parquet file of records.

    Args:
        where: a path, or a file that is open.
        settings: what the results were made with.
    """
    said = {_SETTINGS_KEY: json.dumps(settings).encode()}
    return pq.ParquetWriter(where, _SCHEMA.with_metadata(said), compression="zstd")


def add_to(writer: pq.ParquetWriter, records: Iterable[Record]) -> None:
    """Add records to a Parquet file."""
    rows = [_row(record) for record in records]
    if rows:
        writer.write_table(pa.Table.from_pylist(rows, writer.schema))


def records_in(storage: Storage, path: str) -> Iterator[list[Record]]:
    """Yield the records of a Parquet file, some at a time; none if there is no such file.

    Raises:
        OutputError: the file is no manifest.
    """
    if storage.entry(path) is not None:
        with _opened(storage, path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                yield [Record(**row) for row in batch.to_pylist()]


def settings_in(storage: Storage, path: str) -> dict[str, Any] | None:
    """Return what the results of a manifest were made with; None if there is no manifest.

    Raises:
        OutputError: the file is no manifest.
    """
    if storage.entry(path) is None:
        return None
    with _opened(storage, path) as file:
        return completed(json.loads(file.schema_arrow.metadata[_SETTINGS_KEY]))


def completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those that they are too old to have."""
    return _LATER_SETTINGS | settings


@contextmanager
def _opened(storage: Storage, path: str) -> Iterator[pq.ParquetFile]:
    with storage.open(path) as content:
        try:
            file = pq.ParquetFile(content)
            is_ours = file.schema_arrow.equals(_SCHEMA)
            is_ours &= _SETTINGS_KEY in (file.schema_arrow.metadata or {})
        except pa.ArrowInvalid:
            is_ours = False
        if not is_ours:
            remedy = "move it away, or give another folder"
            raise OutputError(storage.name(path), "is no manifest of ifan", remedy)
        yield file


def are_alike(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether results of these settings go together; from where photographs come is no matter."""
    if one is None:
        return False
    return {**one, "source": ""} == {**other, "source": ""}


class Done:
    """Which photographs have a result, and of which state of theirs it was made.

    It holds 42 bytes for each: ten million fit into half a gigabyte.

    Args:
        batches: records, some at a time; later ones count.
    """

    def __init__(self, batches: Iterable[list[Record]]) -> None:
        keys, stamps, sizes = (
            [np.zeros(0, _DIGEST)],
            [np.zeros(0, _DIGEST)],
            [np.zeros(0, np.int64)],
        )
        for batch in batches:
            keys.append(digests(record.source for record in batch))
            stamps.append(digests(_state_of(record) for record in batch))
            found = (r.target_bytes if r.status != "skipped" else None for r in batch)
            sizes.append(np.array([-1 if size is None else size for size in found], np.int64))
        every = np.concatenate(keys)
        order = np.argsort(every, kind="stable")
        self._keys = every[order]
        self._stamps = np.concatenate(stamps)[order]
        self._sizes = np.concatenate(sizes)[order]

    def size(self, picture: Picture) -> int | None:
        """Return how many bytes the result of a photograph has, be it of another state of it."""
        place = self._place(picture)
        return None if place is None or self._sizes[place] < 0 else int(self._sizes[place])

    def is_current(self, picture: Picture) -> bool:
        """Whether the result is of the state in which the photograph is now."""
        place = self._place(picture)
        return place is not None and bool(
            self._stamps[place] == digests([_state(picture.size, picture.stamp)])[0]
        )

    def _place(self, picture: Picture) -> int | None:
        key = digests([picture.source])[0]
        place = int(np.searchsorted(self._keys, key, side="right")) - 1
        return place if place >= 0 and self._keys[place] == key else None


def digests(names: Iterable[str]) -> NDArray[np.bytes_]:
    """Return a short digest of each name; those of a billion names are all different."""
    said = (_printable(name).encode() for name in names)
    # NumPy drops zero bytes at the end of what it holds.
    return np.array([hashlib.blake2b(n, digest_size=16).digest() + b"." for n in said], _DIGEST)


def latest(batches: Iterable[list[Record]]) -> NDArray[np.bool_]:
    """Tell of each record whether it is the last one of its photograph."""
    named = (digests(f"{r.folder}\n{r.source}" for r in batch) for batch in batches)
    keys = np.concatenate([np.zeros(0, _DIGEST), *named])
    _, last = np.unique(keys[::-1], return_index=True)
    kept = np.zeros(len(keys), bool)
    kept[len(keys) - 1 - last] = True
    return kept


def _state_of(record: Record) -> str:
    """Return of which state of its photograph a result is; nothing where there is no result."""
    if record.status != "done" or record.source_stamp is None:
        return ""
    return _state(record.source_bytes, record.source_stamp)


def _state(size: int | None, stamp: str) -> str:
    return f"{size} {stamp}"


def _row(record: Record) -> dict[str, Any]:
    row = record._asdict()
    return row | {
        name: _printable(row[name])
        for name in ("source", "target", "reason", "folder")
        if row[name]
    }


def _printable(name: str) -> str:
    """Return a name without the surrogates that stand for bytes that are no UTF-8."""
    return name.encode(errors="backslashreplace").decode()
