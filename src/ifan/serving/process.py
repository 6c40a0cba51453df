"""The server's side of its worker: starts it, gives it orders, replaces it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, get_args

import psutil

from ifan.errors import IfanError, place_of
from ifan.serving import frames
from ifan.serving.orders import VIEWS, Order, Result, Spool, Stage, result_name
from ifan.serving.problems import Problem, unexpected
from ifan.serving.settings import Settings

_LOG = logging.getLogger("ifan.serving")

_PROGRAM = "from ifan.serving.worker import main; main()"

_GRACE_SECONDS = 2.0
"""For which a worker may go on with what nobody wants any more: about what a new one takes."""

Tell = Callable[[Stage], None]


class WorkerProcess:
    """A worker that is there whenever it is needed.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.description: Mapping[str, Any] = {}
        self.starts = 0
        self._is_closed = False

    @property
    def is_ready(self) -> bool:
        """Whether a worker is waiting for orders, or carries one out."""
        process = self._process
        return process is not None and process.returncode is None and bool(self.description)

    def resident_bytes(self) -> int:
        """Return the memory that the process has, 0 while there is none."""
        if self._process is None:
            return 0
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    async def require(self) -> None:
        """Start the process if it is not there.

        Raises:
            IfanError: as `start`.
            EOFError: as `start`.
        """
        if not self.is_ready:
            await self.start()

    async def start(self) -> None:
        """Start the process, and wait until it has its network.

        Raises:
            IfanError: the model or the engine cannot be used.
            EOFError: it ended before, or was closed.
        """
        self.starts += 1
        # It finds the package where this process did, and nothing in the current folder.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=frames.LONGEST_LINE,
        )
        if self._is_closed:  # while the process began, when there was none yet to be ended
            await self.stop()
            raise EOFError
        settings = self._settings
        about = settings.model_dump(include={"engine", "precision", "max_pixels"})
        await self._send({"model": settings.models[0], **about})
        message = await self._receive()
        if "unready" in message:
            raise IfanError(*map(str, message["unready"]))
        self.description = message["ready"]

    async def stop(self) -> None:
        """End the process."""
        process, self._process, self.description = self._process, None, {}
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """End the process for good; what it works on is reported as stopped."""
        self._is_closed = True
        await self.stop()

    async def carry_out(self, order: Order, tell: Tell) -> Result:
        """Have an order carried out; one at a time.

        Args:
            order: what is to be done.
            tell: is called with each stage that begins: "reading", "deblurring", "writing".

        Raises:
            Problem: the order is refused, took too long, or was the end of the worker.
        """
        work = asyncio.ensure_future(self._converse(order, tell))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await self._let_go(work)
            raise

    async def _let_go(self, work: asyncio.Future[Result]) -> None:
        """Bring to an end what nobody wants any more."""
        done, _ = await asyncio.wait({work}, timeout=_GRACE_SECONDS)
        if not done:
            work.cancel()
            await self.stop()
        with suppress(asyncio.CancelledError, Problem):
            (await work).data.let_go()

    async def _converse(self, order: Order, tell: Tell) -> Result:
        """Send an order, and listen until it is carried out; replace a worker that fails to."""
        if not self.is_ready:
            await self._begin_anew()
        stages = _Stages(tell)
        try:
            return await self._attempt(order, stages)
        except EOFError:
            if stages.current is not None:
                raise _died(stages) from None
        # It had died before, of something else.
        try:
            return await self._attempt(order, stages)
        except EOFError:
            raise _died(stages) from None

    async def _attempt(self, order: Order, stages: _Stages) -> Result:
        """Send an order to a worker, and listen.

        Raises:
            EOFError: the worker ended, or made no sense; there is another one now.
            Problem: as `carry_out`.
        """
        try:
            async with asyncio.timeout(self._settings.picture_seconds):
                await self._order(order)
                return await self._result(order, stages)
        except TimeoutError:
            await self._begin_anew()
            raise _too_long(stages, self._settings.picture_seconds) from None
        except Problem:
            raise
        except Exception as error:  # it ended, or said what makes no sense, and may say more of it
            _LOG.warning("the worker failed: %s", place_of(error))
            await self._begin_anew()
            raise EOFError from None

    async def _begin_anew(self) -> None:
        await self.stop()
        self._require_open()
        _LOG.warning("the worker is started anew")
        try:
            await self.start()
        except Exception as error:  # as above
            await self.stop()
            self._require_open()
            _LOG.error("no worker: %s", error)
            reason = "the worker cannot be started"
            raise Problem("not-ready", reason, "try again later", {"Retry-After": "10"}) from error

    def _require_open(self) -> None:
        if self._is_closed:
            raise Problem("not-ready", "the server was stopped meanwhile", "send it again later")

    async def _order(self, order: Order) -> None:
        spools = [order.views.get(view) for view in VIEWS]
        sizes = [None if spool is None else spool.size for spool in spools]
        parameters = order.parameters.model_dump()
        await self._send({"task": order.task, "parameters": parameters, "sizes": sizes})
        for spool in spools:
            if spool is None:
                continue
            with spool.reading() as pieces:
                for piece in pieces:
                    self._streams[0].write(piece)
                    await self._streams[0].drain()

    async def _result(self, order: Order, stages: _Stages) -> Result:
        while True:
            message = await self._receive()
            if "stage" in message:
                stages.begin(message["stage"])
            elif "refused" in message:
                refused = message["refused"]
                raise Problem(refused["kind"], str(refused["detail"]), str(refused["remedy"]))
            elif "failed" in message:
                raise unexpected(message["failed"])
            else:
                return await self._fetch(order, stages, **message["result"])

    async def _fetch(self, order: Order, stages: _Stages, format: str, size: int) -> Result:  # noqa: A002
        data = Spool()
        try:
            while data.size < size:
                piece = await self._streams[1].read(min(frames.CHUNK, size - data.size))
                if not piece:
                    raise EOFError
                data.write(piece)
        except BaseException:
            data.let_go()
            raise
        name = result_name(order.name, order.task, format)
        return Result(format, data, name, stages.seconds())

    @property
    def _streams(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise EOFError
        return process.stdin, process.stdout

    async def _send(self, message: Mapping[str, Any]) -> None:
        self._streams[0].write(frames.line_of(message))
        await self._streams[0].drain()

    async def _receive(self) -> dict[str, Any]:
        return frames.message_of(await self._streams[1].readline())


class _Stages:
    """The stages of an order, and how long each has taken."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._begun: list[tuple[Stage, float]] = []

    @property
    def current(self) -> Stage | None:
        """The last that has begun."""
        return self._begun[-1][0] if self._begun else None

    def begin(self, stage: Stage) -> None:
        if stage not in get_args(Stage):
            raise ValueError("no stage")
        self._begun.append((stage, time.perf_counter()))
        self._tell(stage)

    def seconds(self) -> dict[str, float]:
        """Return what each stage took, if the last ends now."""
        times = [time for _, time in self._begun] + [time.perf_counter()]
        return {
            stage: after - before
            for (stage, before), after in zip(self._begun, times[1:], strict=True)
        }


def _too_long(stages: _Stages, seconds: float) -> Problem:
    if stages.current == "reading":
        return Problem("bad-picture", f"image: takes more than {seconds:g} s to read", _WHOLE)
    remedy = "send a smaller one, or give a smaller working_size or fewer passes"
    return Problem("too-long", f"image: takes more than {seconds:g} s", remedy)


def _died(stages: _Stages) -> Problem:
    """Say of what a worker died: while it reads, of the picture; else of what it lacks."""
    if stages.current == "reading":
        return Problem("bad-picture", "image: its decoder crashed", _WHOLE)
    return Problem("failed", "the worker ended", "send a smaller picture, or try again")


_WHOLE = "get a complete copy of it, or convert it to TIFF or JPEG"
