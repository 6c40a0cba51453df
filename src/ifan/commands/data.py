"""`ifan data`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ifan import __version__
from ifan.commands import data_sets, options, stopping
from ifan.commands.progress import progress_over
from ifan.errors import in_one_line
from ifan.files import is_folder

if TYPE_CHECKING:
    from ifan.datasets.folders import Bits
    from ifan.datasets.writing import Work

app = typer.Typer(
    help="Fetch, make, check and prepare pictures to train and to evaluate with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Source = Annotated[
    Path,
    typer.Argument(
        parser=options.path,
        metavar="FOLDER|ARCHIVE",
        help="A folder in the layout of DPDD, or with pairs in source and target; or the archive of"
        " a released set.",
    ),
]
_OF_PICTURES = ("split", "bits", "no_views", "shards", "shard_size")
"""Options that an archive, which is only unpacked, does not take."""

Part = Annotated[
    Literal["train", "val", "test"], typer.Option("--split", help="Which part of the data set.")
]


app.command("list")(data_sets.list_sets)
app.command("download")(data_sets.download)
app.command("check")(data_sets.check)


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
    bits: Annotated[
        int, typer.Option(parser=options.bits, metavar="8|16", help="Bits a sample.")
    ] = 8,
) -> None:
    """Simulate dual-pixel photographs that are out of focus, from sharp ones.

    Writes the layout of DPDD: train_c, train_l and train_r with source and target; the true circle
    of confusion in train_c/coc; settings.json and contact-sheet.jpg. The same command goes on where
    an earlier one was stopped; with a larger --scenes it adds scenes. Needs ifan[train].
    """
    with stopping.deferred():
        from ifan.datasets.writing import SceneRequest, Work

    request = SceneRequest(__version__, scenes, size, seed, bits, max_radius, sharp)
    work = Work(photos, out, request, depths=depths, processes=processes, stopped=stopping.asked)
    _run(work)
    typer.echo(
        in_one_line(f"{out}: {scenes} scenes of {work.used} photographs, {work.left_out} left out")
    )


@app.command("prepare")
def prepare(
    context: typer.Context,
    source: Source,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=options.path, metavar="FOLDER", help="Where the data set goes."
        ),
    ],
    split: Part = "train",
    bits: Annotated[
        int,
        typer.Option(
            parser=options.bits, metavar="8|16", help="Bits a sample; of 16, 8 are cut off."
        ),
    ] = 8,
    no_views: data_sets.NoViews = False,
    shards: Annotated[
        bool,
        typer.Option("--shards", help="Archives of PNG, for sets that are larger than a disk."),
    ] = False,
    shard_size: Annotated[
        float, typer.Option(min=0.001, metavar="GB", help="How large an archive becomes.")
    ] = 1.0,
) -> None:
    """Prepare pictures so that a training need not wait for them, or unpack a released archive.

    Decoded, in large files of which a crop reads only what it needs; or, with --shards, as archives
    that can be put on a web server and are fetched one by one. Then train with FOLDER, or its
    address. An archive of a released set is unpacked into its folder below FOLDER, which then is
    the root of data sets. The same command goes on where an earlier one was stopped.
    """
    with stopping.deferred():
        from ifan.datasets.folders import open_folder
        from ifan.datasets.packing import pack
        from ifan.datasets.shards import shard

    if source.suffix.lower() == ".zip" and not is_folder(source):
        if any(_is_given(context, name) for name in _OF_PICTURES):
            raise typer.BadParameter(
                "an archive is only unpacked; prepare its folder then, with these options"
            )
        data_sets.unpack(source, out)
        return
    examples = open_folder(source, split, views=not no_views, bits=cast("Bits", bits))
    if shards:
        size = int(shard_size * 1e9)
        preparation = shard(examples, out / split, part_bytes=size, stopped=stopping.asked)
    else:
        preparation = pack(examples, out / split, stopped=stopping.asked)
    with stopping.deferred(), closing(preparation.make()) as made:
        for _ in _with_progress(made, preparation.missing):
            pass
    typer.echo(in_one_line(f"{out}: {len(examples)} examples for {split}"))


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


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
