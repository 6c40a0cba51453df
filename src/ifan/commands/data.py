"""`ifan data`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifan import __version__
from ifan.commands import options, stopping
from ifan.commands.progress import progress_over
from ifan.errors import in_one_line

if TYPE_CHECKING:
    from ifan.datasets.writing import Work

app = typer.Typer(help="Make pictures to train with.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _data() -> None:
    """Keep `simulate` a command of its own, though it is the only one."""


@app.command("simulate")
def simulate(
    photos: Annotated[
        Path,
        typer.Option(
            "--photos",
            parser=options.path,
            metavar="FOLDER",
            help="Sharp photographs; folders in it are searched, too.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=options.path, metavar="FOLDER", help="Where the scenes go."
        ),
    ],
    scenes: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many.")
    ] = 1000,
    size: Annotated[
        int, typer.Option(min=16, max=4096, metavar="N", help="Side of the pictures in pixels.")
    ] = 256,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Another one makes other scenes.")
    ] = 0,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many share the work. Default: one for each processor."
        ),
    ] = None,
    depths: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            metavar="FOLDER",
            help="Maps of depth, or of signed circles of confusion, named as their photographs:"
            " a.tif for a.jpg.",
        ),
    ] = None,
    max_radius: Annotated[
        float,
        typer.Option(
            min=0.5, max=100, metavar="R", help="Largest circle of confusion: radius in pixels."
        ),
    ] = 15.0,
    sharp: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of scenes without defocus.")
    ] = 0.1,
    bits: Annotated[int, typer.Option(metavar="8|16", help="Bits a sample.")] = 8,
) -> None:
    """Simulate dual-pixel photographs that are out of focus, from sharp ones.

    Writes the layout of DPDD: train_c, train_l and train_r with source and target; the true circle
    of confusion in train_c/coc; settings.json and contact-sheet.jpg. The same command goes on where
    an earlier one was stopped; with a larger --scenes it adds scenes. Needs ifan[train].
    """
    if bits not in (8, 16):
        raise typer.BadParameter("--bits is 8 or 16")
    with stopping.deferred():
        from ifan.datasets.writing import Recipe, Work

    recipe = Recipe(__version__, scenes, size, seed, bits, max_radius, sharp)
    work = Work(photos, out, recipe, depths=depths, processes=processes, stopped=stopping.asked)
    _run(work)
    typer.echo(
        in_one_line(f"{out}: {scenes} scenes of {work.used} photographs, {work.left_out} left out")
    )


def _run(work: Work) -> None:
    """Judge photographs and make scenes; what is begun when a signal comes is finished."""
    with stopping.deferred(), closing(work.judge()) as findings:
        for finding in _with_progress(findings, work.unjudged):
            if finding.refusal is not None:
                typer.echo(in_one_line(finding.refusal), err=True)
    with stopping.deferred(), closing(work.make()) as made:
        for _ in _with_progress(made, work.missing):
            pass


def _with_progress(results: Iterable[Any], pieces: Sequence[Any]) -> Iterable[Any]:
    """Show a bar over pieces of work while their results come."""
    with progress_over([1] * len(pieces)) as advance:
        for result in results:
            yield result
            advance()
