"""Which weights an ONNX graph was made of. Needs neither onnx nor PyTorch nor an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WEIGHTS_KEY = "ifan-weights"
"""Key of a graph's metadata under which the fingerprint of its weights stands."""

# Of the messages in onnx.proto: ModelProto.metadata_props, and what an entry of it consists of.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2

# How protobuf writes the value of a field: a varint, its length and then itself, or in so many
# bytes.
_VARINT, _LENGTH_FIRST = 0, 2
_SIZES = {1: 8, 5: 4}
_LONGEST_VARINT = 10


def fingerprint(weights: Mapping[str, NDArray[np.floating]]) -> str:
    """Return what tells these weights from others, in hexadecimal digits.

    It is that of the weights as float16, so that it stays the same when they are rounded to that.

    Args:
        weights: the network's tensors by released name, without prefix.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        with np.errstate(over="ignore"):
            values = weights[name].astype(np.float16)
        digest.update(f"{name} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def fingerprint_in(graph: Path) -> str | None:
    """Return the fingerprint of the weights that a graph was made of, if it has one.

    What is no graph says nothing; who runs it hears why.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        for field, content in _fields(memoryview(graph.read_bytes())):
            if field == _METADATA_PROPS:
                entry = {part: bytes(text) for part, text in _fields(content)}
                if entry.get(_KEY) == WEIGHTS_KEY.encode():
                    return entry[_VALUE].decode()
    except (LookupError, UnicodeDecodeError):
        pass
    return None


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of the fields of a protobuf message.

    Raises:
        LookupError: it is none.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _LENGTH_FIRST:
            size, at = _varint(message, at)
        else:
            size = _varint(message, at)[1] - at if kind == _VARINT else _SIZES[kind]
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that stands there, and where it ends."""
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = message[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:  # no more bytes follow
            return value, at + place + 1
    raise LookupError
