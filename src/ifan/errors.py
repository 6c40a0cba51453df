"""Errors that a user can understand and mend.

Each is one line: what it is about (mostly a file), the reason, the remedy. The command line prints
that line and nothing else; `--debug` shows the traceback.
"""

from __future__ import annotations

import os
import traceback
import unicodedata
from pathlib import Path


class IfanError(Exception):
    """Anything `ifan` refuses or fails to do, said in one line.

    Args:
        subject: what it is about, mostly a file.
        reason: what is wrong with it, as the end of the sentence "<subject> ...".
        remedy: what the user can do about it.
    """

    def __init__(self, subject: str | os.PathLike[str], reason: str, remedy: str) -> None:
        self.subject = os.fspath(subject)
        self.reason = reason
        self.remedy = remedy
        super().__init__(in_one_line(f"{self.subject}: {reason}; {remedy}"))

    def __reduce__(self) -> tuple[type[IfanError], tuple[str, str, str]]:
        """Say how to make it anew, so that it can be handed from process to process."""
        return type(self), (self.subject, self.reason, self.remedy)


class PictureError(IfanError):
    """A picture that cannot be read, or whose pixels are not what they should be."""


class OutputError(IfanError):
    """A result that cannot be written."""


class ModelError(IfanError):
    """A model that is unknown, or a checkpoint that is not what it should be."""


class EngineError(IfanError):
    """An engine that is not installed, cannot do what was asked, or ran out of memory."""


class OutOfMemoryError(EngineError):
    """A picture, or a part of it, that was too large for the memory that is free."""


class DownloadError(IfanError):
    """A download that failed or that is not what was asked for."""


def place_of(error: BaseException) -> str:
    """Say where something unexpected happened, and nothing of what it was done to."""
    calls = traceback.extract_tb(error.__traceback__)[-3:]
    places = " > ".join(f"{Path(call.filename).name}:{call.lineno}" for call in calls)
    return f"{type(error).__name__} at {places}"


def in_one_line(text: str) -> str:
    """Escape line breaks and control characters: names in files, and of files, may hold any."""
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) == "Zs"
        else ascii(character)[1:-1]
        for character in text
    )
