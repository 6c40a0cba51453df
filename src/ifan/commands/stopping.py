"""Ctrl-C and SIGTERM: the work comes to a clean end, and one line says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_LINE = "stopped; {how}\n"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_received: list[int] = []
_how_to_go_on = "the same command goes on where this one was"
_is_deferred = False


class Stopped(BaseException):
    """The program is to end; no `KeyboardInterrupt`, as that one is caught on its way."""


def listen() -> None:
    """From now on, raise `Stopped` where the program is when a signal comes.

    Where signals are ignored, in the background of a shell for one, they stay so.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


@contextmanager
def deferred() -> Iterator[None]:
    """Note signals, and raise `Stopped` after the block only.

    For imports, which run code that turns exceptions into others, or loses them; and for work that
    asks by itself whether it is to end.
    """
    global _is_deferred
    _is_deferred = True
    try:
        yield
    finally:
        _is_deferred = False
        require_going_on()


def asked() -> bool:
    """Tell whether a signal came."""
    return bool(_received)


def require_going_on() -> None:
    """Raise `Stopped` if a signal came, in case it was raised where nothing passes it on."""
    if _received:
        raise Stopped


def say_how_to_go_on(how: str) -> None:
    """Change what one is told of how to go on, if the same command does not go on where it was."""
    global _how_to_go_on
    _how_to_go_on = how


def end() -> NoReturn:
    """Say that the program was stopped, and exit as is usual after such a signal."""
    no_longer_listen()
    _say()
    raise SystemExit(128 + _received[0])


def no_longer_listen() -> None:
    """Let signals end the program at once: all is done."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _stop:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, _frame: FrameType | None) -> None:
    _received.append(number)
    if len(_received) > 1:  # who asks again does not want to wait
        _say()
        os._exit(128 + number)
    if not _is_deferred:
        raise Stopped


def _say() -> None:
    with suppress(OSError):  # nobody may be there to read it
        os.write(2, _LINE.format(how=_how_to_go_on).encode())
