"""Several processes, or threads, that share work and end with the process that started them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from ifan.errors import IfanError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Several threads in each of several processes would only be in each other's way.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "VIPS_CONCURRENCY"), "1"
)

# Tasks handed out ahead for each process, so that none waits for a slow one elsewhere.
_AHEAD = 4

# How often it is asked whether to stop, in seconds.
_PATIENCE = 0.2

# Windows waits for no more at once.
_MOST_PROCESSES = 61


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    processes: int,
    stopped: Callable[[], bool],
) -> Generator[Result, None, None]:
    """Do tasks in several processes, and yield the results in order.

    Args:
        work: does one; it and all it takes and gives can be pickled.
        tasks: in order.
        processes: how many at most.
        stopped: asked now and then; once it is true, what is begun is finished, and no more.

    Raises:
        IfanError: what `work` raises, or a process was ended from outside.
    """
    if not tasks:
        return
    # All of them are started with the first task.
    with _pool(min(processes, len(tasks), _MOST_PROCESSES)) as pool:
        queue: deque[Future[Result]] = deque()
        source = iter(tasks)
        try:
            while not stopped():
                more = islice(source, _AHEAD * processes - len(queue))
                with interrupt_held_back():
                    queue += [pool.submit(work, task) for task in more]
                if not queue:
                    return
                wait(islice(queue, 1), timeout=_PATIENCE)
                if queue[0].done():
                    yield queue.popleft().result()
        except BrokenProcessPool as error:
            if not stopped():  # a signal may have been for all processes
                reason = "one of its processes was ended, perhaps as memory ran out"
                remedy = "let fewer share the work, and go on where this was"
                raise IfanError("ifan", reason, remedy) from error
        except MemoryError as error:
            raise IfanError(
                "ifan", "memory ran out", "let fewer processes share the work"
            ) from error


def in_threads(
    work: Callable[[Task], Result], tasks: Iterable[Task], stopped: Callable[[], bool]
) -> Generator[Result, None, None]:
    """Do tasks in several threads, a few ahead, and yield the results in order.

    Args:
        work: does one; mostly without Python's lock, as decoders are.
        tasks: in order.
        stopped: asked for each; once it is true, there are no more results.
    """
    threads = usable_processors()
    source = iter(tasks)
    with ThreadPoolExecutor(threads) as pool:
        queue: deque[Future[Result]] = deque()
        try:
            while not stopped():
                more = islice(source, 2 * threads - len(queue))
                queue += [pool.submit(work, task) for task in more]
                if not queue:
                    return
                yield queue.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    # Not forked: threads of libraries do not survive that.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: processes that are started meanwhile never hear it, not even at first."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """Let this process end when it is told, not by Ctrl-C, and when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _begin() -> None:
    follow_parent()
    # What decoders warn of does not matter here, and would be said once for each process.
    logging.getLogger("ifan").addHandler(logging.NullHandler())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
