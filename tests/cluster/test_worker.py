"""A worker without Ray: what it does with a parcel that others have begun with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifan import Deblurrer
from ifan.cluster import Order, open_storage, order_for
from ifan.cluster.journal import Journal, Progress
from ifan.cluster.listing import Parcel, pictures
from ifan.cluster.worker import Worker
from ifan.errors import EngineError

AUTO = {"engine": "auto", "precision": "auto", "working_size": "auto"}
NAMES = ["1.jpg", "2.jpg", "3.jpg"]


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(0)
    for name in NAMES:
        picture = random.integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / name)
    source, target = (open_storage(str(tmp_path / name)) for name in ("in", "out"))
    return order_for(Deblurrer(), source, target, settings=AUTO)


def parcel_of(order: Order) -> Parcel:
    return Parcel(tuple(pictures(order.source, order.target)))


def written(order: Order) -> dict[str, bytes]:
    names = [entry.path for entry in order.target.entries() if "/" not in entry.path]
    return {name: order.target.read(name) for name in names}


def test_what_is_written_down_as_finished_is_not_done_again(order):
    parcel = parcel_of(order)
    records = Worker(order).deblur(parcel)
    for name in NAMES:
        order.target.remove(name)
    assert Worker(order).deblur(parcel) == records
    assert written(order) == {}


def test_a_parcel_goes_on_where_a_killed_worker_was(order):
    parcel = parcel_of(order)
    Worker(order).deblur(parcel)
    clean = written(order)
    # Killed after it had written the second result, and before it had written that down.
    progress = Journal(order.target).progress(parcel)
    del progress.records["2.jpg"], progress.records["3.jpg"]
    Journal(order.target).note(progress)
    order.target.remove("3.jpg")
    records = Worker(order).deblur(parcel)
    assert [record.status for record in records] == ["done"] * 3
    assert written(order) == clean


def test_what_a_killed_worker_was_writing_to_the_journal_is_not_read(order):
    parcel = parcel_of(order)
    Worker(order).deblur(parcel)
    for folder in ("parcels", "parts"):
        order.target.write(f".ifan-batch/{folder}/.ifan-0123456789abcdef.tmp", b"")
    journal = Journal(order.target)
    assert [progress.parcel for progress in journal.unfinished()] == [parcel]
    assert journal.parts() == []


def test_a_photograph_that_ends_its_worker_again_and_again_is_given_up(order):
    parcel = parcel_of(order)
    journal = Journal(order.target)
    journal.note(Progress(parcel, foreign=[], attempts=2, trying="2.jpg", deaths={"2.jpg": 1}))
    first, second, third = Worker(order).deblur(parcel)
    assert (first.status, third.status) == ("done", "done")
    assert second.status == "failed"
    assert "ended the process that worked on it" in second.reason
    assert set(written(order)) == {"1.jpg", "3.jpg"}


def test_one_death_alone_may_be_chance(order):
    parcel = parcel_of(order)
    Journal(order.target).note(Progress(parcel, foreign=[], attempts=2, trying="2.jpg"))
    assert [record.status for record in Worker(order).deblur(parcel)] == ["done"] * 3


def test_a_file_that_no_batch_has_made_is_left_alone_unless_it_may_be_replaced(order):
    order.target.write("2.jpg", b"somebody's")
    parcel = parcel_of(order)
    first, second, _ = Worker(order).deblur(parcel)
    assert (first.status, second.status) == ("done", "skipped")
    assert "2.jpg exists" in second.reason
    assert written(order)["2.jpg"] == b"somebody's"
    Journal(order.target).end()
    (_, second, _) = Worker(order._replace(overwrite=True)).deblur(parcel)
    assert second.status == "done"
    assert written(order)["2.jpg"] != b"somebody's"


def test_a_photograph_that_went_away_fails_with_its_name(order, tmp_path):
    parcel = parcel_of(order)
    (tmp_path / "in/2.jpg").unlink()
    _, second, third = Worker(order).deblur(parcel)
    assert (second.status, third.status) == ("failed", "done")
    assert "cannot be read (No such file or directory)" in second.reason


def test_a_node_with_another_version_is_refused(order):
    with pytest.raises(EngineError, match=r"is version .* on this node, 0\.0\.1 where"):
        Worker(order._replace(version="0.0.1"))


def test_a_checkpoint_travels_without_pytorch_being_needed_to_read_it(order, tmp_path):
    from ifan.models import save_released_checkpoint
    from ifan.networks import IFAN

    checkpoint = tmp_path / "small.pytorch"
    save_released_checkpoint(checkpoint, IFAN(width=4, iterations=2))
    shipped = order_for(Deblurrer(checkpoint), order.source, order.target, settings=AUTO)
    assert set(shipped.files) == {"model.safetensors", "model.onnx"}
    records = Worker(shipped).deblur(parcel_of(order))
    assert {record.status for record in records} == {"done"}
    assert records[0].model.startswith("small@")
    expected = Deblurrer(checkpoint).deblur_file(tmp_path / "in/1.jpg", tmp_path / "1.jpg")
    assert written(order)["1.jpg"] == expected.read_bytes()
