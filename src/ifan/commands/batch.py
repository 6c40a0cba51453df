"""`ifan batch`."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifan.commands import options, stopping
from ifan.commands.installing import installed
from ifan.commands.opening import open_deblurrer
from ifan.commands.progress import progress_of_batch
from ifan.errors import in_one_line

if TYPE_CHECKING:
    from ifan.cluster import Batch, Tally, Workers

_TOLD_FAILURES = 20
"""Failures that are told as they come; of more, the list is the place."""


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            parser=options.address,
            help="Folder of photographs, or an address: s3://bucket/folder.",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            parser=options.address,
            help="Folder or address for the results. They are called there as in SOURCE.",
        ),
    ],
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="Ray cluster to run on: auto (the one this machine belongs to), or HOST:6379."
            " Default: that of $RAY_ADDRESS, or else this machine alone.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="N", help="Workers. Default: as the cluster has room."
        ),
    ] = None,
    cpus: Annotated[
        float | None,
        typer.Option(
            "--cpus-per-worker", min=0, metavar="N", help="Default: at most 2; 1 beside a GPU."
        ),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-worker", min=0, metavar="N", help="Default: 1 where there are any."
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage-options",
            metavar="JSON",
            help="""For the address' file system: '{"endpoint_url": "http://..."}'.""",
        ),
    ] = None,
    model: options.Model = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    strength: options.Strength = 1.0,
    working_size: options.WorkingSize = "auto",
    passes: options.Passes = 1,
    memory: options.Memory = None,
    max_pixels: options.MaxPixels = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Deblur an archive: a folder or bucket of photographs, on this machine or a Ray cluster.

    The same command goes on where a run was that ended early, and leaves what is done. At the end,
    TARGET has manifest.parquet, a row for each photograph, and failures.jsonl.
    """
    with stopping.deferred(), installed("cluster"):
        from ifan.cluster import FAILURES, Batch, connected, open_storage, order_for, workers_for

    if overwrite:
        stopping.say_how_to_go_on("without --overwrite the same command goes on where this one was")
    given = _storage_options(storage)
    from_, to = open_storage(source, given), open_storage(target, given)
    deblurrer = open_deblurrer(
        model,
        engine,
        precision,
        working_size,
        memory,
        passes=passes,
        verbose=False,
        loaded=False,
    )
    settings = {
        "engine": engine,
        "precision": precision,
        "working_size": working_size,
        "passes": passes,
    }
    with stopping.deferred():
        order = order_for(
            deblurrer,
            from_,
            to,
            settings=settings,
            memory=memory,
            strength=strength,
            max_pixels=max_pixels,
            overwrite=overwrite,
        )
        work = Batch(order)
    # From here on a signal ends the batch wherever it is: what is written down is whole.
    with connected(address):
        stopping.listen()  # again: Ray has put something of its own in place
        pool = workers_for(workers, cpus, gpus)
        typer.echo(f"{pool.first} workers" if pool.first > 1 else "1 worker", err=True)
        failures = _run(work, pool)
    stopping.require_going_on()
    typer.echo(_said(work.tally))
    if failures:
        typer.echo(f"failed: see {to.name(FAILURES)}", err=True)
        raise typer.Exit(1)


def _storage_options(text: str | None) -> dict[str, Any]:
    try:
        given = json.loads(text) if text else {}
    except ValueError as error:
        raise typer.BadParameter(f"--storage-options is no JSON ({error})") from error
    if not isinstance(given, dict):
        raise typer.BadParameter("--storage-options is no JSON object")
    return given


def _run(work: Batch, pool: Workers) -> int:
    """Run a batch and tell how far it has come; return how many photographs have failed."""
    told = 0
    with closing(work.run(pool, stopping.asked)) as parcels, progress_of_batch() as show:
        for records in parcels:
            failed = [record for record in records if record.status == "failed"]
            for record in failed[: max(0, _TOLD_FAILURES - told)]:
                typer.echo(
                    in_one_line(f"{record.source}: {record.reason}; {record.remedy}"), err=True
                )
            told += len(failed)
            show(work.tally.share, _said(work.tally))
    return told


def _said(tally: Tally) -> str:
    """Return a line that tells how far a batch has come."""
    counts = [f"{count:,} {status}" for status, count in tally.counts.items()]
    if tally.kept:
        counts.append(f"{tally.kept:,} done before")
    of = f" of {tally.found:,}" if tally.is_counted else ""
    left = f"; {_duration(tally.seconds_left)} left" if tally.seconds_left else ""
    return f"{', '.join(counts)}{of}; {tally.speed:.1f} megapixels/s{left}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
