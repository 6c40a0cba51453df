"""From settings to a server that listens, and that ends as it should."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ifan.errors import IfanError
from ifan.serving.app import House, create_app
from ifan.serving.settings import Settings

_HEADER_SECONDS = 10.0
"""In which the head of a request has to come in."""

_FETCH_SECONDS = 5.0
"""For which a server that stops waits for results of jobs to be fetched."""

_CLOSING_SECONDS = 5
"""For which it then waits for connections to end."""

_LOOK_SECONDS = 1.0
"""After which it is looked again at what a client has not taken."""

_BACKLOG = 512

_TICK_SECONDS = 0.05


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address.
        port: 0 is any that is free.

    Raises:
        IfanError: this cannot be.
    """
    try:
        # Not by `socket.create_server`: asyncio sends at once, and not after the 40 ms of Nagle's
        # algorithm, only where a socket says that its protocol is TCP.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # there it would let two servers share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening
    except (OSError, UnicodeError) as error:  # the latter of what can be no name
        reason = f"cannot be listened on ({getattr(error, 'strerror', None) or error})"
        raise IfanError(f"{host}:{port}", reason, "choose another --host or --port") from error


def serve(settings: Settings, listening: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until a signal says to stop; then finish what runs.

    Args:
        settings: of the server.
        listening: what `listen` returned; it is closed at the end.
        announce: is called when the server answers.

    Raises:
        IfanError: the model or the engine cannot be used.
    """
    with listening:
        asyncio.run(_serve(settings, listening, announce))


async def _serve(
    settings: Settings, listening: socket.socket, announce: Callable[[], None]
) -> None:
    app = create_app(settings)
    house: House = app.state.house

    class Protocol(_ImpatientProtocol):
        limits = settings

    server = _Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_CLOSING_SECONDS,
        ),
        house,
        announce,
    )
    with server.stopped_by_signals():
        try:
            # Here and not by uvicorn, which would make a page of an error.
            await house.desk.worker.require()
            await server.serve(sockets=[listening])
        except EOFError as error:  # it was stopped while the worker began, or the worker was
            if not server.is_ending:
                remedy = "free some memory, and look at what it said"
                raise IfanError("the worker", "ended before it had its network", remedy) from error
        finally:
            await house.desk.worker.close()


class _Server(uvicorn.Server):
    """Stops in two steps: no new work, but all is answered that is there; then the end."""

    def __init__(self, config: uvicorn.Config, house: House, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._house = house
        self._announce = announce
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_ending(self) -> bool:
        """Whether it was told to stop."""
        return self._ending is not None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `stopped_by_signals`: uvicorn would raise them again at the end."""
        yield

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, at once when a second one comes."""
        loop = asyncio.get_running_loop()

        def stop(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        else:
            self._ending.cancel()

    async def _end(self) -> None:
        """Let what runs finish, and its results be fetched; report the rest as stopped."""
        desk, jobs = self._house.desk, self._house.jobs
        desk.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._house.settings.stop_seconds):
                    while not desk.is_idle:
                        await asyncio.sleep(_TICK_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_FETCH_SECONDS):
                    while jobs.awaited:
                        await asyncio.sleep(_TICK_SECONDS)
        finally:
            self.should_exit = True
            await desk.worker.close()


class _ImpatientProtocol(H11Protocol):
    """HTTP that does not wait for ever: for the head of a request, or for an answer to be taken.

    Attributes:
        limits: how long the latter may take.
    """

    limits: ClassVar[Settings]

    _closing: asyncio.TimerHandle | None = None
    _looking: asyncio.TimerHandle | None = None
    _answer: object = None
    _deadline = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # so that whatever is not taken pauses the writing
        self._mind()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._closing, self._looking):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer is not self.cycle:
            self._answer = self.cycle
            self._deadline = self.loop.time() + self.limits.transfer_seconds
        self._look_again(self.loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._looking is not None:
            self._looking.cancel()

    def _look_again(self, since: float, size: int) -> None:
        soon = self.loop.time() + min(self.limits.idle_seconds, _LOOK_SECONDS)
        self._looking = self.loop.call_at(min(soon, self._deadline), self._look, since, size)

    def _look(self, since: float, size: int) -> None:
        """Hang up if nothing was taken for long, or not all in time.

        To close would not do: it waits until all is taken.

        Args:
            since: when something was taken last.
            size: bytes that were left then.
        """
        now, left = self.loop.time(), self.transport.get_write_buffer_size()
        if left < size:
            since = now
        if now - since >= self.limits.idle_seconds or now >= self._deadline:
            self.transport.abort()
        else:
            self._look_again(since, left)

    def _mind(self) -> None:
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self._closing is None:
            self._closing = self.loop.call_later(_HEADER_SECONDS, self.transport.close)
        elif not is_waiting and self._closing is not None:
            self._closing.cancel()
            self._closing = None
