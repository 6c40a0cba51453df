"""Work in a process of its own, whose peak memory is that of the work."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ifan.errors import EngineError
from ifan.processes import follow_parent, interrupt_held_back

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
        with interrupt_held_back():
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


def _answer(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    follow_parent()
    answer: tuple[Any, Exception | None]
    try:
        answer = work(*arguments), None
    except Exception as error:  # told where it was asked for
        answer = None, error
    sender.send(answer)
