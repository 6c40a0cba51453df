"""How far long work has come: a bar on a terminal, nothing elsewhere (lines tell it there)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

_LINE_SECONDS = 10.0
"""Between two lines that tell how far a batch has come."""


@contextmanager
def progress_over(sizes: Sequence[int]) -> Iterator[Callable[[], None]]:
    """Show a bar over pieces of work, with the time left.

    Args:
        sizes: the size of each piece in turn, in any unit.

    Yields:
        A function to call after each piece.
    """
    if not _interactive():
        yield lambda: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[done]} of {task.fields[count]}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=sum(sizes), done=0, count=len(sizes))
        pieces = iter(enumerate(sizes, start=1))

        def advance() -> None:
            done, size = next(pieces)
            bar.update(task, advance=size, done=done)

        yield advance


@contextmanager
def progress_of_download() -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar over bytes.

    Yields:
        A function to call with the bytes received so far and, if known, those in all.
    """
    if not _interactive():
        yield lambda _received, _total: None
        return
    from rich.progress import DownloadColumn, Progress

    with Progress(*Progress.get_default_columns(), DownloadColumn(), transient=True) as bar:
        task = bar.add_task("download", total=None)
        yield lambda received, total: bar.update(task, completed=received, total=total)


@contextmanager
def progress_of_training(updates: int) -> Iterator[Callable[[int, str], None] | None]:
    """Show a bar over the updates of a training, and beside it what is said of the last one.

    Yields:
        A function to call with the number of an update and what is said of it; None where there is
        no terminal.
    """
    if not _interactive():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("left; {task.fields[said]}"),
    )
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=updates, said="")
        yield lambda update, said: bar.update(task, completed=update, said=said)


@contextmanager
def progress_of_batch() -> Iterator[Callable[[float, str], None]]:
    """Show a bar over a batch; where there is no terminal, a line now and then.

    Yields:
        A function to call with the share that is done, 0 to 1, and what is said of it.
    """
    if not _interactive():
        last = time.monotonic()

        def tell(_share: float, said: str) -> None:
            nonlocal last
            if time.monotonic() - last > _LINE_SECONDS:
                last = time.monotonic()
                typer.echo(said, err=True)

        yield tell
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=1.0, said="starting")
        yield lambda share, said: bar.update(task, completed=share, said=said)


def _interactive() -> bool:
    """Whether both streams are a terminal: else a bar would end up among the lines of a file."""
    # Either is None if it was closed before.
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
