"""The worker: a process of its own that has the network, and reads and writes pictures.

It takes orders on standard input and answers on standard output, one after the other; it ends when
its standard input does. Nothing of a picture reaches a log: what decoders print goes nowhere.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeAlias

from ifan.deblurrer import Deblurrer
from ifan.errors import (
    EngineError,
    IfanError,
    OutputError,
    PictureError,
    in_one_line,
    place_of,
)
from ifan.images import (
    FORMATS,
    OUTPUT_SUFFIXES,
    Metadata,
    Photograph,
    PictureFormat,
    coloured,
    decode_photograph,
    encode_photograph,
    raw,
    require_room_for,
)
from ifan.images.formats import FORMAT_NAMES, describe_stranger, recognise
from ifan.serving import frames
from ifan.serving.orders import VIEWS

Tell: TypeAlias = Callable[[Mapping[str, Any]], None]
Files: TypeAlias = Sequence[bytes | None]
Made: TypeAlias = tuple[bytes, PictureFormat]

# What the command line is told, as one says it over HTTP.
_WORDS = {
    "give --max-pixels if the file is to be trusted": "send a smaller one",
    "(--format png)": "(format=png)",
    "by --page 1": "by page=1",
    "--page": "page",
    "close other programs, or give more --memory or a smaller --working-size": (
        "send a smaller one, or give a smaller working_size"
    ),
    "close other programs, or give a smaller picture": "send a smaller one",
    "close other programs": "send a smaller one",
    "give more --memory": "send a smaller one",
    "--working-size": "working_size",
    "--passes": "passes",
    "choose --precision fp32, or another model": "tell who runs this server",
}


class Workshop:
    """One network in memory, and what is done with it.

    Args:
        model: the name of the one that is meant unless another is asked for.
        engine: as for `Deblurrer`.
        precision: as for `Deblurrer`.
        max_pixels: of one photograph.
        tell: is told what is done now.
    """

    def __init__(
        self, model: str, engine: str, precision: str, max_pixels: int, tell: Tell
    ) -> None:
        self._open = partial(Deblurrer, engine=engine, precision=precision)
        self._default, self._name = model, ""
        self._deblurrer: Deblurrer | None = None
        self._max_pixels = max_pixels
        self._tell = tell

    def describe(self) -> dict[str, Any]:
        """Load the network, and say what runs it."""
        deblurrer = self._deblurrer_of(self._default)
        choice = deblurrer.choice
        return {
            "engine": choice.engine,
            "precision": choice.precision,
            "dual_pixel": deblurrer.dual_pixel,
        }

    def deblur(self, files: Files, parameters: Mapping[str, Any]) -> Made:
        """Return the file of the all-in-focus photograph, and its format."""
        photograph, left, right = self._read(files, parameters["page"])
        if photograph is None:
            raise ValueError("nothing to deblur")
        picture_format = FORMATS[FORMATS[photograph.format].result]
        if parameters["format"] is not None:
            picture_format = OUTPUT_SUFFIXES[f".{parameters['format']}"]
        require_room_for(photograph, Path("result").with_suffix(picture_format.suffix))
        self._tell({"stage": "deblurring"})
        deblurrer = self._deblurrer_for(parameters, parameters["passes"])
        sharp = deblurrer.deblur_photograph(
            photograph, left=left, right=right, strength=parameters["strength"]
        )
        self._tell({"stage": "writing"})
        data = encode_photograph(sharp, picture_format, "result", quality=parameters["quality"])
        return data, picture_format

    def map_defocus(self, files: Files, parameters: Mapping[str, Any]) -> Made:
        """Return the file of the defocus map of a photograph, and its format."""
        photograph, left, right = self._read(files, parameters["page"])
        if photograph is None:
            raise ValueError("nothing to map")
        self._tell({"stage": "deblurring"})
        deblurrer = self._deblurrer_for(parameters)
        values = deblurrer.map_photograph(photograph, left=left, right=right)
        self._tell({"stage": "writing"})
        picture_format = OUTPUT_SUFFIXES[f".{parameters['format']}"]
        if picture_format.name == "TIFF":
            chart = Photograph(values, None, "TIFF", Metadata(), photograph.path)
        else:
            chart = coloured(values, photograph.path)
        return encode_photograph(chart, picture_format, "result"), picture_format

    def _read(self, files: Files, page: int | None) -> Iterator[Photograph | None]:
        self._tell({"stage": "reading"})
        for name, data in zip(VIEWS, files, strict=True):
            if data is None:
                yield None
                continue
            if recognise(data) is None and not raw.recognises(data):
                raise _StrangerError(name, describe_stranger(data), f"send {FORMAT_NAMES}")
            yield decode_photograph(data, name, page=page, max_pixels=self._max_pixels)

    def _deblurrer_for(self, parameters: Mapping[str, Any], passes: int | None = None) -> Deblurrer:
        """Return the deblurrer that is meant, as it is to work."""
        deblurrer = self._deblurrer_of(parameters["model"] or self._default)
        return deblurrer.at(parameters["working_size"], passes)

    def _deblurrer_of(self, name: str) -> Deblurrer:
        """Return the deblurrer of a model; the one before makes room for it."""
        if self._deblurrer is None or name != self._name:
            self._deblurrer = None
            opened = self._open(name)
            opened.load()
            self._deblurrer, self._name = opened, name
        return self._deblurrer


class _StrangerError(PictureError):
    """A file in a format that is not read."""


_KINDS: Mapping[type[IfanError], str] = {
    _StrangerError: "not-a-picture",
    PictureError: "bad-picture",
    OutputError: "bad-result",
    IfanError: "failed",
}


def refusal_of(error: IfanError) -> dict[str, str]:
    """Say of which kind a refusal is, in the words of HTTP."""
    kind = next(name for kind, name in _KINDS.items() if isinstance(error, kind))
    if isinstance(error, EngineError) and "memory" in error.reason:
        kind = "too-large"
    remedy = error.remedy
    for spoken, meant in _WORDS.items():
        remedy = remedy.replace(spoken, meant)
    detail = in_one_line(f"{error.subject}: {error.reason}")
    return {"kind": kind, "detail": detail, "remedy": in_one_line(remedy)}


def _answer(workshop: Workshop, order: Mapping[str, Any], files: Files, tell: Tell) -> bytes:
    """Do what is asked; return the file, after the message that announces it."""
    tasks = {"deblur": workshop.deblur, "defocus-map": workshop.map_defocus}
    try:
        data, picture_format = tasks[order["task"]](files, order["parameters"])
    except IfanError as error:
        tell({"refused": refusal_of(error)})
    except Exception as error:
        tell({"failed": place_of(error)})
    else:
        tell({"result": {"format": picture_format.name, "size": len(data)}})
        return data
    return b""


def _be_quiet_and_stay() -> tuple[IO[bytes], IO[bytes]]:
    """Set the process up, and return where orders come from and where answers go."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server says when to end
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    logging.disable()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold pictures
    return orders, answers


def _give_memory_back() -> None:
    """Have the C library return what it has freed: it would hold on to most of a picture's."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than that of GNU
            ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Work until the orders end."""
    orders, answers = _be_quiet_and_stay()

    def tell(message: Mapping[str, Any]) -> None:
        answers.write(frames.line_of(message))
        answers.flush()

    workshop = Workshop(**frames.message_of(orders.readline()), tell=tell)
    try:
        tell({"ready": workshop.describe()})
    except IfanError as error:
        tell({"unready": [error.subject, error.reason, error.remedy]})
        return
    while line := orders.readline():
        order = frames.message_of(line)
        files = [
            None if size is None else frames.read_exactly(orders, size) for size in order["sizes"]
        ]
        data = _answer(workshop, order, files, tell)
        del files
        answers.write(data)
        answers.flush()
        del data
        _give_memory_back()
