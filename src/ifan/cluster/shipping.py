"""A model as what travels to the workers."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ifan.files import is_written, make_folder, write_atomically
from ifan.models.store import GRAPH_NAME, WEIGHTS_NAME, Model, shipped_folder


def files_of(model: Model) -> dict[str, bytes]:
    """Return the files of a model's folder, by their names: its weights, and its graph.

    So no node needs the model beforehand, and only the driver needs PyTorch, to read checkpoints.

    Raises:
        ModelError: the weights cannot be read, or not without PyTorch.
    """
    files = {WEIGHTS_NAME: _weights(model)}
    if model.has_graph:
        files[GRAPH_NAME] = model.graph().read_bytes()
    return files


def unpacked(files: Mapping[str, bytes]) -> Path:
    """Return a folder with these files, among what may be deleted at any time.

    Raises:
        OutputError: it cannot be written.
    """
    said = hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files)))
    folder = shipped_folder() / said.hexdigest()[:32]
    make_folder(folder)
    for name, content in files.items():
        path = folder / name
        if not (is_written(path) and path.stat().st_size == len(content)):
            write_atomically(path, content, overwrite=True)
    return folder


def _weights(model: Model) -> bytes:
    if model.weights.name == WEIGHTS_NAME:
        return model.weights.read_bytes()
    from ifan.models.checkpoints import save_safetensors

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, WEIGHTS_NAME)
        network, _, description = model.checkpoint
        save_safetensors(path, network, sample_bits=description.sample_bits)
        return path.read_bytes()
