"""Downloads that continue where they stopped, and one file out of an archive.

`pooch` decides whether a file is needed, checks it and puts it in place. It cannot continue a
broken download, so the transfer itself is ours: `ResumingDownloader`.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import re
import secrets
import stat
import struct
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import IO, cast

import pooch
import requests
import urllib3.exceptions

from ifan.errors import DownloadError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Progress = Callable[[int, int | None], object]
"""Called as `progress(received_bytes, total_bytes)`; the total is None where it is unknown."""

CHUNK_BYTES = 1 << 16
SHOWN_MEMBERS = 10
MEMBERS_LIMIT = 100_000
TAR_HEADER_LIMIT_BYTES = 1 << 22

_downloading: ContextVar[bool] = ContextVar("downloading", default=False)
# pooch prints "Downloading data from ..." on stderr. Ours report through a callback and errors, so
# they are silenced; those of other users of pooch in the same process are not.
pooch.get_logger().addFilter(lambda _: not _downloading.get())


# --- download ----------------------------------------------------------------------------------


def download(
    address: str,
    folder: Path,
    *,
    name: str,
    sha256: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a file, unless it is there already.

    What a broken download leaves is `<name>.part`; the next call continues it. Several processes
    may ask for the same file at once: one downloads, the others wait for it.

    Args:
        address: http(s) address of the file.
        folder: where it goes; created if need be.
        name: file name in that folder.
        sha256: its known SHA-256 in hexadecimal digits; None takes whatever the server sends, and
            a file of that name for the right one.
        progress: called after every piece that arrives.

    Returns:
        `folder / name`.

    Raises:
        DownloadError: the file cannot be had, is not what was asked for, or cannot be written.
    """
    _refuse_unusable(address, name)
    target = folder / name
    try:
        if target.is_file() and (sha256 is None or sha256_of(target) == sha256.lower()):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        downloader = ResumingDownloader(folder / f"{name}.part", sha256, progress)
        with _one_at_a_time(folder / f"{name}.lock"), _silent_pooch():
            pooch.retrieve(address, sha256, fname=name, path=folder, downloader=downloader)
    except OSError as error:
        raise _cannot_write(target, error) from error
    return target


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits.

    Raises:
        DownloadError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _cannot_read(path, error) from error


def _refuse_unusable(address: str, name: str) -> None:
    """Refuse what is no http(s) address, and names that would leave the folder."""
    if not re.match(r"https?://[^/\s]", address, re.IGNORECASE):
        raise DownloadError(address, "is not an http or https address", "check how it is written")
    if name in ("", ".", "..") or re.search(r"[/\\\0]", name):
        raise DownloadError(address, f"cannot be saved as {name!r}", "use a plain file name")


@contextmanager
def _silent_pooch() -> Iterator[None]:
    """Keep pooch's log messages of this thread off stderr."""
    token = _downloading.set(True)
    try:
        yield
    finally:
        _downloading.reset(token)


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until nobody else holds this lock file, and hold it.

    The operating system lets go of it when the process ends, however it ends. The file is removed
    only after success: whoever waits for it, or comes later, then finds the download done.
    """
    with lock.open("ab") as file:
        _wait_for_lock(file)
        yield
    with suppress(PermissionError):  # Windows keeps what others have open; the last removes it.
        lock.unlink(missing_ok=True)


def _wait_for_lock(file: IO[bytes]) -> None:
    """Lock a file for this process; it is unlocked when it is closed."""
    if sys.platform == "win32":
        while True:
            with suppress(OSError):  # it gives up after ten seconds; we do not
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                break
    else:
        with suppress(OSError):  # a network file system without locks: go on unprotected
            fcntl.flock(file, fcntl.LOCK_EX)


# --- transfer ----------------------------------------------------------------------------------


class _InterruptedError(Exception):
    """The server may well answer better in a moment; the text is the reason for the user."""


RETRIED_ERRORS = (
    _InterruptedError,
    requests.ConnectionError,
    requests.Timeout,
    urllib3.exceptions.HTTPError,
)
RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}

NETWORK_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "the server's name cannot be resolved (no network?)"),
    (urllib3.exceptions.NewConnectionError, "the server cannot be reached"),
    (requests.exceptions.SSLError, "no secure connection to the server can be made"),
    (requests.exceptions.ProxyError, "the proxy does not let it through"),
    (requests.Timeout, "the server does not answer in time"),
    (urllib3.exceptions.TimeoutError, "the server does not answer in time"),
    (requests.exceptions.ConnectionError, "the connection broke off"),
    (urllib3.exceptions.HTTPError, "the connection broke off"),
)
"""What to tell the user when one of these is among an error and its causes; first match wins."""


@dataclass(frozen=True)
class _Part:
    """What earlier requests left.

    Attributes:
        address: where it came from.
        validator: strong ETag or date that the server gave to this version of the file. None:
            it gave none, so nothing can be continued.
        total: size of the whole file in bytes. None: the server did not say.
        size: how many of them are there.
    """

    address: str
    validator: str | None
    total: int | None
    size: int

    @property
    def is_complete(self) -> bool:
        """Nothing is missing: it was stopped between the last byte and the renaming."""
        return self.size > 0 and self.size == self.total

    def request_headers(self) -> dict[str, str]:
        """Ask for the rest, as long as the file has not changed; else for the whole file."""
        # Sizes and ranges count the bytes of the file itself, so it must not be compressed.
        headers = {"Accept-Encoding": "identity"}
        if self.size and self.validator:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return headers

    def total_of_rest(self, response: requests.Response) -> int | None:
        """Total size in bytes if the answer is the rest of this very file; None if it is not."""
        content_range = re.fullmatch(
            rf"bytes {self.size}-\d+/(\d+)", response.headers.get("Content-Range", "").strip()
        )
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or not content_range:
            return None
        # Some servers ignore If-Range and send the rest of whatever they have now.
        same_file = _validator(response.headers) in (None, self.validator)
        total = int(content_range[1])
        return total if same_file and self.total in (None, total) else None


@dataclass(frozen=True)
class ResumingDownloader:
    """A downloader for `pooch` that continues what an earlier call began.

    Attributes:
        part: file that grows; its description (address, version, total size) is kept beside it
            with `.json` added to the name.
        sha256: known SHA-256 in hexadecimal digits; None if unknown.
        progress: called after every piece that arrives.
        attempts: requests a call makes at most, when connections break.
        pause_s: seconds before the second attempt; doubled before each further one.
        connect_timeout_s: seconds that a server may take to accept a connection.
        read_timeout_s: seconds that it may be silent.
    """

    part: Path
    sha256: str | None = None
    progress: Progress | None = None
    attempts: int = 4
    pause_s: float = 1.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0

    def __call__(self, url: str, output_file: str, pooch_instance: object) -> None:  # noqa: ARG002
        """Download `url` to `output_file`; the arguments are those that pooch passes.

        Raises:
            DownloadError: the network, the server or the checksum.
            OSError: the file cannot be written.
        """
        try:
            self._fetch_patiently(url)
        except requests.RequestException as error:
            reason = f"cannot be downloaded: {_one_line(error)}"
            raise DownloadError(url, reason, _by_hand(url)) from error
        self.part.replace(output_file)
        self._note.unlink(missing_ok=True)
        if self.sha256 is not None:
            self._verify(url, Path(output_file), self.sha256.lower())

    @property
    def _note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _fetch_patiently(self, url: str) -> None:
        """Make requests until the part file is complete or the attempts are used up."""
        for attempt in range(1, self.attempts + 1):
            try:
                self._fetch(url)
                return
            except RETRIED_ERRORS as error:
                if attempt == self.attempts:
                    remedy = f"run it again to continue where it stopped, or {_by_hand(url)}"
                    raise DownloadError(url, _network_reason(error), remedy) from error
                time.sleep(self.pause_s * 2 ** (attempt - 1))

    def _fetch(self, url: str) -> None:
        """Get the rest of the file where the server allows it, else the whole."""
        kept = self._kept(url)
        if kept.is_complete:
            return
        timeouts = (self.connect_timeout_s, self.read_timeout_s)
        headers = kept.request_headers()
        with requests.get(url, headers=headers, stream=True, timeout=timeouts) as response:
            total = kept.total_of_rest(response)
            if kept.size and total is not None:
                self._receive(_pieces(response), kept.size, total)
                return
            if not kept.size or response.status_code not in (206, 416):
                self._receive_from_start(response, url)
                return
        # The answer does not continue what we have: it is too long, or another file by now.
        self._discard()
        self._fetch(url)

    def _kept(self, url: str) -> _Part:
        """What there is to continue; of size 0 if there is nothing, or nothing of use."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            part = _Part(
                note["address"], note["validator"], note["total"], self.part.stat().st_size
            )
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return _Part(url, None, None, 0)
        of_use = part.address == url and (part.validator or part.is_complete)
        return part if of_use else _Part(url, None, None, 0)

    def _discard(self) -> None:
        self._note.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _receive_from_start(self, response: requests.Response, url: str) -> None:
        """Write the whole file, and first of all beside it which version it is."""
        _refuse_status(response, url)
        pieces = _pieces(response)
        head = next(pieces, b"")
        if _is_web_page(head) or response.headers.get("Content-Type", "").startswith("text/html"):
            reason = "the server sent a web page instead of the file"
            raise DownloadError(url, reason, _by_hand(url))
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        note = {"address": url, "validator": _validator(response.headers), "total": total}
        self._discard()
        self.part.touch()
        self._note.write_text(json.dumps(note), encoding="utf-8")
        self._receive(chain([head], pieces), 0, total)

    def _receive(self, pieces: Iterable[bytes], received: int, total: int | None) -> None:
        """Append what arrives; the counts are bytes of the whole file."""
        with self.part.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                received += len(piece)
                if self.progress:
                    self.progress(received, total)
        if total is not None and received != total:
            raise _InterruptedError(f"the server sent {received} of {total} bytes")

    def _verify(self, url: str, path: Path, expected: str) -> None:
        got = sha256_of(path)
        if got != expected:
            path.unlink()
            raise DownloadError(
                url,
                f"is not the file that was expected: its SHA-256 is {got}, not {expected}",
                "check whether its publisher has announced a new version",
            )


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The bytes as they are sent, so that their count agrees with lengths and ranges."""
    yield from response.raw.stream(CHUNK_BYTES, decode_content=False)


def _validator(headers: Mapping[str, str]) -> str | None:
    """What names this version of a file in If-Range: a strong ETag, or the date of its change."""
    etag = headers.get("ETag", "")
    # A weak ETag promises the same meaning, not the same bytes.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _refuse_status(response: requests.Response, url: str) -> None:
    """Raise unless the answer is 200."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    reason = f"the server answers {status} ({response.reason})"
    if status in RETRIED_STATUSES:
        raise _InterruptedError(reason)
    raise DownloadError(url, reason, _by_hand(url))


def _is_web_page(head: bytes) -> bool:
    """Whether this is the beginning of an HTML page; file hosts send them with status 200."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--"))


def _network_reason(error: BaseException) -> str:
    """Why there is no answer, in words for somebody who does not know HTTP."""
    causes = list(_causes(error))
    if isinstance(error, _InterruptedError):
        return str(error)
    return next(
        reason
        for kind, reason in NETWORK_REASONS
        if any(isinstance(cause, kind) for cause in causes)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _by_hand(url: str) -> str:
    """The remedy where the program cannot download."""
    return f"download it by hand from {url} and run `ifan models import FILE`"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# --- archives ----------------------------------------------------------------------------------

DECOMPRESSORS: dict[bytes, Callable[[Path], io.BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""How a compressed tar begins, and what reads it."""

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
BROKEN_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class _Member:
    """A file in an archive.

    Attributes:
        path: where it says it belongs; never used to write.
        refusal: why it must not be unpacked; None if it may be.
        open: gives its content.
    """

    path: str
    refusal: str | None
    open: Callable[[], IO[bytes]]

    @property
    def base_name(self) -> str:
        return re.split(r"[/\\]", self.path)[-1]

    @property
    def shown(self) -> str:
        """Its path for one line of a message."""
        text = "".join(c if c.isprintable() else "?" for c in self.path)
        return text if len(text) <= 60 else f"...{text[-57:]}"


def extract_member(archive: Path, member: str, target: Path, *, limit_bytes: int) -> None:
    """Unpack one file of a zip or tar archive that may be anything, even hostile.

    Args:
        archive: a zip, or a tar, plain or compressed with gzip, bzip2 or xz.
        member: base name of the wanted file; it may be in any folder of the archive.
        target: where it is written, as a whole or not at all; what is there is replaced. The
            archive has no say in it.
        limit_bytes: the most that the file may unpack to, counted while it is unpacked.

    Raises:
        DownloadError: the archive is damaged or none, does not hold the file, holds it encrypted,
            as a link, too large, or in several versions, or the target cannot be written.
    """
    head = _head(archive)
    try:
        with _open_archive(archive, head) as members:
            wanted = _wanted(archive, members, member)
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(archive, wanted, target, limit_bytes)
    except BROKEN_ARCHIVE_ERRORS as error:
        raise _bad_archive(archive, _fault(head)) from error
    except OSError as error:
        # Decompressors raise it too, for what is no failure of the operating system.
        if error.errno is None:
            raise _bad_archive(archive, _fault(head)) from error
        raise _cannot_write(target, error) from error


def _head(archive: Path) -> bytes:
    try:
        with archive.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise _cannot_read(archive, error) from error


@contextmanager
def _open_archive(archive: Path, head: bytes) -> Iterator[list[_Member]]:
    """The files in an archive, readable while the context lasts."""
    if head.startswith(ZIP_STARTS):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_members(zipped)
        return
    with _BoundedReads(_plain_tar(archive, head)) as file, tarfile.open(fileobj=file) as tar:
        yield _tar_members(tar)


def _plain_tar(archive: Path, head: bytes) -> io.BufferedIOBase:
    """The archive as it was before it was compressed, if it was."""
    opener = next((o for start, o in DECOMPRESSORS.items() if head.startswith(start)), None)
    return opener(archive) if opener else archive.open("rb")


class _BoundedReads(io.BufferedReader):
    """A file that refuses to be read in huge pieces.

    A few compressed kilobytes can hold a tar header of gigabytes, which `tarfile` would read into
    memory at once.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as usual, up to 4 MiB."""
        if size is None or not 0 <= size <= TAR_HEADER_LIMIT_BYTES:
            raise tarfile.ReadError("a header is too large")
        return super().read(size)


def _zip_members(zipped: zipfile.ZipFile) -> list[_Member]:
    return [
        _Member(info.filename, _zip_refusal(info), partial(zipped.open, info))
        for info in zipped.infolist()
        if not info.is_dir()
    ]


def _zip_refusal(info: zipfile.ZipInfo) -> str | None:
    """Why this is not a file to unpack; None if it is."""
    if info.flag_bits & 1:
        return "is encrypted"
    # The upper half holds the Unix mode, or nothing if it was made elsewhere.
    kind = stat.S_IFMT(info.external_attr >> 16)
    return None if kind in (0, stat.S_IFREG) else "is a link or a device, not a file"


def _tar_members(tar: tarfile.TarFile) -> list[_Member]:
    members = []
    for number, info in enumerate(tar):
        if number == MEMBERS_LIMIT:
            raise tarfile.ReadError("too many members")
        if not info.isdir():
            refusal = None if info.isreg() else "is a link or a device, not a file"
            members.append(_Member(info.name, refusal, partial(_open_in_tar, tar, info)))
    return members


def _open_in_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    # None is for links and devices, which are refused before.
    return cast("IO[bytes]", tar.extractfile(info))


def _wanted(archive: Path, members: list[_Member], base_name: str) -> list[_Member]:
    """The members of that base name, at least one, all fit to be unpacked."""
    wanted = [m for m in members if m.base_name == base_name]
    if not wanted:
        reason = f"does not hold {base_name}, but {_listed(members)}"
        raise DownloadError(archive, reason, "check whether this is the right archive")
    for member in wanted:
        if member.refusal:
            raise _bad_archive(archive, f"its member {member.shown} {member.refusal}")
    return wanted


def _listed(members: list[_Member]) -> str:
    """The first few members, and how many more there are."""
    shown = ", ".join(m.shown for m in members[:SHOWN_MEMBERS]) or "nothing"
    more = len(members) - SHOWN_MEMBERS
    return f"{shown} and {more} more" if more > 0 else shown


def _write(archive: Path, wanted: list[_Member], target: Path, limit_bytes: int) -> None:
    """Write the member to the target; several of the same name must be the same file."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            content = _unpack(archive, wanted[0], file.write, limit_bytes)
        for twin in wanted[1:]:
            if _unpack(archive, twin, len, limit_bytes) != content:
                paths = f"{wanted[0].shown} and {twin.shown}"
                raise _bad_archive(archive, f"holds several versions of the file: {paths}")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _unpack(
    archive: Path, member: _Member, write: Callable[[bytes], object], limit_bytes: int
) -> bytes:
    """Hand the content of a member to `write`, piece by piece; returns its SHA-256 digest."""
    digest = hashlib.sha256()
    size = 0
    with member.open() as content:
        # Counted here because the size in the archive's header may be a lie.
        while piece := content.read(CHUNK_BYTES):
            size += len(piece)
            if size > limit_bytes:
                reason = f"its member {member.shown} unpacks to more than {limit_bytes} bytes"
                raise _bad_archive(archive, reason)
            digest.update(piece)
            write(piece)
    return digest.digest()


def _fault(head: bytes) -> str:
    """What is wrong with a file that cannot be read as an archive, judged by its beginning."""
    if _is_web_page(head):
        return "is a web page, not an archive"
    if head.startswith((*ZIP_STARTS, *DECOMPRESSORS)) or head[257:262] == b"ustar":
        return "is damaged or not complete"
    return "is neither a zip nor a tar archive"


def _bad_archive(archive: Path, reason: str) -> DownloadError:
    return DownloadError(archive, reason, "get it again from its publisher")


# --- files -------------------------------------------------------------------------------------


def _cannot_read(path: Path, error: OSError) -> DownloadError:
    return DownloadError(path, f"cannot be read: {_cause(error)}", "check the path and its rights")


def _cannot_write(path: Path, error: OSError) -> DownloadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = f"free some space for {path.parent} and run it again"
        return DownloadError(path, "the disk is full", remedy)
    reason = f"cannot be written: {_cause(error)}"
    return DownloadError(path, reason, f"check the rights of {path.parent}, or use another folder")


def _cause(error: OSError) -> str:
    return error.strerror or _one_line(error)
