"""`ifan deblur`."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifan.commands import options, stopping
from ifan.commands.ledger import open_ledger
from ifan.commands.opening import open_deblurrer
from ifan.commands.progress import progress_over
from ifan.errors import OutputError
from ifan.files import exists, is_folder

if TYPE_CHECKING:
    from ifan.worklist import Task


def _report(text: str) -> Path:
    if text == "-":
        raise typer.BadParameter("a report goes to a file, which - is not; a file - is ./-")
    return options.path(text)


def deblur(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Photographs, folders, patterns ('shoot/**/*.jpg'); or -, standard input.",
            metavar="INPUT",
            parser=options.end,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            parser=options.end,
            metavar="FILE|FOLDER|-",
            help="The result, or a folder for several; - is standard output. Default:"
            " photo.deblurred.jpg beside photo.jpg.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="PATTERN",
            help="What to call results, without suffix. Default: {stem}.deblurred beside"
            " photographs, {stem} in a folder.",
        ),
    ] = None,
    picture_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="jpeg, png, tiff, webp or avif. Default: that of the photograph; for HEIC jpeg,"
            " for JPEG XL png, for RAW tiff.",
        ),
    ] = None,
    model: options.Model = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    strength: options.Strength = 1.0,
    working_size: options.WorkingSize = "auto",
    passes: options.Passes = 1,
    memory: options.Memory = None,
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
    page: options.Page = None,
    max_pixels: options.MaxPixels = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            parser=_report,
            metavar="FILE",
            help="Add a line of JSON for each photograph to this file.",
        ),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Deblur photographs. EXIF, colour profile, bit depth and transparency are kept."""
    with stopping.deferred():
        from ifan import worklist
        from ifan.images import MAX_PIXELS

    if overwrite:
        stopping.say_how_to_go_on("without --overwrite the same command goes on where this one was")
    tasks = _plan(inputs, output, recursive, name, picture_format)
    if (left or right) and (len(tasks) != 1 or is_folder(inputs[0])):
        raise typer.BadParameter("dual-pixel views belong to one photograph; give one INPUT")
    _require_streams(tasks[0], compare=compare)
    with open_ledger(tasks, report, debug=context.find_root().params["debug"]) as ledger:
        deblurrer = open_deblurrer(
            model, engine, precision, working_size, memory, passes=passes, verbose=verbose
        )
        outcomes = worklist.run(
            deblurrer,
            [task._replace(left=left, right=right) for task in tasks],
            strength=strength,
            compare=compare,
            overwrite=overwrite,
            page=page,
            max_pixels=max_pixels or MAX_PIXELS,
            stopped=stopping.asked,
        )
        # Of a batch, what is begun is finished and told; a single one is let go.
        noting = stopping.deferred() if len(tasks) > 1 else nullcontext()
        sizes = [_size(task.source) for task in tasks]
        with noting, closing(outcomes), progress_over(sizes) as advance:
            for outcome in outcomes:
                ledger.add(outcome)
                advance()
        stopping.require_going_on()
        ledger.sum_up()


def _plan(
    inputs: list[Path],
    output: Path | None,
    recursive: bool,
    name: str | None,
    picture_format: str | None,
) -> list[Task]:
    from ifan.images import OUTPUT_SUFFIXES
    from ifan.worklist import plan

    chosen = OUTPUT_SUFFIXES.get(f".{picture_format}".lower())
    if picture_format is not None and chosen is None:
        names = dict.fromkeys(entry.name.lower() for entry in OUTPUT_SUFFIXES.values())
        reason = f"--format {picture_format} is none of {', '.join(names)}"
        raise typer.BadParameter(reason)
    try:
        return plan(inputs, output, recursive=recursive, name=name, picture_format=chosen)
    except ValueError as error:
        raise typer.BadParameter(f"--name: {error}") from error
    except OutputError as error:
        raise typer.BadParameter(str(error)) from error


def _require_streams(task: Task, *, compare: bool) -> None:
    """Refuse streams that are no place for a picture."""
    from ifan.worklist import STREAM

    if task.source == STREAM and (sys.stdin is None or sys.stdin.isatty()):
        raise typer.BadParameter("standard input is a terminal; send a photograph there")
    if task.target == STREAM and (sys.stdout is None or sys.stdout.isatty()):
        raise typer.BadParameter("standard output is a terminal; give -o FILE, or send it on")
    if task.target == STREAM and compare:
        raise typer.BadParameter("--compare writes two pictures, standard output takes one")


def _size(path: Path) -> int:
    """Return the size of a file in bytes, which stands for the time it takes."""
    return path.stat().st_size if exists(path) else 0
