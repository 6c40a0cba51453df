"""What became of each picture of an evaluation, kept so that it is not done twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ifan.errors import OutputError
from ifan.evaluation.metrics import Scores

Stamp = tuple[tuple[str, int, int], ...]
"""Of each file: its path, its size in bytes, and when it was changed, in nanoseconds."""


class Record(BaseModel):
    """What became of a picture.

    Attributes:
        number: of the picture, from 1.
        name: of the file of its center view, without suffix.
        stamp: of the files that it was made from.
        result: the file of the result.
        scores: of the result; None where there is no target, or it failed.
        before: of the picture as it was.
        seconds: that the network took; None where there was none.
        alone: whether nothing else was done meanwhile.
        error: why it failed, in one line; None if it did not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    name: str
    stamp: Stamp
    result: str | None = None
    scores: Scores | None = None
    before: Scores | None = None
    seconds: float | None = None
    alone: bool = False
    error: str | None = None


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Return what tells whether files are the same as they were; of missing ones zeros."""
    stamps = []
    for path in map(Path.absolute, files):
        try:
            status = path.stat()
            stamps.append((plain_text(path), status.st_size, status.st_mtime_ns))
        except OSError:  # who reads it will say so
            stamps.append((plain_text(path), 0, 0))
    return tuple(stamps)


def read_records(path: Path) -> dict[int, Record]:
    """Return what an earlier run has noted, by number: of each picture the last.

    A line that a killed process or a full disk cut short is left out.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    records = {}
    for line in lines:
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            continue
        records[record.number] = record
    return records


def add_record(path: Path, record: Record) -> None:
    """Note what became of a picture: a line of JSON, in one piece.

    Raises:
        OutputError: it cannot be written.
    """
    # It begins a line, whatever was cut short before it.
    line = f"\n{record.model_dump_json()}\n".encode()
    try:
        with path.open("ab", buffering=0) as file:
            while line:
                line = line[file.write(line) :]
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        remedy = "make room; the same command goes on where this one was"
        raise OutputError(path, reason, remedy) from error


def means(records: Sequence[Record], which: str = "scores") -> dict[str, float] | None:
    """Return the mean of each metric; None if nothing has been scored.

    Args:
        records: what is averaged; those without scores are left out.
        which: `scores` or `before`.
    """
    scored = [getattr(record, which) for record in records]
    scored = [scores for scores in scored if scores is not None]
    if not scored:
        return None
    sums = {name: sum(getattr(one, name) for one in scored) for name in Scores.model_fields}
    return {name: float(total / len(scored)) for name, total in sums.items()}


def mean_seconds(records: Sequence[Record]) -> float | None:
    """Return the mean time of the network; None if none ran."""
    seconds = [record.seconds for record in records if record.seconds is not None]
    return sum(seconds) / len(seconds) if seconds else None


def plain_text(path: str | Path) -> str:
    """Return a name as text that any file takes, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
