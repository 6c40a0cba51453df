"""The commands, and what holds for all of them."""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated

import typer

from ifan import __version__
from ifan.commands import (
    batch,
    benchmark,
    data,
    deblur,
    defocus_map,
    doctor,
    evaluate,
    models,
    serve,
    stopping,
    train,
)
from ifan.errors import IfanError, in_one_line

app = typer.Typer(
    name="ifan",
    help="Turns out-of-focus photographs into sharp ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("deblur")(deblur.deblur)
app.command("defocus-map")(defocus_map.defocus_map)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("batch")(batch.batch)
app.command("evaluate")(evaluate.evaluate)
app.command("serve")(serve.serve)
app.command("benchmark")(benchmark.benchmark)
app.command("doctor")(doctor.doctor)

_DEBUG = "--debug"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ifan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands; they act before a command does."""


def run() -> None:
    """Run the command that the arguments name, and exit."""
    arguments = sys.argv[1:]
    debug = _DEBUG in arguments
    # Wherever it stands: one thinks of it last, when the line is written already.
    arguments = [_DEBUG] * debug + [argument for argument in arguments if argument != _DEBUG]
    _print_any_name()
    _print_warnings()
    try:
        _run(arguments)
    except IfanError as error:
        if debug:
            raise
        _exit(str(error), 1)
    except OSError as error:  # of most files ifan speaks itself; what is left are mostly streams
        if debug:
            raise
        if error.filename is None:
            said = error.strerror or error
            _exit(f"output: cannot be written ({said}); check where it goes", 1)
        reason = f"cannot be used ({error.strerror})"
        _exit(f"{error.filename}: {reason}; check it and its permissions", 1)
    except Exception as error:
        if debug:
            raise
        _exit(f"ifan: unexpected {type(error).__name__}: {error}; show more with {_DEBUG}", 1)


def _run(arguments: list[str]) -> None:
    try:
        app(arguments)
    except Exception:
        stopping.require_going_on()  # what it raises may have become something else on its way
        raise


def _print_any_name() -> None:
    """Let file names be printed that the terminal's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


class _Lines(logging.Handler):
    """Prints each message as a line, past a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(in_one_line(record.getMessage()), err=True)


def _print_warnings() -> None:
    """Print what the package warns of, and nothing that others log."""
    logging.getLogger("ifan").addHandler(_Lines(logging.WARNING))
    logging.getLogger().addHandler(logging.NullHandler())


def _exit(message: str, status: int) -> None:
    typer.echo(" ".join(message.split()), err=True)
    raise SystemExit(status)
