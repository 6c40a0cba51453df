"""`ifan defocus-map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifan.commands import options
from ifan.commands.opening import open_deblurrer
from ifan.errors import in_one_line
from ifan.files import exists, is_folder, same_file


def defocus_map(
    source: Annotated[
        Path, typer.Argument(help="A photograph.", metavar="INPUT", parser=options.path)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            parser=options.path,
            metavar="FILE",
            help="A .png or .jpg gets colours and a legend; a .tif the numbers, in pixels, as"
            " 32-bit floats. Default: photo.defocus.png beside photo.jpg.",
        ),
    ] = None,
    model: options.Model = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    working_size: options.WorkingSize = "auto",
    memory: options.Memory = None,
    left: options.Left = None,
    right: options.Right = None,
    overwrite: options.Overwrite = False,
    page: options.Page = None,
    max_pixels: options.MaxPixels = None,
    verbose: options.Verbose = False,
) -> None:
    """Show how far each part of a photograph is out of focus.

    The map holds the disparity between dual-pixel views that the network predicts, in pixels of
    the photograph. It grows with the blur. With a dual-pixel model its sign tells the two sides of
    the focus apart; with a model of one view it means little. The working size blur is auto here.
    """
    from ifan.results import default_map_target

    deblurrer = open_deblurrer(model, engine, precision, working_size, memory, verbose=verbose)
    target = output or default_map_target(source)
    there = exists(source) and exists(target) and not is_folder(target)
    if there and not (overwrite or same_file(source, target)):
        typer.echo(in_one_line(f"{source}: skipped, {target} exists; --overwrite replaces it"))
        return
    span = deblurrer.defocus_map_file(
        source,
        target,
        left=left,
        right=right,
        overwrite=overwrite,
        page=page,
        max_pixels=max_pixels,
    )
    line = f"{source} -> {target} ({span[0]:+.1f} to {span[1]:+.1f} pixels)"
    typer.echo(in_one_line(line))
