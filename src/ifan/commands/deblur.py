"""`ifan deblur`."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifan.commands import options
from ifan.commands.opening import open_deblurrer
from ifan.commands.progress import progress_over
from ifan.files import exists, is_folder

if TYPE_CHECKING:
    from ifan.worklist import Outcome

STATUSES = ("done", "skipped", "failed")


def deblur(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Photographs, and folders of photographs.", metavar="INPUT", parser=options.path
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            parser=options.path,
            metavar="FILE|FOLDER",
            help="The result, or a folder for several. Default: photo.deblurred.jpg beside"
            " photo.jpg.",
        ),
    ] = None,
    model: options.Model = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="How much of the correction to apply.")
    ] = 1.0,
    working_size: options.WorkingSize = "auto",
    left: options.Left = None,
    right: options.Right = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Search sub-folders of the folders given.")
    ] = False,
    overwrite: options.Overwrite = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Write before and after side by side, too: NAME.compare."),
    ] = False,
    verbose: options.Verbose = False,
) -> None:
    """Deblur photographs. EXIF, colour profile, bit depth and transparency are kept."""
    if (left or right) and (len(inputs) != 1 or is_folder(inputs[0])):
        raise typer.BadParameter("dual-pixel views belong to one photograph; give one INPUT")
    from ifan import worklist

    deblurrer = open_deblurrer(model, engine, precision, working_size, verbose=verbose)
    tasks = [
        task._replace(left=left, right=right)
        for task in worklist.plan(inputs, output, recursive=recursive)
    ]
    deblurrer.load()  # before the clock runs
    outcomes = worklist.run(
        deblurrer, tasks, strength=strength, compare=compare, overwrite=overwrite
    )
    sizes = [_size(task.source) for task in tasks]
    counts = _work_off(outcomes, sizes, debug=context.find_root().params["debug"])
    if len(tasks) > 1:
        typer.echo(", ".join(f"{counts[status]} {status}" for status in STATUSES))
    if counts["failed"]:
        raise typer.Exit(1)


def _work_off(outcomes: Iterator[Outcome], sizes: list[int], *, debug: bool) -> Counter[str]:
    """Let the work be done, report each outcome as it comes, and count them by status."""
    counts: Counter[str] = Counter()
    try:
        with progress_over(sizes) as advance:
            started = time.monotonic()
            for outcome in outcomes:
                counts[outcome.status] += 1
                _report(outcome, time.monotonic() - started, debug=debug)
                advance()
                started = time.monotonic()
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on where this one was", err=True)
        raise typer.Exit(130) from None
    return counts


def _report(outcome: Outcome, seconds: float, *, debug: bool) -> None:
    task = outcome.task
    if outcome.status == "done":
        typer.echo(f"{task.source} -> {task.target} ({seconds:.1f} s)")
    elif outcome.status == "skipped":
        typer.echo(f"{task.source}: skipped, {task.target} exists; --overwrite replaces it")
    elif debug:
        traceback.print_exception(outcome.error)
    else:
        typer.echo(str(outcome.error), err=True)


def _size(path: Path) -> int:
    """Return the size of a file in bytes, which stands for the time it takes."""
    return path.stat().st_size if exists(path) else 0
