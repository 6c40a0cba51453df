from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from ifan.errors import DownloadError
from ifan.fetching.archives import unpack


def make_zip(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def anywhere(path: PurePosixPath) -> PurePosixPath:
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_keep_their_folders_and_say_how_far_it_is(tmp_path: Path) -> None:
    contents = {"a/1.png": b"one", "a/b/2.png": b"two2"}
    archive = make_zip(tmp_path / "x.zip", contents | {"a/": b""})
    assert list(unpack(archive, tmp_path / "out", anywhere)) == [(3, 7), (7, 7)]
    assert files_in(tmp_path / "out") == contents


def test_what_has_no_place_is_left_out(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a/1.png": b"one", "Thumbs.db": b"no"})
    place = {PurePosixPath("a/1.png"): PurePosixPath("here.png")}.get
    list(unpack(archive, tmp_path / "out", place))
    assert files_in(tmp_path / "out") == {"here.png": b"one"}


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "a:evil"]
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "x.zip", {"good": b"1", name: b"2"})
    with pytest.raises(DownloadError, match="leads out of the folder"):
        list(unpack(archive, tmp_path / "deep" / "out", anywhere))
    # It is found out before anything is written.
    assert files_in(tmp_path) == {"x.zip": archive.read_bytes()}


def test_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a/link")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(DownloadError, match="is a link or a device"):
        list(unpack(tmp_path / "x.zip", tmp_path / "out", anywhere))


def test_two_files_for_one_place_are_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": b"1", "b": b"2"})
    with pytest.raises(DownloadError, match="several files for same"):
        list(unpack(archive, tmp_path / "out", lambda _: PurePosixPath("same")))


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    contents = {"1": b"one", "2": b"two", "3": b"three"}
    archive = make_zip(tmp_path / "x.zip", contents)
    unpacking = unpack(archive, tmp_path / "out", anywhere)
    next(unpacking)
    unpacking.close()
    first = tmp_path / "out" / "1"
    (tmp_path / "out" / "2").write_bytes(b"t")
    before = first.stat().st_mtime_ns
    list(unpack(archive, tmp_path / "out", anywhere))
    assert files_in(tmp_path / "out") == contents
    assert first.stat().st_mtime_ns == before


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"1": bytes(range(256)) * 50})
    damaged = bytearray(archive.read_bytes())
    damaged[60] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(DownloadError, match=r"x\.zip: is damaged or not complete"):
        list(unpack(archive, tmp_path / "out", anywhere))
    assert files_in(tmp_path / "out") == {}


def test_no_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "x.zip", {"1": b"one"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2))
    with pytest.raises(DownloadError, match=r"0\.0 GB free; free some space"):
        list(unpack(archive, tmp_path / "out", anywhere))
    assert files_in(tmp_path / "out") == {}
