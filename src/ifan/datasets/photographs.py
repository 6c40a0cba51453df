"""Sharp photographs, decoded once, from which scenes are simulated while training goes on."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ifan.datasets.simulated import sharpness
from ifan.datasets.writing.sources import ENOUGH_SHARPNESS, Source, find_sources, read_pixels
from ifan.errors import IfanError
from ifan.files import is_written, make_folder, remove_leftovers, write_atomically
from ifan.processes import in_processes

_INDEX = "photographs.json"

_log = logging.getLogger(__name__)


class Photographs(Sequence[Any]):
    """Decoded photographs, HxWx3 uint8, sRGB-coded, mapped into memory when they are asked for.

    Args:
        folder: what `decode` made.
        held_out: how many of them, evenly spaced, are kept for validation.
        validation: give those, not the others.
    """

    def __init__(self, folder: Path, *, held_out: int = 0, validation: bool = False) -> None:
        names = json.loads((folder / _INDEX).read_text("utf-8"))["decoded"]
        kept = set(np.linspace(0, len(names) - 1, held_out).round().astype(int).tolist())
        self.names = [name for number, name in enumerate(names) if (number in kept) == validation]
        self._folder = folder

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: Any) -> Any:
        return np.load(self._folder / _file(self.names[number]), mmap_mode="r")


def decode(photographs: Path, folder: Path, processes: int, stopped: Callable[[], bool]) -> None:
    """Decode the sharp ones of the photographs in a folder and those below it.

    What an earlier run has decoded stays, as long as the photographs are the same. A warning says
    how many are left out, and why the first of them is.

    Args:
        photographs: where they are.
        folder: where they go.
        processes: how many share the work.
        stopped: asked now and then; once it is true, what is begun is finished, and no more.

    Raises:
        IfanError: there is no sharp photograph.
        OutputError: the folder cannot be written to.
    """
    sources = find_sources(photographs, None)
    index = folder / _INDEX
    found = _found(sources)
    if is_written(index):
        before = json.loads(index.read_text("utf-8"))
        if before["found"] == found:
            return
    make_folder(folder)
    remove_leftovers(folder)
    refusals = list(in_processes(partial(_decode, folder), sources, processes, stopped))
    left_out = [refusal for refusal in refusals if refusal is not None]
    if stopped():
        return
    if left_out:
        _log.warning("%d photographs are left out; %s", len(left_out), left_out[0])
    decoded = [
        source.name for source, refusal in zip(sources, refusals, strict=True) if refusal is None
    ]
    if not decoded:
        reason = f"has no sharp photograph among its {len(sources)} pictures"
        raise IfanError(photographs, reason, "give photographs that are in focus everywhere")
    table = {"found": found, "decoded": decoded}
    write_atomically(index, json.dumps(table).encode(), overwrite=True)


def fingerprint(photographs: Path) -> str:
    """Return what tells a folder of photographs from others: SHA-256 of their names and sizes.

    Raises:
        IfanError: it cannot be searched, or holds none.
    """
    found = _found(find_sources(photographs, None))
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _found(sources: Sequence[Source]) -> list[list[str | int]]:
    """Return the names and sizes of photographs."""
    return [[source.name, source.photograph.stat().st_size] for source in sources]


def _decode(folder: Path, source: Source) -> str | None:
    """Decode a photograph; say why if it is left out."""
    try:
        pixels = read_pixels(source.photograph)
    except IfanError as error:
        return f"{error.subject}: {error.reason}; it is left out"
    if sharpness(pixels) < ENOUGH_SHARPNESS:
        return f"{source.photograph}: is not sharp; it is left out"
    data = io.BytesIO()
    np.save(data, pixels)
    write_atomically(folder / _file(source.name), data.getbuffer(), overwrite=True)
    return None


def _file(name: str) -> str:
    """Return the file of a decoded photograph; folders become a part of its name."""
    return name.replace("_", "__").replace("/", "_-") + ".npy"
