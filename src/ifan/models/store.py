"""From what a user calls a model to its weights: bundled, imported, downloaded, or a file.

A model is a folder with `model.safetensors` and, if it is to run without PyTorch, `model.onnx`;
or a bare checkpoint file. Imported and downloaded models lie in the models folder, graphs made
from checkpoints in the graphs folder, where they may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import platformdirs
import safetensors

from ifan.engines.selection import INSTALL, installed
from ifan.errors import ModelError, OutputError
from ifan.files import make_folder, require_free
from ifan.models.catalogue import CatalogueEntry, catalogue, find
from ifan.models.configuration import Description

if TYPE_CHECKING:
    from ifan.models.checkpoints import Checkpoint
    from ifan.networks import IFAN

DEFAULT_MODEL = "ifan-s"
WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "model.onnx"
EXPORT_SUFFIXES = (".onnx", ".safetensors", ".pytorch", ".pth", ".pt")

_GRAPH_VERSION = 1
"""Raised whenever the exported graph changes, so that older graphs are not used any more."""

_CHECKPOINT_LIMIT_BYTES = 1 << 30
"""No released checkpoint is anywhere near this; an archive member that is larger is refused."""


class Model:
    """A model: its weights, what they are weights of, and its ONNX graph.

    Args:
        name: what to call it.
        weights: the checkpoint file.
        shipped_graph: the ONNX graph that came with the weights, if one did.
        entry: the catalogue's entry, if there is one.
    """

    def __init__(
        self,
        name: str,
        weights: Path,
        shipped_graph: Path | None = None,
        entry: CatalogueEntry | None = None,
    ) -> None:
        self.name = name
        self.weights = weights
        self.shipped_graph = shipped_graph
        self.entry = entry

    @cached_property
    def description(self) -> Description:
        """What the weights are weights of.

        Raises:
            ModelError: the weights cannot be read.
        """
        return _described(self.weights) or self.checkpoint.description

    @property
    def parameters(self) -> int:
        """Number of parameters of the deblurring network.

        Raises:
            ModelError: the weights cannot be read.
        """
        if _described(self.weights) is None:
            return sum(parameter.numel() for parameter in self.network().parameters())
        with safetensors.safe_open(self.weights, framework="numpy") as file:
            names = (name for name in file.keys() if not name.startswith("reblurNet."))  # noqa: SIM118
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The weights as networks. Needs PyTorch.

        Raises:
            ModelError: PyTorch is missing, or the weights cannot be read.
        """
        if not installed("torch"):
            raise ModelError(self.weights, "needs PyTorch to be read", INSTALL["torch"])
        from ifan.models.checkpoints import load_checkpoint

        return load_checkpoint(self.weights)

    @property
    def has_graph(self) -> bool:
        """Whether there is an ONNX graph, or one can be made here."""
        return self.shipped_graph is not None or (installed("torch") and installed("onnx"))

    def network(self) -> IFAN:
        """Return the network in PyTorch (ModelError as for `checkpoint`)."""
        return self.checkpoint.network

    def graph(self) -> Path:
        """Return the ONNX graph: the one that came with the weights, or one made from them.

        Raises:
            ModelError: there is none and none can be made.
            OutputError: the graphs folder cannot be written.
        """
        if self.shipped_graph is not None:
            return self.shipped_graph
        checkpoint = self.checkpoint
        _require_onnx(self.weights)
        from ifan.models.download import sha256_of
        from ifan.models.export import export_onnx

        name = f"{sha256_of(self.weights)[:32]}-{_GRAPH_VERSION}.onnx"
        graph = graphs_folder() / name
        if not graph.exists():
            make_folder(graph.parent)
            # Two processes may make the same graph at once; either's is right.
            bits = checkpoint.description.sample_bits
            export_onnx(graph, checkpoint.network, sample_bits=bits, overwrite=True)
        return graph


def models_folder() -> Path:
    """Return the folder of imported models: `$IFAN_HOME/models`, or the system's place for data."""
    home = os.environ.get("IFAN_HOME")
    return (Path(home) if home else platformdirs.user_data_path("ifan")) / "models"


def graphs_folder() -> Path:
    """Return the folder of graphs made: `$IFAN_HOME/graphs`, or the system's place for caches."""
    home = os.environ.get("IFAN_HOME")
    return (Path(home) if home else platformdirs.user_cache_path("ifan")) / "graphs"


def open_model(model: str | os.PathLike[str] | None = None) -> Model:
    """Find a model.

    Args:
        model: a name of the catalogue or of an imported model, a checkpoint file, or a folder with
            `model.safetensors`. None is the bundled model.

    Raises:
        ModelError: there is no such model, or it is not on this machine.
    """
    asked = os.fspath(model if model is not None else DEFAULT_MODEL)
    entry = find(asked)
    if entry is not None and entry.origin == "bundled":
        return _model_of_folder(_bundled_folder(entry), entry.name, entry)
    folder = models_folder() / (entry.name if entry else asked)
    path = Path(asked)
    try:
        if _is_name(asked) and (folder / WEIGHTS_NAME).exists():
            return _model_of_folder(folder, folder.name, entry)
        if path.is_dir():
            return _model_of_folder(path, path.resolve().name)
        if path.exists():
            return Model(path.stem, path)
    except OSError as error:
        reason = f"cannot be looked up ({error.strerror})"
        raise ModelError(asked, reason, "check the name and the permissions") from error
    if entry is not None:
        raise ModelError(
            entry.name, "is not on this machine", f"fetch it: ifan models download {entry.name}"
        )
    raise ModelError(
        asked, "is neither a file nor a model that is known", "see the names: ifan models list"
    )


def available_models() -> list[Model]:
    """Return all models that are on this machine: the bundled one first, then imported ones."""
    models = [
        _model_of_folder(_bundled_folder(entry), entry.name, entry)
        for entry in catalogue()
        if entry.origin == "bundled"
    ]
    folder = models_folder()
    names = sorted(weights.parent.name for weights in folder.glob(f"*/{WEIGHTS_NAME}"))
    return models + [_model_of_folder(folder / name, name, find(name)) for name in names]


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
        sample_bits: how pictures are read for it, 8 or 16, where the file does not say.
        overwrite: whether a model of that name is replaced.

    Raises:
        ModelError: the file is no checkpoint, the name cannot be one, or it is that of a released
            model and the file is not that one.
        OutputError: there is a model of that name already, or it cannot be written.
    """
    model = Model(Path(source).stem, Path(source))
    name = name or model.name
    entry = find(name)
    if not _is_name(name) or (entry is not None and entry.origin == "bundled"):
        raise ModelError(
            name,
            "cannot be the name of an imported model",
            "give --name with letters, digits, dots, dashes and underscores",
        )
    checkpoint = model.checkpoint
    if entry is not None and checkpoint.description.configuration != entry.configuration:
        reason = f"is another network than {entry.name}: {checkpoint.description.configuration}"
        raise ModelError(source, reason, "give it another --name")
    if sample_bits is None:
        sample_bits = entry.sample_bits if entry else checkpoint.description.sample_bits
    from ifan.models.checkpoints import save_safetensors

    folder = models_folder() / (entry.name if entry else name)
    make_folder(folder)
    save_safetensors(
        folder / WEIGHTS_NAME,
        checkpoint.network,
        checkpoint.reblurring,
        sample_bits=sample_bits,
        overwrite=overwrite,
    )
    return _model_of_folder(folder, folder.name, entry)


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
    from ifan.models.archives import extract_member
    from ifan.models.download import download, sha256_of

    entry = find(name)
    if entry is None or entry.address is None:
        known = ", ".join(e.name for e in catalogue() if e.address)
        raise ModelError(name, "is no model that is downloaded", f"choose one of {known}")
    if not installed("torch"):
        raise ModelError(name, "needs PyTorch to be read", INSTALL["torch"])
    folder = models_folder() / entry.name
    if (folder / WEIGHTS_NAME).exists():
        raise OutputError(folder, "is there already", "use it, or remove it to fetch it again")
    source = address or entry.address
    archives = models_folder().parent / "downloads"
    archive = download(
        source,
        archives,
        # Another address may hold another archive.
        name=f"checkpoints-{hashlib.sha256(source.encode()).hexdigest()[:8]}.zip",
        sha256=sha256 or entry.sha256,
        progress=progress,
    )
    member = archives / entry.file
    extract_member(archive, entry.file, member, limit_bytes=_CHECKPOINT_LIMIT_BYTES)
    try:
        return Fetched(import_model(member, entry.name), archive, sha256_of(archive))
    finally:
        member.unlink(missing_ok=True)


def export_model(model: Model, path: Path, *, overwrite: bool = False) -> None:
    """Write a model in the form that the suffix of `path` says. Needs PyTorch.

    Args:
        model: the model.
        path: `.onnx`, `.safetensors`, or `.pytorch`, `.pth`, `.pt` for the released form.
        overwrite: whether a file of that name is replaced.

    Raises:
        OutputError: the suffix is none of these, the file exists, or it cannot be written.
        ModelError: the weights cannot be read, or not without PyTorch.
    """
    suffix = path.suffix.lower()
    if suffix not in EXPORT_SUFFIXES:
        raise OutputError(
            path, "is of no kind that is written", f"use {', '.join(EXPORT_SUFFIXES)}"
        )
    require_free(path, overwrite=overwrite)
    network, reblurring, description = model.checkpoint
    if suffix == ".onnx":
        _require_onnx(path)
        from ifan.models.export import export_onnx

        export_onnx(path, network, sample_bits=description.sample_bits, overwrite=overwrite)
        return
    from ifan.models.checkpoints import save_released_checkpoint, save_safetensors

    if suffix == ".safetensors":
        bits = description.sample_bits
        save_safetensors(path, network, reblurring, sample_bits=bits, overwrite=overwrite)
    else:
        save_released_checkpoint(path, network, reblurring, overwrite=overwrite)


def _bundled_folder(entry: CatalogueEntry) -> Path:
    return Path(str(resources.files("ifan.models"))) / "bundled" / entry.file


def _model_of_folder(folder: Path, name: str, entry: CatalogueEntry | None = None) -> Model:
    weights, graph = folder / WEIGHTS_NAME, folder / GRAPH_NAME
    if not weights.is_file():
        raise ModelError(folder, f"holds no {WEIGHTS_NAME}", "give a model's folder or file")
    return Model(name, weights, graph if graph.is_file() else None, entry)


def _described(weights: Path) -> Description | None:
    """Return what a safetensors file says of itself; None if it says nothing or is no such file."""
    try:
        with safetensors.safe_open(weights, framework="numpy") as file:
            metadata = (file.metadata() or {}).get("ifan")
        return Description.from_metadata(json.loads(metadata)) if metadata else None
    except (OSError, safetensors.SafetensorError, ValueError):
        return None


def _require_onnx(subject: Path) -> None:
    if not installed("onnx"):
        raise ModelError(subject, "needs the package onnx to become a graph", INSTALL["onnx"])


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None
