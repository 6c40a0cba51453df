"""From what a user calls a model to its weights: bundled, imported, downloaded, or a file.

A model is a folder with `model.safetensors` and, if it is to run without PyTorch, `model.onnx`;
or a bare checkpoint file. Imported and downloaded models lie in the models folder, graphs made
from checkpoints in the graphs folder, where they may be deleted at any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ifan.engines.selection import INSTALL, installed
from ifan.errors import ModelError, OutputError
from ifan.files import (
    exists,
    make_folder,
    remove_leftovers,
    require_free,
    sha256_of,
    write_atomically,
)
from ifan.models.catalogue import CatalogueEntry, catalogue, find
from ifan.models.configuration import Description
from ifan.models.graphs import fingerprint_in
from ifan.models.headers import Header, faults_told, fingerprint_of, read_header
from ifan.places import place

if TYPE_CHECKING:
    from ifan.models.checkpoints import Checkpoint
    from ifan.networks import IFAN

DEFAULT_MODEL = "ifan-s"
WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "model.onnx"

_GRAPH_VERSION = 4
"""Raised whenever the exported graph changes, so that older graphs are not used any more."""


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
    def _header(self) -> Header | None:
        return read_header(self.weights)

    @cached_property
    def description(self) -> Description:
        """What the weights are weights of.

        Raises:
            ModelError: the weights cannot be read, or not without PyTorch.
        """
        said = self._header.description if self._header else None
        return said or self.checkpoint.description

    @property
    def parameters(self) -> int:
        """Number of parameters of the deblurring network.

        Raises:
            ModelError: the weights cannot be read, or not without PyTorch.
        """
        if self._header:
            return self._header.parameters
        return sum(parameter.numel() for parameter in self.network().parameters())

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file of weights, in hexadecimal digits.

        Raises:
            ModelError: the weights cannot be read.
        """
        with faults_told(self.weights):
            return sha256_of(self.weights)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The weights as networks. Needs PyTorch.

        Raises:
            ModelError: PyTorch is missing, or the weights cannot be read.
        """
        if not installed("torch"):
            read_header(self.weights)  # refuses a damaged file, which PyTorch would not mend
            raise ModelError(self.weights, "needs PyTorch to be read", INSTALL["torch"])
        from ifan.models.checkpoints import load_released_checkpoint

        return load_released_checkpoint(self.weights)

    @property
    def has_graph(self) -> bool:
        """Whether there is an ONNX graph, or one can be made here.

        Raises:
            ModelError: the weights cannot be read.
        """
        can_be_made = installed("torch") and installed("onnx")
        return self.shipped_graph is not None or can_be_made or exists(self._kept_graph)

    def network(self) -> IFAN:
        """Return the network in PyTorch (ModelError as for `checkpoint`)."""
        return self.checkpoint.network

    def graph(self) -> Path:
        """Return the ONNX graph: the one that came with the weights, or one made from them.

        Raises:
            ModelError: there is none and none can be made, or it came with other weights.
            OutputError: the graphs folder cannot be written.
        """
        if self.shipped_graph is not None:
            self._refuse_foreign(self.shipped_graph)
            return self.shipped_graph
        if not exists(self._kept_graph):
            self._make_graph(self._kept_graph)
        return self._kept_graph

    def _refuse_foreign(self, graph: Path) -> None:
        with faults_told(graph):
            said, own = fingerprint_in(graph), fingerprint_of(self.weights)
        if None not in (said, own) and said != own:
            remedy = f"make it anew: ifan models export {self.weights} -o {graph} --overwrite"
            raise ModelError(graph, f"was made of other weights than {self.weights.name}", remedy)

    @cached_property
    def _kept_graph(self) -> Path:
        """Where the graph made from these very weights is kept, once it is made."""
        return graphs_folder() / f"{self.sha256[:32]}-{_GRAPH_VERSION}.onnx"

    def _make_graph(self, path: Path) -> None:
        network, _, description = self.checkpoint
        if not installed("onnx"):
            raise ModelError(
                self.weights, "needs the package onnx to become a graph", INSTALL["onnx"]
            )
        from ifan.models.export import export_onnx

        make_folder(path.parent)
        remove_leftovers(path.parent)
        # Two processes may make the same graph at once; either's is right.
        export_onnx(path, network, sample_bits=description.sample_bits, overwrite=True)


def models_folder() -> Path:
    """Return the folder of imported models: `$IFAN_HOME/models`, or the system's place for data."""
    return place("data") / "models"


def graphs_folder() -> Path:
    """Return the folder of graphs made: `$IFAN_HOME/graphs`, or the system's place for caches."""
    return place("cache") / "graphs"


def compiled_folder() -> Path:
    """Return the folder of graphs compiled: `$IFAN_HOME/compiled`, or as `graphs_folder`."""
    return place("cache") / "compiled"


def shipped_folder() -> Path:
    """Return the folder of models that came from another node: as `compiled_folder`."""
    return place("cache") / "shipped"


def open_model(model: str | os.PathLike[str] | None = None) -> Model:
    """Find a model.

    Args:
        model: a name of the catalogue or of an imported model, a checkpoint file, or a folder with
            `model.safetensors`. None is ifan-s.

    Raises:
        ModelError: there is no such model, or it is not on this machine.
    """
    asked = os.fspath(model if model is not None else DEFAULT_MODEL)
    entry = find(asked)
    path = Path(asked)
    try:
        folder = _folder_here(asked)
        if folder is not None:
            return _model_of_folder(folder, folder.name, entry)
        if path.is_dir():
            # A clone of the released code may be called like a model that is not fetched yet.
            if entry is None or (path / WEIGHTS_NAME).exists():
                return _model_of_folder(path, path.resolve().name)
        elif path.exists():
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


def is_here(name: str) -> bool:
    """Tell whether a name is that of a bundled or imported model, which no file's name precedes."""
    return _folder_here(name) is not None


def _folder_here(name: str) -> Path | None:
    entry = find(name)
    if entry is not None and entry.origin == "bundled":
        return _bundled_folder(entry)
    folder = models_folder() / (entry.name if entry else name)
    return folder if is_name(name) and (folder / WEIGHTS_NAME).exists() else None


def available_models() -> list[Model]:
    """Return all models that are on this machine: bundled ones first."""
    models = [
        _model_of_folder(_bundled_folder(entry), entry.name, entry)
        for entry in catalogue()
        if entry.origin == "bundled"
    ]
    folder = models_folder()
    try:
        found = list(folder.glob(f"*/{WEIGHTS_NAME}"))
        names = sorted(weights.parent.name for weights in found if weights.is_file())
    except OSError as error:
        reason = f"cannot be looked into ({error.strerror})"
        raise ModelError(folder, reason, "check its permissions") from error
    # What somebody has put there by hand may have a name that opens nothing, or another model.
    imported = [name for name in names if _folder_here(name) == folder / name]
    return models + [_model_of_folder(folder / name, name, find(name)) for name in imported]


def export_model(model: Model, path: Path, *, half: bool = False, overwrite: bool = False) -> None:
    """Write a model in the form that the suffix of `path` says.

    A graph that came with the weights, or was made here before, is copied; all else needs PyTorch.

    Args:
        model: the model.
        path: `.onnx`, `.safetensors`, or `.pytorch`, `.pth`, `.pt` for the released form.
        half: round the weights to float16, for a file of half the size; not in the released form.
        overwrite: whether a file of that name is replaced.

    Raises:
        OutputError: the suffix is none of these, the file exists, or it cannot be written.
        ModelError: the weights cannot be read, or not without PyTorch; or float16 is too small for
            them.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise OutputError(path, "is of no kind that is written", f"use {', '.join(_WRITERS)}")
    require_free(path, overwrite=overwrite)
    write(model, path, half, overwrite)


def _write_graph(model: Model, path: Path, half: bool, overwrite: bool) -> None:
    graph = model.graph()
    with faults_told(graph):
        content = graph.read_bytes()
    if half:
        if not installed("onnx"):
            raise ModelError(path, "needs the package onnx to be made half", INSTALL["onnx"])
        from ifan.models.export import halved

        content = halved(content, path)
    write_atomically(path, content, overwrite=overwrite)


def _write_safetensors(model: Model, path: Path, half: bool, overwrite: bool) -> None:
    network, reblurring, description = model.checkpoint
    from ifan.models.checkpoints import save_safetensors

    bits = description.sample_bits
    save_safetensors(path, network, reblurring, sample_bits=bits, half=half, overwrite=overwrite)


def _write_released(model: Model, path: Path, half: bool, overwrite: bool) -> None:
    if half:
        reason = "would be of another kind than the released code writes"
        raise OutputError(path, reason, "leave out --half, or use .safetensors")
    network, reblurring, description = model.checkpoint
    from ifan.models.checkpoints import save_released_checkpoint

    bits = description.sample_bits
    save_released_checkpoint(path, network, reblurring, sample_bits=bits, overwrite=overwrite)


_WRITERS: dict[str, Callable[[Model, Path, bool, bool], None]] = {
    ".onnx": _write_graph,
    ".safetensors": _write_safetensors,
    **dict.fromkeys((".pytorch", ".pth", ".pt"), _write_released),
}
"""Suffix of an exported file -> what writes it."""


def _bundled_folder(entry: CatalogueEntry) -> Path:
    return Path(str(resources.files("ifan.models"))) / "bundled" / entry.file


def _model_of_folder(folder: Path, name: str, entry: CatalogueEntry | None = None) -> Model:
    weights, graph = folder / WEIGHTS_NAME, folder / GRAPH_NAME
    if not weights.is_file():
        raise ModelError(folder, f"holds no {WEIGHTS_NAME}", "give a model's folder or file")
    return Model(name, weights, graph if graph.is_file() else None, entry)


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of an imported model."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None
