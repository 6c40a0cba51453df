"""Options that several commands have, the same words in each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ifan.passes import PASSES


def path(text: str) -> Path:
    """Take an argument as a path, unless it is empty, which would mean the current folder.

    Whether there is such a file is found out later: one that is missing does not stop the others.
    """
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


def address(text: str) -> str:
    """Take an argument as the address of a folder, unless it is empty; as `path`."""
    path(text)
    return text


def end(text: str) -> Path:
    """Take an argument as a path, or as a stream if it is `-`; a file of that name is `./-`."""
    given = path(text)
    return given.absolute() if text != "-" and given == Path("-") else given


def pixels(text: str) -> int:
    """Take an argument as a number of pixels: `800000000`, or `800M`."""
    found = re.fullmatch(r"([1-9]\d*)(M?)", text, re.ASCII | re.IGNORECASE)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no number of pixels, as 800000000 or 800M")
    return int(found[1]) * (1_000_000 if found[2] else 1)


def bits(text: str | int) -> int:
    """Take an argument as bits a sample, 8 or 16; also the default, which is a number already."""
    if str(text) not in ("8", "16"):
        raise typer.BadParameter(f"{text!r} is not 8 or 16")
    return int(text)


def passes(text: str | int) -> int:
    """Take an argument as a number of passes; also the default, which is a number already."""
    if str(text) not in map(str, PASSES):
        raise typer.BadParameter(f"{text!r} is none of {', '.join(map(str, PASSES))}")
    return int(text)


Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        parser=path,
        metavar="FOLDER",
        help="Where the folders of data sets are. Default: $IFAN_DATA_ROOT, or data_root in"
        " config.toml.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A name (see `ifan models list`), a checkpoint file, or a model's folder."
        " Default: ifan-s.",
    ),
]
Engine = Annotated[
    str, typer.Option("--engine", help="auto, openvino, torch or onnxruntime.", metavar="NAME")
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, fp32, bf16 or fp16. auto: the fastest that keeps the picture.",
        metavar="NAME",
    ),
]
WorkingSize = Annotated[
    str,
    typer.Option(
        "--working-size",
        help="Size at which the network sees the photograph: N, its long side in pixels; full;"
        " auto, at most 2048; or blur, for heavy blur: the size of auto, its half and its quarter,"
        " each place mostly getting the strongest correction. The result always has the full size.",
        metavar="auto|blur|full|N",
    ),
]
Passes = Annotated[
    int,
    typer.Option(
        "--passes",
        parser=passes,
        metavar="|".join(map(str, PASSES)),
        help="How often the network sees the photograph, turned and mirrored each time; the result"
        " is the mean: nearer to the truth, a little softer, and as many times slower. Of 8, a"
        " dual-pixel model makes 4.",
    ),
]
Strength = Annotated[
    float, typer.Option("--strength", min=0, max=1, help="How much of the correction to apply.")
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GB",
        help="Gigabytes that a photograph may take. Default: little; with more, large ones are done"
        " sooner.",
    ),
]
Left = Annotated[
    Path | None,
    typer.Option(
        "--left", parser=path, metavar="FILE", help="Left dual-pixel view, for a dual-pixel model."
    ),
]
Right = Annotated[
    Path | None,
    typer.Option(
        "--right",
        parser=path,
        metavar="FILE",
        help="Right dual-pixel view, for a dual-pixel model.",
    ),
]
Page = Annotated[
    int | None,
    typer.Option("--page", min=1, metavar="N", help="Which page of a TIFF of several, from 1."),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        parser=pixels,
        metavar="N",
        help="Refuse photographs of more pixels; 800M is 800 million. Default: 500M.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say what runs the network, and why.")
]
