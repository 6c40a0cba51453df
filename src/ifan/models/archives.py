"""One file out of a zip archive that may be anything, even hostile."""

from __future__ import annotations

import lzma
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifan.errors import DownloadError
from ifan.models.download import cannot_read, cannot_write, is_web_page

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
