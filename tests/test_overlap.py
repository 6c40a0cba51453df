"""The threads of a worklist, with pieces that are only numbers; every wait is for an event."""

import gc
import threading
import time
import weakref
from functools import partial

import pytest

from ifan.worklist.overlap import Steps, one_by_one
from ifan.worklist.overlap import overlapped as overlapped_until

SECONDS = 30  # until a test gives up


class Piece:
    def __init__(self, number, pixels=1):
        self.number = number
        self.pixels = pixels


class Log:
    """What has been begun and ended, in order; a step may wait for an entry of another thread."""

    def __init__(self):
        self.entries = []
        self.changed = threading.Condition()

    def add(self, *entry):
        with self.changed:
            self.entries.append(entry)
            self.changed.notify_all()

    def wait_for(self, *entry):
        with self.changed:
            assert self.changed.wait_for(lambda: entry in self.entries, SECONDS), entry


@pytest.fixture
def log():
    return Log()


def steps_of(log, **actions):
    """Steps that write a log; an action is called between the beginning and the end of its step."""

    def step(name, result=None):
        def run(piece):
            log.add(f"{name} begins", piece.number)
            found = actions[name](piece.number) if name in actions else None
            log.add(f"{name} ends", piece.number)
            return found or (result and result(piece))

        return run

    write = step("write", lambda piece: f"written {piece.number}")
    return Steps(step("read"), step("work"), write, lambda piece: piece.pixels)


def overlapped(pieces, steps):
    return overlapped_until(pieces, steps, stopped=lambda: False)


def numbered(count, pixels=1):
    return [Piece(number, pixels) for number in range(count)]


def threads_of_ours():
    return sum(thread.name.startswith("ifan ") for thread in threading.enumerate())


@pytest.mark.parametrize("way", [one_by_one, overlapped])
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_results_come_in_the_order_of_the_pieces(log, way, count):
    steps = steps_of(
        log,
        read=lambda number: f"read {number}" if number % 3 == 0 else None,
        work=lambda number: f"worked {number}" if number % 3 == 1 else None,
    )
    kinds = ("read", "worked", "written")
    assert list(way(numbered(count), steps)) == [f"{kinds[n % 3]} {n}" for n in range(count)]
    assert threads_of_ours() == 0


def test_the_next_is_read_and_the_last_is_written_meanwhile(log):
    def work(number):
        if number == 1:  # neither would begin otherwise
            log.wait_for("read begins", 2)
            log.wait_for("write begins", 0)

    def write(number):
        if number == 0:
            log.wait_for("work begins", 1)

    assert len(list(overlapped(numbered(4), steps_of(log, work=work, write=write)))) == 4


def test_the_work_is_done_in_the_thread_of_the_caller(log):
    places = {}

    def note(name, number):
        places[name] = threading.get_ident()

    steps = steps_of(log, **{name: partial(note, name) for name in ("read", "work", "write")})
    list(overlapped(numbered(3), steps))
    assert places["work"] == threading.get_ident()
    assert len(set(places.values())) == 3


@pytest.mark.parametrize(("pixels", "most"), [(1, 3), (14_000_000, 3), (40_000_000, 1)])
def test_few_are_in_work_at_once_and_of_large_ones_fewer(log, pixels, most):
    list(overlapped(numbered(30, pixels), steps_of(log)))
    now = highest = 0
    for entry, _ in log.entries:
        now += {"read begins": 1, "write ends": -1}.get(entry, 0)
        highest = max(highest, now)
    assert highest <= most


def test_no_more_than_one_waits_to_be_worked_on(log):
    def work(number):
        if number == 0:
            log.wait_for("read ends", 1)
            time.sleep(0.1)  # time to do what must not be done
            assert ("read begins", 2) not in log.entries

    assert len(list(overlapped(numbered(5), steps_of(log, work=work)))) == 5


def test_nothing_that_is_done_is_held(log):
    pieces = []

    def make(number):
        piece = Piece(number)
        pieces.append(weakref.ref(piece))
        return piece

    for number, _ in enumerate(overlapped(map(make, range(6)), steps_of(log))):
        if number == 5:
            gc.collect()
            assert [piece() for piece in pieces[:5]] == [None] * 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_is_being_written_is_finished_and_told_before_an_interruption_goes_on(log, error):
    def work(number):
        if number == 2:
            log.wait_for("write begins", 1)
            raise error

    def write(number):
        if number == 1:
            log.wait_for("work begins", 2)

    results = overlapped(numbered(9), steps_of(log, work=work, write=write))
    told = []
    with pytest.raises(error):
        told.extend(results)
    assert told == ["written 0", "written 1"]
    assert threads_of_ours() == 0
    assert ("write ends", 1) in log.entries
    assert ("read begins", 4) not in log.entries


def test_once_it_is_stopped_what_was_begun_is_finished_and_told(log):
    def work(number):
        if number == 2:
            log.add("stop")

    steps = steps_of(log, work=work)
    told = list(overlapped_until(numbered(9), steps, lambda: ("stop",) in log.entries))
    assert told == ["written 0", "written 1", "written 2"]
    assert threads_of_ours() == 0
    assert ("work begins", 3) not in log.entries


def test_closing_early_finishes_what_is_being_written(log):
    def write(number):
        if number == 0:
            log.wait_for("work ends", 1)
        if number == 1:
            log.wait_for("closed", 1)

    results = overlapped(numbered(9), steps_of(log, write=write))
    assert next(results) == "written 0"
    log.wait_for("write begins", 1)
    log.add("closed", 1)
    results.close()
    assert threads_of_ours() == 0
    assert ("write ends", 1) in log.entries


@pytest.mark.parametrize("step", ["read", "write"])
def test_a_thread_that_dies_is_not_waited_for(log, step):
    def die(number):
        if number == 1:
            raise SystemError("dead")

    told = []
    with pytest.raises(SystemError, match="dead"):
        told.extend(overlapped(numbered(9), steps_of(log, **{step: die})))
    assert told == ["written 0"]
    assert threads_of_ours() == 0


def test_pieces_that_cannot_be_made_end_it(log):
    def broken():
        yield Piece(0)
        raise SystemError("no more")

    told = []
    with pytest.raises(SystemError, match="no more"):
        told.extend(overlapped(broken(), steps_of(log)))
    assert told == ["written 0"]
    assert threads_of_ours() == 0
