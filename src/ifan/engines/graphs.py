"""Graph files that no engine can read, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifan.errors import ModelError


@contextmanager
def graph_faults_told(graph: Path) -> Iterator[None]:
    """Turn what goes wrong while a graph is read, or cut, into a ModelError.

    Args:
        graph: the ONNX file.
    """
    try:
        yield
    except MemoryError:  # which says nothing of the graph
        raise
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise ModelError(graph, reason, "check the file") from error
    except Exception as error:  # each library has errors of its own
        remedy = "remove it if it can be made anew, or import or export the model again"
        raise ModelError(graph, "is damaged or no graph of an IFAN", remedy) from error
