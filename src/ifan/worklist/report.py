"""A report that programs can read: a line of JSON for each photograph."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ifan.errors import OutputError
from ifan.worklist.tasks import Outcome


class Report:
    """A file to which a line is added as soon as a photograph is finished.

    A line goes to the system in one piece, so that a killed run leaves whole lines. Each is an
    object of `source`, `target`, `status`, `seconds`, `error` (its kind), `reason` and `remedy`;
    what there is none of is null. Bytes of names that are no UTF-8 are single surrogates, as
    `os.fsencode` takes them.

    Args:
        path: the file; one that is there is added to.

    Raises:
        OutputError: it cannot be written, or is there and is no report.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("a+b", buffering=0)
            is_report, self._start = self._looked_into()
        except OSError as error:
            raise self._failure(error) from error
        if not is_report:
            self._file.close()
            raise OutputError(path, "is there and is no report", "give another name")

    def _looked_into(self) -> tuple[bool, bytes]:
        """Return whether lines may be added to what is there, and what has to come before them."""
        if not self._file.seekable():  # a pipe
            return True, b""
        self._file.seek(0)
        is_report = self._file.read(1) in (b"", b"{")
        # A line that a full disk cut short stays a line of its own.
        self._file.seek(max(0, self._file.seek(0, os.SEEK_END) - 1))
        return is_report, b"" if self._file.read(1) in (b"", b"\n") else b"\n"

    def __enter__(self) -> Self:
        """Return the report."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Add what became of a photograph.

        Raises:
            OutputError: the file can no longer be written.
        """
        error = outcome.error
        fields = {
            "source": str(outcome.task.source),
            "target": None if outcome.task.refusal else str(outcome.task.target),
            "status": outcome.status,
            "seconds": round(outcome.seconds, 3),
            "error": type(error).__name__ if error else None,
            "reason": error.reason if error else None,
            "remedy": error.remedy if error else None,
        }
        line = self._start + json.dumps(fields).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as fault:
            raise self._failure(fault) from fault
        self._start = b""

    def _failure(self, error: OSError) -> OutputError:
        reason = f"cannot be written ({error.strerror or error})"
        return OutputError(self._path, reason, "check its folder and the disk")
