"""What a run takes over from those before it, without Ray: which photographs are done anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ifan.cluster import Order, open_storage
from ifan.cluster.batch import Batch
from ifan.cluster.journal import FOLDER, Progress
from ifan.cluster.listing import Parcel, Picture, pictures
from ifan.cluster.manifest import (
    FAILURES,
    MANIFEST,
    Record,
    records_in,
    settings_in,
    table_of,
)
from ifan.cluster.pipeline import Finished, _Lister
from ifan.errors import OutputError
from processes import Process


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
    known = {"source_bytes": picture.size, "source_stamp": picture.stamp, "target_bytes": 6}
    known["folder"] = order.source.place
    return Record(picture.source, picture.target, status, **known | fields)


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
    return list(lister._undone([], []))


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


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_batch_of_before_there_were_passes_goes_on_as_one_of_one_pass(order, has_ended):
    order.target.write("a.jpg", b"result")
    settings = {"source": order.source.place, "model": "ifan-s", "strength": 1.0}
    done = table_of([record(order, "done")], settings)
    if has_ended:
        order.target.write(MANIFEST, done)
    else:
        order.target.write(f"{FOLDER}/settings.json", json.dumps(settings).encode())
        order.target.write(f"{FOLDER}/parts/000000000-0.parquet", done)
    with pytest.raises(OutputError, match=r"holds results of other settings \(passes 1\)"):
        Batch(order._replace(settings={"passes": 2}))
    assert undone(order._replace(settings={"passes": 1})) == []


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


def test_a_result_that_somebody_has_worked_on_is_no_batchs_any_more(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "done"))
    order.target.write("a.jpg", b"a retouched result")
    (again,) = undone(order)
    assert not again.is_begun
    order.target.remove("a.jpg")
    (again,) = undone(order)
    assert again.is_begun


def test_a_result_of_a_stopped_batch_that_somebody_has_worked_on_is_left_alone(order):
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    progress = Progress(Parcel((photograph(order),)), foreign=[], attempts=1)
    progress.records["a.jpg"] = record(order, "done")
    batch._journal.note(progress)
    order.target.write("a.jpg", b"a retouched result")
    (again,) = undone(order)
    assert not again.is_begun


def elsewhere(order: Order, stamp: int) -> Order:
    """An order for a folder that has a photograph of the same name, of another time or not."""
    other = Path(order.source.place).parent / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes(b"a photograph")
    os.utime(other / "a.jpg", ns=(stamp, stamp))
    return order._replace(source=open_storage(str(other)))


def test_photographs_of_another_folder_do_not_take_the_places_of_results(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "done"))
    other = elsewhere(order, stamp=10**18)
    for _ in range(2):  # what the first run over the other folder writes down changes nothing
        (again,) = undone(other)
        assert not again.is_begun
        ended(other, record(other, "skipped", target_bytes=None))
    assert undone(order) == []
    Path(order.source.place, "a.jpg").write_bytes(b"changed")
    (again,) = undone(order)
    assert again.is_begun


def test_photographs_that_were_moved_are_done(order):
    order.target.write("a.jpg", b"result")
    ended(order, record(order, "done"))
    assert undone(elsewhere(order, stamp=int(photograph(order).stamp))) == []


def test_an_unfinished_batch_of_another_folder_is_not_gone_on_with(order):
    batch = Batch(order)
    batch._journal.begin(batch._settings, anew=False)
    with pytest.raises(OutputError, match=rf"unfinished batch in it, of {order.source.place};"):
        Batch(elsewhere(order, stamp=10**18))


def test_what_failed_and_is_gone_is_listed_no_more(order):
    why = {"target_bytes": None, "reason": "is damaged", "remedy": "mend it"}
    ended(order, record(order, "failed", **why))
    assert order.target.read(FAILURES).count(b"is damaged") == 1
    batch = Batch(order)
    batch._earlier = set()
    batch._journal.begin(batch._settings, anew=False)
    batch._finish()
    assert order.target.read(FAILURES) == b""
    assert list(records_in(order.target, MANIFEST)) == []


def test_a_list_of_failures_that_is_not_of_a_batch_is_left_alone(order):
    order.target.write(FAILURES, b"of somebody else")
    with pytest.raises(OutputError, match=r"failures.jsonl: is of no batch; move it away"):
        Batch(order)


def test_two_batches_do_not_write_to_one_folder(order):
    command = [
        *(sys.executable, "-c"),
        "import sys; from ifan.cluster import open_storage\n"
        "with open_storage(sys.argv[1]).held(): print('held', flush=True); input()",
        order.target.place,
    ]
    with Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another batch is writing there"):
            next(Batch(order).run(None))
        other.communicate("\n", timeout=60)
    with order.target.held():
        assert not list(Path(order.target.place).iterdir())


def test_a_folder_that_may_not_be_read_is_told_and_costs_the_others_nothing(order, monkeypatch):
    locked = Path(order.source.place, "lost+found")
    locked.mkdir()
    later = Path(order.source.place, "z")
    later.mkdir()
    Path(order.source.place, "a.jpg").rename(later / "a.jpg")
    scandir = os.scandir

    def scan(folder):
        if Path(folder) == locked:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr("os.scandir", scan)
    batch = Batch(order)
    missed: list[Record] = []
    lister = _Lister(order, batch._settings, [], frozenset(), None)
    assert [picture.source for picture in lister._undone([], missed)] == ["z/a.jpg"]
    (folder,) = missed
    assert (folder.source, folder.status) == ("lost+found/", "failed")
    assert folder.reason == "cannot be listed (Permission denied)"
    batch._note(Finished(0, "", 0.0, missed, 0, 0.0))
    assert batch.tally.counts["failed"] == 1


def test_an_empty_file_ends_no_batch(order):
    batch = Batch(order)
    batch.tally.is_counted = True
    failed = record(order, "failed", finished=time.time(), seconds=0.1, reason="is empty")
    batch._note(Finished(0, "", 0.0, [failed], 0, 0.0))
    assert batch.tally.counts["failed"] == 1
    assert batch.tally.seconds_left is None
