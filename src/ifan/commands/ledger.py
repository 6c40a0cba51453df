"""What became of the photographs of a run: a line for each as it comes, and all in sum."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ifan.errors import OutputError, in_one_line

if TYPE_CHECKING:
    from ifan.worklist import Outcome, Report, Task

STATUSES = ("done", "skipped", "failed")


@contextmanager
def open_ledger(tasks: Sequence[Task], report: Path | None, *, debug: bool) -> Iterator[Ledger]:
    """Open the ledger of a run.

    Args:
        tasks: what is to be done.
        report: a file that gets a line of JSON for each outcome, too.
        debug: whether failures are told with their tracebacks.

    Raises:
        typer.BadParameter: the report cannot be written.
    """
    from ifan.worklist import Report

    try:
        opened = Report(report) if report else nullcontext()
    except OutputError as error:
        raise typer.BadParameter(f"--report: {error}") from error
    with opened as file:
        yield Ledger(tasks, file, debug=debug)


class Ledger:
    """Tells outcomes, and remembers them.

    Args:
        tasks: what is to be done.
        report: gets each outcome, too.
        debug: whether failures are told with their tracebacks.
    """

    def __init__(self, tasks: Sequence[Task], report: Report | None, *, debug: bool) -> None:
        from ifan.worklist import STREAM

        self._is_batch = len(tasks) > 1
        # Where a picture goes to standard output, nothing else does.
        self._aside = any(task.target == STREAM for task in tasks)
        self._report = report
        self._debug = debug
        self._counts: Counter[str] = Counter()
        self._failures: list[str] = []
        self._is_whole = True

    def add(self, outcome: Outcome) -> None:
        """Tell an outcome."""
        self._counts[outcome.status] += 1
        if outcome.error is not None:
            self._failures.append(str(outcome.error))
        self._tell(outcome)
        try:
            if self._report is not None:
                self._report.add(outcome)
        except OutputError as error:  # the photographs matter more
            typer.echo(str(error), err=True)
            self._report, self._is_whole = None, False

    def sum_up(self) -> None:
        """Say how many came out how; of several photographs, name those that failed once more.

        Raises:
            typer.Exit: with status 1, if something failed.
        """
        if self._is_batch:
            counts = ", ".join(f"{self._counts[status]} {status}" for status in STATUSES)
            self._say(counts)
            for line in ["failed:", *self._failures] if self._failures else []:
                typer.echo(line, err=True)
        if self._failures or not self._is_whole:
            raise typer.Exit(1)

    def _tell(self, outcome: Outcome) -> None:
        task = outcome.task
        if outcome.status == "done":
            self._say(f"{task.source} -> {task.target} ({outcome.seconds:.1f} s)")
        elif outcome.status == "skipped":
            self._say(f"{task.source}: skipped, {task.target} exists; --overwrite replaces it")
        elif self._debug:
            traceback.print_exception(outcome.error)
        else:
            typer.echo(str(outcome.error), err=True)

    def _say(self, line: str) -> None:
        typer.echo(in_one_line(line), err=self._aside)
