"""Reading, working and writing side by side.

While the caller's thread works on one piece, a thread reads the next and another writes the last.
They hand pieces on through `SimpleQueue`s: an interrupt of the caller's thread finds these whole at
any moment, which is not so of locks that are held in Python code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AT_ONCE = 3
"""Pieces between the start of reading and the end of writing: one a thread."""

_LARGE = 30_000_000
"""Pixels of pieces in work beyond which no further one is read: memory is for the network."""

_PATIENCE = 0.1
"""Seconds after which a wait looks up, whether it is to end."""


class Steps(NamedTuple, Generic[Piece, Result]):
    """What is done with a piece, one step after the other.

    Attributes:
        read: returns None, or the result if the piece needs nothing more.
        work: the same; runs in the caller's thread.
        write: returns the result.
        pixels: how large a piece is that has been read.
    """

    read: Callable[[Piece], Result | None]
    work: Callable[[Piece], Result | None]
    write: Callable[[Piece], Result]
    pixels: Callable[[Piece], int]


def one_by_one(pieces: Iterable[Piece], steps: Steps[Piece, Result]) -> Iterator[Result]:
    """Yield the result of each piece, in order; everything happens in the caller's thread."""
    for piece in pieces:
        yield steps.read(piece) or steps.work(piece) or steps.write(piece)


def overlapped(
    pieces: Iterable[Piece], steps: Steps[Piece, Result], stopped: Callable[[], bool]
) -> Iterator[Result]:
    """Yield the result of each piece, in order, and read and write others meanwhile.

    However it ends, what is being written is finished before. If it ends by an exception, results
    that are there already are yielded first, as far as the exception lets them.

    Args:
        pieces: what is to be worked on; made one by one, as they are read.
        steps: what is done with each; they raise nothing.
        stopped: asked again and again; once it is true, nothing more is begun, and the results of
            what has been are yielded.
    """
    belt = _Belt(pieces, steps)
    try:
        yield from belt.results(stopped)
    except GeneratorExit:
        belt.stop()
        raise
    except BaseException:
        belt.stop()
        yield from belt.rest()
        raise
    belt.stop()
    yield from belt.rest()


class _Gate:
    """Keeps the reader from running ahead further than memory should have to hold."""

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}  # pixels, by the piece's number
        self._waits = False  # a piece for the caller's thread
        self._closed = False
        self._changed: SimpleQueue[None] = SimpleQueue()

    def enter(self, number: int) -> bool:
        """Wait until a piece may be read; False: none is to be read any more."""
        while not self._closed:
            inside = list(self._inside.values())
            if len(inside) < _AT_ONCE and sum(inside) <= _LARGE and not self._waits:
                self._inside[number] = 0
                self._waits = True
                return True
            self._changed.get()
        return False

    def weigh(self, number: int, pixels: int) -> None:
        """Say how large a piece is."""
        self._inside[number] = pixels

    def taken(self) -> None:
        """Say that no piece waits for the caller's thread."""
        self._waits = False
        self._changed.put(None)

    def leave(self, number: int) -> None:
        """Say that a piece is done."""
        del self._inside[number]
        self._changed.put(None)

    def close(self) -> None:
        """Let nothing more in."""
        self._closed = True
        self._changed.put(None)


class _Read(NamedTuple, Generic[Piece]):
    """A piece on its way, with its place in the order."""

    number: int
    piece: Piece


class _Finished(NamedTuple, Generic[Result]):
    """A result, with its place in the order."""

    number: int
    result: Result


class _Belt(Generic[Piece, Result]):
    """The threads, and the pieces between them."""

    def __init__(self, pieces: Iterable[Piece], steps: Steps[Piece, Result]) -> None:
        self._pieces = pieces
        self._steps = steps
        self._gate = _Gate()
        # To the caller's thread: pieces, results, how many of them there will be, and what a thread
        # died of.
        self._inbox: SimpleQueue[_Read[Piece] | _Finished[Result] | int | BaseException]
        self._inbox = SimpleQueue()
        # To the writer: pieces, at last None.
        self._outbox: SimpleQueue[_Read[Piece] | None] = SimpleQueue()
        self._finished: dict[int, Result] = {}
        self._count: int | None = None
        self._threads = [
            Thread(target=self._reporting, args=(loop,), name=f"ifan {name}", daemon=True)
            for name, loop in (("reader", self._read_all), ("writer", self._write_all))
        ]

    def results(self, stopped: Callable[[], bool]) -> Iterator[Result]:
        """Yield all results in order, until it is to end."""
        for thread in self._threads:
            thread.start()
        number = 0
        while number != self._count and not stopped():
            with suppress(Empty):
                self._handle(self._inbox.get(timeout=_PATIENCE))
            while number in self._finished:
                yield self._finished.pop(number)
                number += 1

    def stop(self) -> None:
        """Read nothing more, let what is being written be finished, and end the threads."""
        self._gate.close()
        self._outbox.put(None)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_PATIENCE)

    def rest(self) -> Iterator[Result]:
        """Yield the results that are there after the threads have ended."""
        while not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, _Finished):
                self._finished[message.number] = message.result
        for number in sorted(self._finished):
            yield self._finished.pop(number)

    # A piece may be large, so no variable of a thread that waits may hold one: each is handled in a
    # function of its own.

    def _handle(self, message: _Read[Piece] | _Finished[Result] | int | BaseException) -> None:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, int):
            self._count = message
        elif isinstance(message, _Finished):
            self._finished[message.number] = message.result
        else:
            self._gate.taken()
            result = self._steps.work(message.piece)
            if result is None:
                self._outbox.put(message)
            else:
                self._gate.leave(message.number)
                self._finished[message.number] = result

    def _read_all(self) -> None:
        count = 0
        for number, piece in enumerate(self._pieces):
            if not self._gate.enter(number):
                return
            self._read(number, piece)
            count += 1
        self._inbox.put(count)

    def _read(self, number: int, piece: Piece) -> None:
        result = self._steps.read(piece)
        if result is None:
            self._gate.weigh(number, self._steps.pixels(piece))
            self._inbox.put(_Read(number, piece))
        else:
            self._gate.taken()
            self._gate.leave(number)
            self._inbox.put(_Finished(number, result))

    def _write_all(self) -> None:
        while self._write_next():
            pass

    def _write_next(self) -> bool:
        message = self._outbox.get()
        if message is None:
            return False
        result = self._steps.write(message.piece)
        self._gate.leave(message.number)
        self._inbox.put(_Finished(message.number, result))
        return True

    def _reporting(self, loop: Callable[[], None]) -> None:
        """Run the loop of a thread; without a word of its death the caller would wait for ever."""
        try:
            loop()
        except BaseException as error:  # to be raised in the caller's thread
            self._inbox.put(error)
