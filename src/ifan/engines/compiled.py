"""Compiled graphs, kept on disk: compiling takes longer than running on a small picture.

They may be deleted at any time. Whatever goes wrong with one, it is compiled anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ifan.engines.graphs import graph_faults_told
from ifan.engines.without_telemetry import openvino
from ifan.errors import OutputError
from ifan.files import make_folder, remove_leftovers, write_atomically

_SUFFIX = ".compiled"
_KEPT_FILES = 24
"""Enough for large pictures of some sizes, see `ifan.engines.openvino`. Each is about the size of
the model's file, or of the part of it that a stage needs."""


class CompiledGraphs:
    """Compiles parts of a graph for the CPU, each only once on a machine.

    Args:
        core: OpenVINO.
        hints: properties to compile with.
        graph: the ONNX file of the whole graph.
        folder: where to keep what is compiled; None keeps nothing.
    """

    def __init__(self, core: Any, hints: dict[str, str], graph: Path, folder: Path | None) -> None:
        self._core = core
        self._hints = hints
        self._folder = folder
        # What is compiled is good for this graph, program and processor only.
        with graph_faults_told(graph):
            self._made_from = hashlib.sha256(graph.read_bytes())
        for said in (
            openvino.__version__,
            core.get_property("CPU", "FULL_DEVICE_NAME"),
            core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
            hints,
        ):
            self._made_from.update(repr(said).encode())

    def compiled(self, part: str, make: Callable[[], Any]) -> Any:
        """Return a compiled part.

        Args:
            part: which part, and of what size.
            make: cuts the part out of the graph, if it is to be compiled.
        """
        if self._folder is None:
            return self._compile(make())
        name = self._made_from.copy()
        name.update(part.encode())
        path = self._folder / f"{name.hexdigest()[:32]}{_SUFFIX}"
        kept = _read(path)
        if kept is not None:
            with suppress(RuntimeError):
                return self._core.import_model(kept, "CPU", self._hints)
        compiled = self._compile(make())
        with suppress(OutputError, OSError):  # a full disk, a folder that may not be written
            make_folder(self._folder)
            remove_leftovers(self._folder)
            _write(path, compiled.export_model().getvalue())
            _forget_oldest(self._folder)
        return compiled

    def _compile(self, part: Any) -> Any:
        return self._core.compile_model(part, "CPU", self._hints)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, hashlib.sha256(content).digest() + content, overwrite=True)


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_KEPT_FILES]:
        path.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    """Return what is kept in a file, if it is whole."""
    with suppress(OSError):
        content = path.read_bytes()
        digest, kept = content[:32], content[32:]
        if hashlib.sha256(kept).digest() == digest:
            with suppress(OSError):  # of another user
                os.utime(path)  # used just now
            return kept
    return None
