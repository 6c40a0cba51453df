"""Where requests wait: a bounded number of places, and one worker behind them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ifan.serving.metrics import Metrics
from ifan.serving.orders import Order, Result, State
from ifan.serving.problems import Problem
from ifan.serving.process import WorkerProcess
from ifan.serving.settings import Settings

_LONGEST_WAIT = 60
"""Seconds that anybody is told to wait at most."""

_WEIGHT_OF_LAST = 0.2
"""Of the last order in the mean duration of orders."""

Tell = Callable[[State, int], None]
"""Is called with the stage that begins, and with how many orders are before this one."""


class Desk:
    """Takes orders as long as there are places, and has them carried out in turn.

    Args:
        settings: of the server.
        metrics: where counts go.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.worker = WorkerProcess(settings)
        self._settings = settings
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._waiting: list[Tell] = []
        self._taken = 0
        self._mean_seconds = 1.0
        self.is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in the house."""
        return self._taken == 0

    def close(self) -> None:
        """Take no more orders, and refuse those that wait; what runs goes on."""
        self.is_closed = True

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, from the first byte of a request to the last of its answer.

        Raises:
            Problem: there is none.
        """
        self._require_open()
        if self._taken >= self._settings.places:
            seconds = math.ceil(self._mean_seconds * self._taken / 2)
            wait = {"Retry-After": str(min(max(seconds, 1), _LONGEST_WAIT))}
            raise Problem("busy", f"all {self._settings.places} places are taken", "wait", wait)
        self._taken += 1
        self._metrics.places.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            self._metrics.places.set(self._taken)

    async def carry_out(self, order: Order, tell: Tell) -> Result:
        """Have an order carried out when its turn comes, and forget its files.

        Args:
            order: what is to be done.
            tell: is told how it goes.

        Raises:
            Problem: it is refused, or could not be carried out.
        """
        try:
            async with self._in_turn(tell):
                self._require_open()
                return await self._carry_out(order, tell)
        finally:
            order.let_go()

    @asynccontextmanager
    async def _in_turn(self, tell: Tell) -> AsyncIterator[None]:
        self._waiting.append(tell)
        self._tell_positions()
        try:
            await self._turn.acquire()
        finally:
            self._waiting.remove(tell)
            self._tell_positions()
        try:
            yield
        finally:
            self._turn.release()

    def _tell_positions(self) -> None:
        running = int(self._turn.locked())
        for before, tell in enumerate(self._waiting):
            tell("queued", before + running)

    async def _carry_out(self, order: Order, tell: Tell) -> Result:
        begin = time.perf_counter()
        try:
            result = await self.worker.carry_out(order, lambda stage: tell(stage, 0))
        except Problem as problem:
            self._metrics.orders.labels(order.task, problem.kind).inc()
            raise
        finally:
            last = time.perf_counter() - begin
            self._mean_seconds += _WEIGHT_OF_LAST * (last - self._mean_seconds)
        self._metrics.orders.labels(order.task, "done").inc()
        for stage, seconds in result.seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        return result

    def _require_open(self) -> None:
        if self.is_closed:
            wait = {"Retry-After": "10"}
            raise Problem("not-ready", "the server is stopping", "try again later", wait)
