"""Errors that a user can understand and mend.

Each is one line: what it is about (mostly a file), the reason, the remedy. The command line prints
that line and nothing else; `--debug` shows the traceback.
"""

from __future__ import annotations

import os


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
        super().__init__(f"{self.subject}: {reason}; {remedy}")


class PictureError(IfanError):
    """A picture that cannot be read, or whose pixels are not what they should be."""


class OutputError(IfanError):
    """A result that cannot be written."""


class ModelError(IfanError):
    """A model that is unknown, or a checkpoint that is not what it should be."""


class EngineError(IfanError):
    """An engine that is not installed, cannot do what was asked, or ran out of memory."""


class DownloadError(IfanError):
    """A download that failed or that is not what was asked for."""
