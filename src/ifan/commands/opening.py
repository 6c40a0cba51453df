"""From the options of a command to a deblurrer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ifan.commands import stopping

if TYPE_CHECKING:
    from ifan.deblurrer import Deblurrer


def open_deblurrer(
    model: str | None,
    engine: str,
    precision: str,
    working_size: str,
    memory: float | None,
    *,
    passes: int = 1,
    verbose: bool,
    loaded: bool = True,
) -> Deblurrer:
    """Open the deblurrer that the options describe; say what it is made of if `verbose`.

    Args:
        model: the option of this name.
        engine: likewise.
        precision: likewise.
        working_size: likewise.
        memory: likewise.
        passes: likewise.
        verbose: whether it is said.
        loaded: whether the network is to be loaded now.

    Raises:
        typer.BadParameter: an option has a value that it cannot have.
        IfanError: the model or the engine cannot be used.
    """
    with stopping.deferred():
        from ifan.deblurrer import Deblurrer
        from ifan.engines.selection import ENGINES, PRECISIONS
        from ifan.working_size import parse_working_size

    allowed = {"--engine": (engine, ENGINES), "--precision": (precision, PRECISIONS)}
    for option, (value, values) in allowed.items():
        if value not in ("auto", *values):
            raise typer.BadParameter(f"{option} {value} is none of auto, {', '.join(values)}")
    try:
        parse_working_size(working_size)
    except ValueError as error:
        raise typer.BadParameter(f"--working-size: {error}") from error
    if memory is not None and not memory > 0:
        raise typer.BadParameter(f"--memory {memory} is not a positive number of gigabytes")
    with stopping.deferred():  # the engine is imported
        deblurrer = Deblurrer(
            model,
            engine=engine,
            precision=precision,
            working_size=working_size,
            passes=passes,
            memory=memory,
        )
        if loaded:
            deblurrer.load()
    if verbose:
        choice = deblurrer.choice
        typer.echo(
            f"model {deblurrer.model.name}, engine {choice.engine} on {choice.device} in "
            f"{choice.precision}, because {choice.reason}",
            err=True,
        )
    return deblurrer
