"""Work in a process of its own, whose peak memory is that of the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ifan.errors import EngineError

Result = TypeVar("Result")

_PATIENCE = 0.2
"""Seconds between looks at whether to go on."""


def go_on() -> None:
    """Let work go on, whatever happens."""


def apart(
    what: str,
    work: Callable[..., Result],
    *arguments: Any,
    require_going_on: Callable[[], None] = go_on,
) -> Result:
    """Do work in a new process, and return what it returns.

    Args:
        what: what the work is, for messages.
        work: a function that can be imported.
        arguments: for the work.
        require_going_on: asked again and again; what it raises ends the process.

    Raises:
        EngineError: the process was ended from outside.
        Exception: what the work raises.
    """
    # Not forked: what this process has in memory would count.
    context = multiprocessing.get_context("spawn")
    answers, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, arguments), daemon=True)
    try:
        with _interrupt_held_back():
            process.start()
        sender.close()
        while not answers.poll(_PATIENCE):
            require_going_on()
        result, error = answers.recv()
    except EOFError as ended:
        process.join()
        reason = f"its process was ended (status {process.exitcode}), perhaps as memory ran out"
        raise EngineError(what, reason, "give smaller --sizes, or less --memory") from ended
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


@contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: the process that is started meanwhile never hears it, it is ended."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: tuple[Any, Exception | None]
    try:
        answer = work(*arguments), None
    except Exception as error:  # told where it was asked for
        answer = None, error
    sender.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
