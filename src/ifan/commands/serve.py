"""`ifan serve`."""

from __future__ import annotations

import logging
import re
from ipaddress import ip_address
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from ifan.commands import options, stopping
from ifan.errors import IfanError

if TYPE_CHECKING:
    from ifan.serving.settings import Settings

_MEGABYTE = 1_000_000
_MAX_PIXELS = 100_000_000
# As browsers send it.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^\s/?#@:*\[\]A-Z]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_WELCOME = "ifan is served at http://{}:{}/ ; Ctrl-C stops it"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 is all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    api_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            envvar="IFAN_API_KEY",
            metavar="KEY",
            show_envvar=False,
            help="A key that opens the API; needed unless only this machine can reach it. Several"
            " may be given. The variable IFAN_API_KEY, too, keeps it out of lists of processes.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="A name of `ifan models list`. Several may be given: one is in memory at a time,"
            " the first unless a request asks for another. Default: ifan-s.",
        ),
    ] = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    places: Annotated[
        int, typer.Option(min=1, help="Requests that wait or run at once; more are put off.")
    ] = 16,
    max_upload: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Refuse larger uploads.")
    ] = 128,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            parser=options.pixels,
            metavar="N",
            help="Refuse photographs of more pixels; 50M is 50 million. Default: 100M.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Longest work on a photograph.")
    ] = 300,
    keep: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long results of jobs are kept.")
    ] = 600,
    allow_origins: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Another site whose pages may call the API: https://example.org.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log a line for each request.")
    ] = False,
) -> None:
    """Serve a web page and an HTTP API. Pictures are worked on in memory, and not kept."""
    if not all(api_keys or ()):
        raise typer.BadParameter("an --api-key is empty")
    for origin in allow_origins or ():
        if not _ORIGIN.fullmatch(origin):
            reason = f"--allow-origin {origin} is no origin"
            raise typer.BadParameter(f"{reason}; give scheme://host or scheme://host:port alone")
    with stopping.deferred():
        running, settings_type = _imported()
    with running.listen(host, port) as listening:
        address, port = listening.getsockname()[:2]
        is_local = ip_address(address).is_loopback
        if not (is_local or api_keys):
            reason = f"others can reach {host}, and there is no key"
            raise typer.BadParameter(f"{reason}; give --api-key, or set IFAN_API_KEY")
        settings = settings_type(
            **({"models": models} if models else {}),
            engine=engine,
            precision=precision,
            api_keys=api_keys or (),
            allowed_origins=allow_origins or (),
            # Where there are no keys, the name is all that tells a page of ours from another's.
            allowed_hosts=() if api_keys else (*_LOCAL_NAMES, host.lower()),
            places=places,
            max_upload_bytes=max_upload * _MEGABYTE,
            max_pixels=max_pixels or _MAX_PIXELS,
            picture_seconds=timeout,
            result_seconds=keep,
        )
        if verbose:
            _print_log()
        shown = f"[{address}]" if ":" in address else address
        running.serve(settings, listening, lambda: typer.echo(_WELCOME.format(shown, port)))


def _imported() -> tuple[ModuleType, type[Settings]]:
    try:
        from ifan.serving import running
        from ifan.serving.settings import Settings
    except ImportError as error:
        if error.name is not None and error.name.startswith("ifan"):
            raise
        remedy = "install what is missing with: pip install 'ifan[serve]'"
        raise IfanError("ifan serve", "needs an extra", remedy) from error
    return running, Settings


def _print_log() -> None:
    """Print what the server notes: methods, routes, statuses; never names, nor content."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("ifan.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
