from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifan.cluster.listing import (
    PARCEL_PICTURES,
    PARCEL_PIXELS,
    Parcel,
    Picture,
    growth,
    parcels,
    pictures,
)
from ifan.cluster.storage import Disk, open_storage
from ifan.errors import IfanError

NAMES = st.text(max_size=8).map(lambda stem: f"IMG{stem}_1.jpg")
PICTURES = st.builds(
    Picture, NAMES, NAMES, size=st.integers(0, 30_000_000), stamp=st.text(max_size=4)
)


@given(st.lists(PICTURES))
def test_each_photograph_is_in_one_parcel_and_in_order(found):
    dealt = list(parcels(found))
    assert [picture for parcel in dealt for picture in parcel.pictures] == found
    assert all(parcel.pictures for parcel in dealt)


@given(st.lists(PICTURES))
def test_parcels_are_of_bounded_size_unless_one_photograph_is_larger(found):
    for number, parcel in enumerate(parcels(found)):
        assert len(parcel.pictures) <= growth(number) * PARCEL_PICTURES
        assert parcel.pixels <= growth(number) * PARCEL_PIXELS or len(parcel.pictures) == 1


@given(st.lists(PICTURES))
def test_two_neighbouring_parcels_could_not_have_been_one(found):
    dealt = list(parcels(found))
    for number, (one, next_) in enumerate(itertools.pairwise(dealt)):
        is_full = len(one.pictures) == growth(number) * PARCEL_PICTURES
        assert is_full or one.pixels + next_.pictures[0].pixels > growth(number) * PARCEL_PIXELS


def test_parcels_of_a_large_archive_grow_up_to_a_limit():
    sizes = [growth(number) for number in range(0, 100_000, 500)]
    assert sizes[:3] == [1, 1, 2]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 16


@given(st.lists(PICTURES, min_size=1))
def test_a_parcel_survives_being_text_and_keeps_its_name(found):
    parcel = Parcel(tuple(found))
    again = Parcel.from_json(parcel.to_json())
    assert again == parcel
    assert again.name == parcel.name


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"x")
    return path


def targets(source: Path, target: Path) -> dict[str, str]:
    found = pictures(open_storage(str(source)), open_storage(str(target)))
    return {picture.source: picture.target for picture in found}


def test_results_are_called_as_photographs_unless_their_format_is_not_written(tmp_path):
    folder_of(tmp_path, "a/1.JPG", "a/1.heic", "2.NEF", "3.jxl", "4.tif", "no.txt")
    assert targets(tmp_path, tmp_path.parent / "out") == {
        "a/1.JPG": "a/1.JPG",
        "a/1.heic": "a/1-heic.jpg",
        "2.NEF": "2-NEF.tif",
        "3.jxl": "3-jxl.png",
        "4.tif": "4.tif",
    }


def test_no_two_results_have_one_name(tmp_path):
    folder_of(tmp_path, "1.heic", "1-heic.jpg", "1-heic-2.jpg", "1.HEIC")
    found = targets(tmp_path, tmp_path.parent / "out")
    assert found["1.heic"] == "1-heic-3.jpg"
    assert len(set(found.values())) == 4


def test_hidden_files_earlier_results_and_the_folder_of_results_are_left_out(tmp_path):
    folder_of(
        tmp_path, "1.jpg", ".2.jpg", ".x/3.jpg", "1.deblurred.jpg", "out/1.jpg", "outer/4.jpg"
    )
    assert set(targets(tmp_path, tmp_path / "out")) == {"1.jpg", "outer/4.jpg"}


def test_a_folder_that_is_missing_holds_nothing(tmp_path):
    assert targets(tmp_path / "missing", tmp_path / "out") == {}


def test_a_folder_that_may_not_be_read_is_an_error_not_an_empty_one(tmp_path, monkeypatch):
    def refuse(folder: str) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    folder_of(tmp_path, "a/1.jpg")
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(IfanError, match=r"cannot be listed \(Permission denied\); check"):
        targets(tmp_path, tmp_path / "out")


def test_a_folder_that_may_not_be_entered_ends_nothing(tmp_path, monkeypatch):
    folder_of(tmp_path, "a/1.HEIC")
    monkeypatch.setattr(Disk, "entry", refuse_entry)
    assert targets(tmp_path, tmp_path / "out") == {"a/1.HEIC": "a/1-HEIC.jpg"}


def refuse_entry(disk: Disk, path: str) -> None:
    raise PermissionError(13, "Permission denied", path)


def test_odd_files_cost_the_others_nothing(tmp_path):
    folder_of(tmp_path, "1.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    folder_of(tmp_path, f"{'n' * 250}.heic")
    found = targets(tmp_path, tmp_path.parent / "out")
    assert set(found) == {"1.jpg", f"{'n' * 250}.heic"}


@pytest.mark.parametrize("path", ["/a.jpg", "//a.jpg", "../a.jpg", "b/../../a.jpg"])
def test_nothing_is_written_outside_the_folder_whatever_a_store_calls_it(tmp_path, path):
    open_storage(str(tmp_path / "out")).write(path, b"content")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / "out/a.jpg"]
