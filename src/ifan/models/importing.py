"""Bring models to the models folder: a checkpoint by its file, or a released one by its name."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ifan.engines.selection import INSTALL, installed
from ifan.errors import ModelError, OutputError
from ifan.files import exists, make_folder, require_free, sha256_of
from ifan.models.catalogue import CatalogueEntry, catalogue, find
from ifan.models.store import GRAPH_NAME, WEIGHTS_NAME, Model, is_name, models_folder, open_model

_CHECKPOINT_LIMIT_BYTES = 1 << 30
"""No released checkpoint is anywhere near this; an archive member that is larger is refused."""


def import_model(
    source: str | os.PathLike[str],
    name: str | None = None,
    *,
    sample_bits: int | None = None,
    overwrite: bool = False,
) -> Model:
    """Keep a checkpoint under a name, as safetensors. Needs PyTorch.

    Args:
        source: the checkpoint file.
        name: what to call it; by default the file's name without its suffix.
        sample_bits: bits a sample of the pictures it was trained with, 8 or 16; evaluation reads
            pictures so. None: what the catalogue says, or the file, or else 8.
        overwrite: whether a model of that name is replaced.

    Raises:
        ModelError: the file is no checkpoint, the name cannot be one, or it is that of a released
            model and the file is not that one.
        OutputError: there is a model of that name already, or it cannot be written.
    """
    model = Model(Path(source).stem, Path(source))
    name = name or model.name
    entry = find(name)
    _refuse_name(name, entry)
    network, reblurring, description = model.checkpoint
    if entry is not None and description.configuration != entry.configuration:
        reason = f"is another network than {entry.name}: {description.configuration}"
        raise ModelError(source, reason, "give it another --name")
    from ifan.models.checkpoints import save_safetensors

    folder = models_folder() / (entry.name if entry else name)
    make_folder(folder)
    bits = sample_bits or (entry or description).sample_bits
    weights = folder / WEIGHTS_NAME
    require_free(weights, overwrite=overwrite)
    (folder / GRAPH_NAME).unlink(missing_ok=True)  # of the weights that were there before
    save_safetensors(weights, network, reblurring, sample_bits=bits, overwrite=overwrite)
    return open_model(folder.name)


def _refuse_name(name: str, entry: CatalogueEntry | None) -> None:
    if entry is not None and entry.origin == "bundled":
        raise ModelError(name, "is the name of a bundled model", "give it another --name")
    if not is_name(name):
        raise ModelError(
            name,
            "cannot be the name of an imported model",
            "give --name with letters, digits, dots, dashes and underscores",
        )


class Fetched(NamedTuple):
    """What a download brought.

    Attributes:
        model: the model, imported.
        archive: the archive it came in.
        sha256: the archive's checksum, to be pinned.
    """

    model: Model
    archive: Path
    sha256: str


def download_model(
    name: str,
    *,
    address: str | None = None,
    sha256: str | None = None,
    progress: Callable[[int, int | None], object] | None = None,
) -> Fetched:
    """Download the archive that holds a released checkpoint, and import the checkpoint.

    The archive stays, as it holds the other checkpoints too.

    Args:
        name: which one.
        address: where the archive is; by default where the catalogue says.
        sha256: the archive's checksum to insist on; by default the catalogue's, if it has one.
        progress: called with the bytes received so far and, if known, those in all.

    Raises:
        DownloadError: the download failed, or is not what was asked for.
        ModelError: there is no such model to download, it is no checkpoint, or PyTorch is missing.
        OutputError: it is here already, or cannot be written.
    """
    from ifan.fetching.archives import ArchiveError
    from ifan.fetching.download import download

    entry = find(name)
    if entry is None or entry.address is None:
        known = ", ".join(e.name for e in catalogue() if e.address)
        raise ModelError(name, "is no model that is downloaded", f"choose one of {known}")
    _refuse_useless_download(entry)
    source = address or entry.address
    pinned = sha256 or entry.sha256
    archive = download(
        source,
        models_folder().parent / "downloads",
        # Another address may hold another archive.
        name=f"checkpoints-{hashlib.sha256(source.encode()).hexdigest()[:8]}.zip",
        sha256=pinned,
        progress=progress,
        then="ifan models import",
        member=entry.file,
    )
    try:
        model = _import_member(archive, entry)
    except (ArchiveError, ModelError) as error:
        if pinned:
            raise
        # Nothing but its content tells that it is a wrong one: kept, it would be taken for right.
        archive.unlink(missing_ok=True)
        remedy = "check the address, and run it again to download the archive anew"
        raise type(error)(error.subject, error.reason, remedy) from error
    return Fetched(model, archive, sha256_of(archive))


def _refuse_useless_download(entry: CatalogueEntry) -> None:
    """Say before the download what would be in the way of the import after it."""
    if not installed("torch"):
        raise ModelError(entry.name, "needs PyTorch to be read", INSTALL["torch"])
    folder = models_folder() / entry.name
    if (folder / WEIGHTS_NAME).exists():
        raise OutputError(folder, "is there already", "use it, or remove it to fetch it again")


def _import_member(archive: Path, entry: CatalogueEntry) -> Model:
    """Import a released checkpoint out of the archive that holds it.

    Several processes may do so at once, with a file each; the first one's import stays.
    """
    from ifan.fetching.archives import extract_member

    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        member = Path(folder) / entry.file
        extract_member(archive, entry.file, member, limit_bytes=_CHECKPOINT_LIMIT_BYTES)
        try:
            return import_model(member, entry.name)
        except OutputError:
            if not exists(models_folder() / entry.name / WEIGHTS_NAME):
                raise
            return open_model(entry.name)
