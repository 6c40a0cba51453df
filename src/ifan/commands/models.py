"""`ifan models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifan.commands import options
from ifan.errors import in_one_line

if TYPE_CHECKING:
    from ifan.models.catalogue import CatalogueEntry
    from ifan.models.configuration import Configuration
    from ifan.models.store import Model

app = typer.Typer(
    help="List, fetch and convert models.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="A name, a checkpoint file, or a model's folder.")]


@app.command("list")
def list_models() -> None:
    """List the models that are known, and those that are on this machine."""
    from ifan.errors import ModelError
    from ifan.models.catalogue import catalogue
    from ifan.models.store import available_models

    here = {model.name: model for model in available_models()}
    known = {entry.name: entry for entry in catalogue()}
    failed = False
    typer.echo(f"{'name':14} {'here':8} {'N':>3} {'width':>6} {'views':7} {'terms':12} what it is")
    for name in known | here:
        entry, model = known.get(name), here.get(name)
        terms, what = (entry.terms, entry.description) if entry else ("your own", "imported")
        configuration = entry.configuration if entry else None
        state = "no"
        if model:
            try:
                configuration, state = model.description.configuration, "yes"
            except ModelError as error:
                state, failed = "unusable", True
                typer.echo(str(error), err=True)
        typer.echo(f"{name:14} {state:8} {_columns_of(configuration)} {terms:12} {what}")
    if failed:
        raise typer.Exit(1)


def _columns_of(configuration: Configuration | None) -> str:
    """Return the columns N, width and views; dashes where they are not known."""
    if configuration is None:
        return f"{'-':>3} {'-':>6} {'-':7}"
    views = "dual" if configuration.dual_pixel else "single"
    return f"{configuration.iterations:3} {configuration.width:6} {views:7}"


@app.command("show")
def show(name: Name) -> None:
    """Show all that is known about a model."""
    from ifan.errors import ModelError
    from ifan.models.catalogue import find
    from ifan.models.store import open_model

    entry = find(name)
    try:
        model = open_model(name)
    except ModelError:
        if entry is None:
            raise
        model = None
    typer.echo(model.name if model else entry.name if entry else name)
    if entry:
        _print_entry(entry)
    if model:
        _print_files(model)


def _print_entry(entry: CatalogueEntry) -> None:
    fields = {
        "what": entry.description,
        "terms": entry.terms + (f", {entry.rights_holder}" if entry.rights_holder else ""),
        "address": entry.address,
        "file in it": entry.file if entry.address else None,
        "size": f"{entry.size_bytes} bytes" if entry.size_bytes else None,
        "sha256": entry.sha256,
    }
    for label, value in fields.items():
        if value:
            typer.echo(f"  {label:14} {value}")
    for score in entry.scores:
        others = {"MAE": score.mae, "LPIPS": score.lpips}
        more = "".join(f", {name} {value}" for name, value in others.items() if value is not None)
        mark = "verified" if score.verified else "not verified"
        typer.echo(
            f"  published      {score.dataset}: PSNR {score.psnr} dB, SSIM {score.ssim}{more}"
            f" ({score.source}; {mark})"
        )


def _print_files(model: Model) -> None:
    description = model.description
    for field, value in description.configuration.model_dump().items():
        typer.echo(f"  {field.replace('_', ' '):14} {str(value).lower()}")
    typer.echo(f"  {'parameters':14} {model.parameters / 1e6:.2f} million")
    typer.echo(f"  {'trained on':14} {description.sample_bits}-bit pictures")
    typer.echo(f"  {'weights':14} {model.weights} (sha256 {model.sha256})")
    typer.echo(f"  {'graph':14} {model.shipped_graph or 'made when it is needed'}")


@app.command("import")
def import_model(
    file: Annotated[
        Path,
        typer.Argument(help="A checkpoint: .pytorch, .pth, .pt, .safetensors.", readable=False),
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it. Default: the file's name.")
    ] = None,
    sample_bits: Annotated[
        int | None,
        typer.Option(
            parser=options.bits,
            metavar="8|16",
            help="Bits a sample of the pictures it was trained with.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Keep a checkpoint under a name. Needs PyTorch."""
    from ifan.models import importing

    model = importing.import_model(file, name, sample_bits=sample_bits, overwrite=overwrite)
    typer.echo(in_one_line(f"{file} -> {model.weights}; use it with --model {model.name}"))


@app.command("export")
def export(
    name: Name,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The file: .onnx, .safetensors or .pytorch (released)."
        ),
    ],
    half: Annotated[
        bool, typer.Option("--half", help="Round the weights to 16 bits: half the size.")
    ] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a model as ONNX, as safetensors, or as the released code wants it.

    Needs PyTorch, except to copy a graph that is there already.
    """
    from ifan.models import store

    store.export_model(store.open_model(name), output, half=half, overwrite=overwrite)
    typer.echo(in_one_line(f"{name} -> {output}"))


@app.command("download")
def download(
    name: Annotated[str, typer.Argument(help="A released model, see `ifan models list`.")],
    address: Annotated[
        str | None, typer.Option(help="Where the archive is, if not where the catalogue says.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Checksum of the archive to insist on.")
    ] = None,
) -> None:
    """Download a released checkpoint and keep it under its name. Needs PyTorch."""
    from ifan.commands.progress import progress_of_download
    from ifan.models import importing

    with progress_of_download() as progress:
        fetched = importing.download_model(name, address=address, sha256=sha256, progress=progress)
    size = fetched.archive.stat().st_size
    typer.echo(f"{fetched.archive}: {size} bytes, sha256 {fetched.sha256}")
    typer.echo(f"{fetched.model.weights}; use it with --model {fetched.model.name}")
