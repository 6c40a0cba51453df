"""How far long work has come: a bar on a terminal, nothing elsewhere (lines tell it there)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import rich.progress


class DownloadProgress:
    """A bar over bytes; called with those received so far and, if known, those in all."""

    def __init__(self) -> None:
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Self:
        if _interactive():
            from rich.progress import Progress as Bar

            self._bar = Bar(*Bar.get_default_columns(), transient=True)
            self._task = self._bar.add_task("download", total=None)
            self._bar.start()
        return self

    def __call__(self, received: int, total: int | None) -> None:
        """Show how far the download has come."""
        if self._bar is not None:
            self._bar.update(self._task, completed=received, total=total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _interactive() -> bool:
    """Whether both streams are a terminal: else a bar would end up among the lines of a file."""
    return sys.stdout.isatty() and sys.stderr.isatty()


class Progress:
    """A bar over pieces of work of known size, with the time left.

    Args:
        sizes: the size of each piece, in any unit.
    """

    def __init__(self, sizes: list[int]) -> None:
        self._sizes = iter(sizes)
        self._total = sum(sizes)
        self._count = len(sizes)
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Self:
        if _interactive():
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.fields[done]} of {task.fields[count]}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("left"),
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._total, done=0, count=self._count)
            self._bar.start()
        return self

    def advance(self) -> None:
        """Count one piece as done."""
        size = next(self._sizes)
        if self._bar is not None:
            done = self._bar.tasks[0].fields["done"] + 1
            self._bar.update(self._task, advance=size, done=done)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
