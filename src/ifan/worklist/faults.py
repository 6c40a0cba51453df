"""What goes wrong with a photograph, as an error that a user can understand."""

from __future__ import annotations

import os
import traceback

from ifan.errors import EngineError, IfanError


def told(error: Exception, source: str | os.PathLike[str]) -> IfanError:
    """Return an error that says what another means for a photograph.

    Args:
        error: what was raised while it was worked on.
        source: the photograph.
    """
    if isinstance(error, IfanError):
        return error
    if isinstance(error, MemoryError):
        remedy = "close other programs, or give a smaller picture"
        explained: IfanError = EngineError(source, "memory ran out", remedy)
    else:
        reason = f"unexpected {type(error).__name__}: {error}"
        explained = IfanError(source, reason, "see where with: ifan deblur FILE --debug")
    explained.__cause__ = error
    return explained


def forget_variables(error: BaseException | None) -> None:
    """Empty the functions that an error came through.

    Whoever collects errors would collect the pictures, too, in the frames of their tracebacks.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
