"""What zip archives hold, which may be anything, even hostile."""

from __future__ import annotations

import lzma
import re
import secrets
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ifan.errors import DownloadError
from ifan.fetching.download import cannot_read, cannot_write, is_web_page

_PIECE_BYTES = 1 << 20
_SHOWN_MEMBERS = 10
_SHOWN_CHARACTERS = 60

# How a zip archive begins, and an empty one.
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")

# What `zipfile` raises for bytes that are not as they should be.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
)


class ArchiveError(DownloadError):
    """An archive that is damaged or does not hold what it should: another one may."""


def extract_member(archive: Path, member: str, target: Path, *, limit_bytes: int) -> None:
    """Unpack one file of a zip archive that may be anything, even hostile.

    Args:
        archive: the zip archive.
        member: base name of the wanted file; it may be in any folder of the archive.
        target: where it is written, as a whole or not at all; what is there is replaced. The
            archive has no say in it.
        limit_bytes: the most that the file may unpack to.

    Raises:
        ArchiveError: the archive is damaged or none, does not hold the file, or holds it
            encrypted, as a link, too large, or in several versions.
        DownloadError: the archive cannot be read, or the target cannot be written.
    """
    _refuse_no_zip(archive)
    with _damages_told(archive):
        zipped = zipfile.ZipFile(archive)
    with zipped:
        wanted = _wanted(archive, zipped.infolist(), member)
        _refuse_unfit(archive, wanted, limit_bytes)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, _unpacked(archive, zipped, wanted))
        except OSError as error:
            raise cannot_write(target, error) from error


def unpack(
    archive: Path,
    folder: Path,
    place: Callable[[PurePosixPath], PurePosixPath | None],
) -> Generator[tuple[int, int], None, None]:
    """Unpack the files of a zip archive that may be anything, even hostile.

    Each file is written whole or not at all; those that are there already, of the right size, stay.
    So a call goes on where an earlier one was stopped.

    Args:
        archive: the zip archive.
        folder: nothing is written elsewhere; it is made if need be.
        place: says for a file's path in the archive where it goes below the folder, or None to
            leave it out.

    Yields:
        After each file, the bytes that are unpacked so far and those in all.

    Raises:
        ArchiveError: the archive is damaged or none, or holds something encrypted, a link, a
            path that leads out of the folder, or two files for one place.
        DownloadError: the archive cannot be read, or the folder cannot be written or has no room.
    """
    _refuse_no_zip(archive)
    with _damages_told(archive):
        zipped = zipfile.ZipFile(archive)
    with zipped:
        files = _placed(archive, zipped, place)
        total = sum(member.file_size for member in files.values())
        done = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _require_room(archive, folder, files)
            for path, member in files.items():
                target = folder / path
                if not _is_there(target, member):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _write(target, _unpacked(archive, zipped, member))
                done += member.file_size
                yield done, total
        except OSError as error:
            raise cannot_write(folder, error) from error


def _placed(
    archive: Path, zipped: zipfile.ZipFile, place: Callable[[PurePosixPath], PurePosixPath | None]
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return what is to be unpacked, by where it goes."""
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in zipped.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        target = None if member.is_dir() else place(path)
        if target is None:
            continue
        # A colon would name a drive, or a stream of a file, on Windows.
        if path.is_absolute() or ".." in path.parts or ":" in str(path):
            reason = f"its member {_shown(member)} leads out of the folder"
            raise _bad_archive(archive, reason)
        if target in files:
            raise _bad_archive(archive, f"holds several files for {target}")
        _refuse_unfit(archive, member, member.file_size)
        files[target] = member
    return files


def _is_there(target: Path, member: zipfile.ZipInfo) -> bool:
    return target.is_file() and target.stat().st_size == member.file_size


def _require_room(
    archive: Path, folder: Path, files: Mapping[PurePosixPath, zipfile.ZipInfo]
) -> None:
    missing = (m for path, m in files.items() if not _is_there(folder / path, m))
    needed, free = sum(m.file_size for m in missing), shutil.disk_usage(folder).free
    if needed > free:
        reason = f"unpacks to {needed / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB free"
        raise DownloadError(archive, reason, "free some space, or choose another folder")


def _refuse_no_zip(archive: Path) -> None:
    try:
        with archive.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise cannot_read(archive, error) from error
    if is_web_page(head):
        raise _bad_archive(archive, "is a web page, not an archive")
    if not head.startswith(_ZIP_STARTS):
        raise _bad_archive(archive, "is not a zip archive")


@contextmanager
def _damages_told(archive: Path) -> Iterator[None]:
    """Turn what goes wrong while the archive is read into one error for the user."""
    try:
        yield
    except _DAMAGES as error:
        raise _bad_archive(archive, "is damaged or not complete") from error


def _wanted(archive: Path, members: list[zipfile.ZipInfo], base_name: str) -> zipfile.ZipInfo:
    """Return the member of that base name; several must be the same file."""
    wanted = [m for m in members if re.split(r"[/\\]", m.filename)[-1] == base_name]
    if not wanted:
        reason = f"does not hold {base_name}, but {_listed(members)}"
        raise ArchiveError(archive, reason, "check whether this is the right archive")
    first, *twins = wanted
    for twin in twins:
        if (twin.CRC, twin.file_size) != (first.CRC, first.file_size):
            paths = f"{_shown(first)} and {_shown(twin)}"
            raise _bad_archive(archive, f"holds several versions of the file: {paths}")
    return first


def _refuse_unfit(archive: Path, member: zipfile.ZipInfo, limit_bytes: int) -> None:
    # The upper half holds the Unix mode, or nothing if it was made elsewhere.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & 1:
        reason = "is encrypted"
    elif kind not in (0, stat.S_IFREG):
        reason = "is a link or a device, not a file"
    # The size may be a lie, but `zipfile` unpacks no more than that.
    elif member.file_size > limit_bytes:
        reason = f"unpacks to more than {limit_bytes} bytes"
    else:
        return
    raise _bad_archive(archive, f"its member {_shown(member)} {reason}")


def _unpacked(archive: Path, zipped: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of a member piece by piece; its checksum is compared after the last."""
    with _damages_told(archive), zipped.open(member) as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _write(target: Path, pieces: Iterator[bytes]) -> None:
    """Write a file whole or not at all, without holding it in memory."""
    temporary = target.with_name(f".ifan-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.writelines(pieces)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _listed(members: list[zipfile.ZipInfo]) -> str:
    """Name the first few files, and say how many more there are."""
    files = [_shown(m) for m in members if not m.filename.endswith("/")]
    shown = ", ".join(files[:_SHOWN_MEMBERS]) or "nothing"
    more = len(files) - _SHOWN_MEMBERS
    return f"{shown} and {more} more" if more > 0 else shown


def _shown(member: zipfile.ZipInfo) -> str:
    """Return the path of a member, or its end, for one line of a message."""
    path = member.filename
    return path if len(path) <= _SHOWN_CHARACTERS else f"...{path[3 - _SHOWN_CHARACTERS :]}"


def _bad_archive(archive: Path, reason: str) -> ArchiveError:
    return ArchiveError(archive, reason, "get it again from its publisher")
