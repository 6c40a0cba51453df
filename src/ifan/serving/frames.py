"""How the server and its worker speak over pipes: a line of JSON, then the bytes it announces.

JSON and no pickles: a worker that a hostile file has taken over cannot have the server run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

CHUNK = 1 << 18
"""Bytes that are moved at once: few enough that nothing waits for them."""

LONGEST_LINE = 1 << 16
"""Bytes of a message, its line break included."""


def line_of(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def message_of(line: bytes) -> dict[str, Any]:
    """Return the message of a line.

    Raises:
        EOFError: who speaks has ended.
        ValueError: it is no message.
    """
    if not line.endswith(b"\n"):
        raise EOFError
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("no message")
    return message


def read_exactly(stream: IO[bytes], size: int) -> bytes:
    """Return so many bytes.

    Raises:
        EOFError: the stream ends before.
    """
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
