"""A worker without Ray: what it does with a parcel that others have begun with."""

from __future__ import annotations

import shutil
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


def test_settings_are_those_of_a_deblurrer(order):
    thorough = order._replace(settings=AUTO | {"passes": 2, "working_size": 40})
    Worker(thorough).deblur(parcel_of(thorough))
    folder = Path(order.target.address)
    Deblurrer(passes=2, working_size=40).deblur_file(folder / "../in/1.jpg", folder / "own.jpg")
    assert (folder / "1.jpg").read_bytes() == (folder / "own.jpg").read_bytes()


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


@pytest.mark.parametrize("linked", ["2.jpg", "folder"])
def test_no_link_in_the_target_leads_to_a_photograph_being_replaced(order, tmp_path, linked):
    (tmp_path / "in/folder").mkdir()
    shutil.copy(tmp_path / "in/2.jpg", tmp_path / "in/folder")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / linked).symlink_to(tmp_path / "in" / linked)
    before = {entry.path: order.source.read(entry.path) for entry in order.source.entries()}
    parcel = parcel_of(order)
    records = Worker(order._replace(overwrite=True)).deblur(parcel)
    (failed,) = (record for record in records if record.status == "failed")
    assert failed.source.startswith(linked)
    assert "leads to a photograph by a link" in failed.reason
    assert failed.target_bytes is None, "it is no result of ours"
    after = {entry.path: order.source.read(entry.path) for entry in order.source.entries()}
    assert after == before


def test_links_to_elsewhere_are_followed_and_a_target_in_the_source_is_one(order, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "in/sharp").mkdir()
    (tmp_path / "in/folder").mkdir()
    (tmp_path / "in/2.jpg").rename(tmp_path / "in/folder/2.jpg")
    (tmp_path / "in/sharp/folder").symlink_to(tmp_path / "disk")
    inside = order._replace(target=open_storage(str(tmp_path / "in/sharp")), overwrite=True)
    records = Worker(inside).deblur(parcel_of(inside))
    assert [record.status for record in records] == ["done"] * 3
    assert (tmp_path / "disk/2.jpg").exists()


def test_a_large_file_that_is_no_picture_is_not_read_whole(order, tmp_path):
    with (tmp_path / "in/2.jpg").open("r+b") as file:
        file.write(b"disk")
        file.truncate(1 << 40)
    _, second, third = Worker(order).deblur(parcel_of(order))
    assert (second.status, third.status) == ("failed", "done")
    assert second.reason == "is not a picture"


def test_what_has_no_room_is_refused_before_the_work_with_a_remedy_that_there_is(
    order, tmp_path, monkeypatch
):
    clear = Image.new("RGBA", (80, 60), (90, 90, 90, 128))
    clear.save(tmp_path / "in/1.jpg", "PNG")
    pages = [Image.new("RGB", (80, 60), grey) for grey in ("black", "white")]
    pages[0].save(tmp_path / "in/2.jpg", "TIFF", save_all=True, append_images=pages[1:])
    (tmp_path / "in/3.jpg").unlink()
    monkeypatch.setattr(Deblurrer, "infer", None)
    first, second = Worker(order).deblur(parcel_of(order))
    assert (first.reason, first.remedy, first.width) == (
        "JPEG has no transparency",
        "deblur it by ifan deblur --format png",
        80,
    )
    assert (second.reason, second.remedy) == (
        "has 2 pages",
        "choose one by ifan deblur --page 1 to 2, or split it into a file a page",
    )


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
