"""What a run takes over from those before it, without Ray: which photographs are done anew."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ifan.cluster import Order, open_storage
from ifan.cluster.batch import Batch
from ifan.cluster.journal import Progress
from ifan.cluster.listing import Parcel, Picture, pictures
from ifan.cluster.manifest import MANIFEST, Record, records_in, settings_in
from ifan.cluster.pipeline import Finished, _Lister
from ifan.errors import OutputError


@pytest.fixture
def order(tmp_path: Path) -> Order:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"a photograph")
    source, target = (open_storage(str(tmp_path / name)) for name in ("in", "out"))
    return Order(source, target, "1", "ifan-s", {}, {}, None, None, 1.0, 10**8, overwrite=False)


def photograph(order: Order) -> Picture:
    (picture,) = pictures(order.source, order.target)
    return picture


def record(order: Order, status: str, **fields: object) -> Record:
    picture = photograph(order)
    known = {"source_stamp": picture.stamp, "target_bytes": 6, **fields}
    return Record(picture.source, picture.target, status, **known)


def ended(order: Order, *records: Record) -> Batch:
    """A batch that has come to its end with these records."""
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    batch._note(Finished(0, "", 1.0, list(records), 0, 0.0))
    batch._write_down()
    batch._finish()
    return batch


def undone(order: Order) -> list[Picture]:
    """The photographs that the next run has to do."""
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    begun = batch._recover()
    lister = _Lister(order, batch._settings, batch._journal.parts(), begun, None)
    return list(lister._undone([]))


def test_an_overwriting_run_that_was_stopped_leaves_no_results_of_two_settings(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "done"))
    milder = order._replace(strength=0.5)
    with pytest.raises(OutputError, match=r"holds results of other settings \(strength 1.0\)"):
        Batch(milder)
    overwriting = Batch(milder._replace(overwrite=True))
    overwriting._journal.begin(overwriting._settings, anew=True)  # and is stopped at once
    (again,) = undone(milder)
    assert again.is_begun  # so its result is no stranger's
    ended(milder, record(order, "done", sha256="new"))
    assert settings_in(order.target, MANIFEST)["strength"] == 0.5
    (kept,) = records_in(order.target, MANIFEST)
    assert [row.sha256 for row in kept] == ["new"]


def test_an_overwriting_run_that_was_stopped_is_gone_on_with_by_one_that_is_not(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "done"))
    assert undone(order) == []
    overwriting = Batch(order._replace(overwrite=True))
    overwriting._journal.begin(overwriting._settings, anew=True)  # and is stopped at once
    (again,) = undone(order)
    assert again.is_begun
    ended(order, record(order, "done"))
    assert undone(order) == []


def test_what_an_unfinished_run_made_is_old_to_an_overwriting_one_that_was_stopped(order):
    order.target.write("a.jpg", b"result")
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    batch._note(Finished(0, "", 1.0, [record(order, "done")], 0, 0.0))
    batch._write_down()
    assert undone(order) == []
    overwriting = Batch(order._replace(overwrite=True))
    overwriting._journal.begin(overwriting._settings, anew=True)  # and is stopped at once
    (again,) = undone(order)
    assert again.is_begun


def test_the_result_of_an_earlier_state_of_what_failed_is_no_strangers_file(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "failed", reason="is damaged", remedy="mend it"))
    (again,) = undone(order)
    assert again.is_begun


def test_what_a_killed_run_may_have_written_is_known_to_all_that_follow(order):
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    batch._journal.note(Progress(Parcel((photograph(order),)), foreign=[], attempts=1))
    order.target.write("a.jpg", b"result")  # killed before it could write down that this is its own
    for _ in range(3):  # runs that are killed before they do anything
        (again,) = undone(order)
        assert again.is_begun


def test_an_empty_file_ends_no_batch(order):
    batch = Batch(order)
    batch.tally.is_counted = True
    failed = record(order, "failed", finished=time.time(), seconds=0.1, reason="is empty")
    batch._note(Finished(0, "", 0.0, [failed], 0, 0.0))
    assert batch.tally.counts["failed"] == 1
    assert batch.tally.seconds_left is None
