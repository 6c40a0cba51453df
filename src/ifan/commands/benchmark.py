"""`ifan benchmark`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifan.commands import options, stopping
from ifan.commands.opening import open_deblurrer
from ifan.files import require_free, write_atomically

if TYPE_CHECKING:
    from ifan.benchmarking.benchmark import Benchmark, Row

_STREAM = Path("-")
_LARGEST = 500.0
"""Megapixels; `ifan deblur` refuses more unless it is told otherwise."""

_SMALLEST = 0.001


def sizes_of(text: str) -> list[float]:
    """Take an argument as sizes in megapixels: `0.5,2,24`."""
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(_SMALLEST <= size <= _LARGEST for size in sizes):
        bounds = f"from {_SMALLEST:g} to {_LARGEST:g}"
        raise typer.BadParameter(f"{text!r} are no megapixels {bounds}, as 0.5,2,24")
    return sizes


def benchmark(
    model: options.Model = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    working_size: options.WorkingSize = "full",
    memory: options.Memory = None,
    sizes: Annotated[
        Any,
        typer.Option(
            "--sizes", parser=sizes_of, metavar="MP,MP,...", help="Megapixels of the photographs."
        ),
    ] = "0.5,1,2,8,24",
    repeats: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Passes of each; the quickest counts, the first compiles."
        ),
    ] = 3,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            parser=options.end,
            metavar="FILE|-",
            help="Write what was measured as JSON, too; - is standard output, without the table.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure how fast a model is on this machine, and what memory it takes.

    Photographs of several sizes are made up and deblurred, at their full size unless
    --working-size says otherwise, each in a process of its own. Peak memory is the whole program's.
    """
    stopping.say_how_to_go_on("the same command begins anew")
    if json_file is not None and json_file != _STREAM:
        require_free(json_file, overwrite=overwrite)
    deblurrer = open_deblurrer(model, engine, precision, working_size, memory, verbose=verbose)
    with stopping.deferred():
        from ifan.benchmarking.benchmark import Benchmark
        from ifan.benchmarking.measuring import Setup

    setup = Setup(model, engine, precision, working_size, memory)
    with tempfile.TemporaryDirectory(prefix="ifan-") as folder:
        measuring = Benchmark(setup, deblurrer, repeats, Path(folder), stopping.require_going_on)
        result = _measure(measuring, sizes, quiet=json_file == _STREAM)
    if json_file is not None:
        text = json.dumps(result, indent=2) + "\n"
        if json_file == _STREAM:
            typer.echo(text, nl=False)
        else:
            write_atomically(json_file, text.encode(), overwrite=overwrite)


def _measure(measuring: Benchmark, sizes: list[float], *, quiet: bool) -> dict[str, Any]:
    """Measure, telling each result once it is there."""

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line)

    described = measuring.described()
    say(
        f"{described['model']}, {described['engine']} on {described['device']} in "
        f"{described['precision']}; {described['processor']}, {described['logical_cores']} "
        "logical cores"
    )
    say(
        f"{'megapixels':>10}{'network':>11}{'MP/s':>8}{'of peak':>9}{'file to file':>14}"
        f"{'peak memory':>13}"
    )
    rows = []
    for megapixels in sizes:
        rows.append(measuring.photograph(megapixels))
        say(_line(rows[-1]))
    cold_start = measuring.cold_start()
    say(f"cold start: {cold_start:.2f} s (ifan deblur of 1 megapixel, without the network)")
    if measuring.product is not None:
        say(
            f"peak: a matrix product in {described['precision']} does "
            f"{measuring.product / 1e9:.0f} G multiplications a second"
        )
    return {
        **described,
        "product_multiplications_per_second": measuring.product,
        "cold_start_seconds": cold_start,
        "photographs": [row._asdict() for row in rows],
    }


def _line(row: Row) -> str:
    of_peak = "-" if row.of_peak is None else f"{row.of_peak:.0%}"
    return (
        f"{row.megapixels:>10g}{row.network_seconds:>9.2f} s{row.megapixels_per_second:>8.2f}"
        f"{of_peak:>9}{row.file_seconds:>12.2f} s{row.peak_bytes / 1e9:>10.2f} GB"
    )
