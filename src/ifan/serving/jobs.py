"""Jobs: work that one asks for, watches, and whose result one fetches later."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

from pydantic import BaseModel, Field

from ifan.errors import place_of
from ifan.serving.desk import Desk
from ifan.serving.orders import Order, Result, State
from ifan.serving.problems import Described, Problem, unexpected
from ifan.serving.settings import Settings

_OVER: frozenset[State] = frozenset({"done", "failed", "cancelled"})

_HEARTBEAT_SECONDS = 10.0


class JobDescription(BaseModel):
    """How a job is going."""

    id: str
    state: State
    before: int = Field(description="How many orders are before this one.")
    progress: float = Field(ge=0, le=1, description="Part of the work that is done, roughly.")
    problem: Described | None = Field(description="What went wrong, if it failed.")


_PROGRESS: dict[State, float] = {
    "queued": 0.0,
    "reading": 0.05,
    "deblurring": 0.15,
    "writing": 0.85,
    "done": 1.0,
    "failed": 1.0,
    "cancelled": 1.0,
}


class Job:
    """An order on its way.

    Attributes:
        id: a name that nobody can guess.
        owner: what identifies who asked for it.
        result: of the order, once it is done.
    """

    def __init__(self, owner: str) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.result: Result | None = None
        self.was_fetched = False
        self.task: asyncio.Task[None] | None = None
        self._state: State = "queued"
        self._before = 0
        self._problem: Problem | None = None
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self._state in _OVER

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._state == "done"

    def fetched(self) -> Result:
        """Return the result to whom asks for it.

        Raises:
            Problem: there is none, or not yet.
        """
        if self.result is None:
            remedy = "wait for the event `done`" if not self.is_over else "see why it failed"
            raise Problem("not-finished", f"the job is {self._state}", remedy)
        self.was_fetched = True
        return self.result

    def tell(self, state: State, before: int = 0, problem: Problem | None = None) -> None:
        """Note how it is going, and let those know who watch; when it is over, that stays."""
        if self.is_over:
            return
        self._state, self._before, self._problem = state, before, problem
        self._changed.set()
        self._changed = asyncio.Event()

    def describe(self) -> JobDescription:
        """Return how it is going."""
        return JobDescription(
            id=self.id,
            state=self._state,
            before=self._before,
            progress=_PROGRESS[self._state],
            problem=Described(**self._problem.described()) if self._problem else None,
        )

    async def watch(self) -> AsyncIterator[JobDescription | None]:
        """Yield how it is going: now, at each change, and None when nothing changed for long."""
        while True:
            changed = self._changed
            yield self.describe()
            if self.is_over:
                return
            while not changed.is_set():
                try:
                    await asyncio.wait_for(changed.wait(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield None


class Jobs:
    """All jobs that are known.

    Args:
        settings: of the server.
        desk: where orders go.
        tell_count: is told how many there are.
    """

    def __init__(self, settings: Settings, desk: Desk, tell_count: Callable[[int], Any]) -> None:
        self._settings = settings
        self._desk = desk
        self._jobs: dict[str, Job] = {}
        self._tell_count = tell_count

    def require_room(self) -> None:
        """Refuse more jobs than results can be kept.

        Raises:
            Problem: too many results wait to be fetched.
        """
        failed = [job for job in self._jobs.values() if job.is_over and not job.is_done]
        for job in failed[: -self._settings.kept_results]:
            self.forget(job)
        kept = [job.result.data.size for job in self._jobs.values() if job.result is not None]
        settings = self._settings
        if len(kept) >= settings.kept_results or sum(kept) >= settings.kept_bytes:
            detail = f"results wait to be fetched: {len(kept)}, of {sum(kept):,} bytes"
            remedy = "fetch and delete results, or wait"
            raise Problem("busy", detail, remedy, {"Retry-After": "30"})

    def start(self, order: Order, owner: str, place: ExitStack) -> Job:
        """Begin a job.

        Args:
            order: what is to be done.
            owner: what identifies who asks for it.
            place: that is left when the work is done.
        """
        job = Job(owner)
        self._jobs[job.id] = job
        self._tell_count(len(self._jobs))
        job.task = asyncio.create_task(self._run(job, order))
        # A task that is cancelled at once never runs, so it cannot tidy up itself.
        place.callback(order.let_go)
        job.task.add_done_callback(lambda _: place.close())
        return job

    def find(self, identifier: str, owner: str) -> Job:
        """Return a job.

        Raises:
            Problem: there is none of this name, or it is somebody else's.
        """
        job = self._jobs.get(identifier)
        if job is None or job.owner != owner:
            remedy = "results are kept for a limited time; start a new job"
            raise Problem("not-found", "there is no such job, or no more", remedy)
        return job

    def forget(self, job: Job) -> None:
        """End a job if it is not over, and let go of its result."""
        self._jobs.pop(job.id, None)
        self._tell_count(len(self._jobs))
        if not job.is_over and job.task is not None:
            job.task.cancel()
            job.tell("cancelled")
        if job.result is not None:
            job.result.data.let_go()

    @property
    def awaited(self) -> bool:
        """Whether there is a result that nobody has fetched yet."""
        return any(job.is_done and not job.was_fetched for job in self._jobs.values())

    async def _run(self, job: Job, order: Order) -> None:
        try:
            job.result = await self._desk.carry_out(order, job.tell)
        except Problem as problem:
            job.tell("failed", problem=problem)
        except Exception as error:  # what nobody has thought of
            job.tell("failed", problem=unexpected(place_of(error)))
        else:
            job.tell("done")
        finally:
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.result_seconds, self.forget, job)
