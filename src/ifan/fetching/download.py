"""Downloads that continue where they stopped.

`pooch` decides whether a file is needed, checks it and puts it in place. It cannot continue a
broken download, so the transfer itself is ours: `ResumingDownloader`.
"""

from __future__ import annotations

import errno
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import IO

import pooch
import requests
import urllib3.exceptions

from ifan.errors import DownloadError
from ifan.files import sha256_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Progress = Callable[[int, int | None], object]
"""Called as `progress(received_bytes, total_bytes)`; the total is None where it is unknown."""

_PIECE_BYTES = 1 << 16

_downloading: ContextVar[bool] = ContextVar("downloading", default=False)
# pooch prints "Downloading data from ..." on stderr. Ours report through a callback and errors, so
# they are silenced; those of other users of pooch in the same process are not.
pooch.get_logger().addFilter(lambda _: not _downloading.get())


class _InterruptedError(Exception):
    """The server may well answer better in a moment; the text is the reason for the user."""


_RETRIED_ERRORS = (
    _InterruptedError,
    requests.ConnectionError,
    requests.Timeout,
    urllib3.exceptions.HTTPError,
)
_RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}

# What to tell the user when one of these is among an error and its causes; the first match wins.
_NETWORK_REASONS: Mapping[type[Exception], str] = {
    urllib3.exceptions.NameResolutionError: "the server's name cannot be resolved (no network?)",
    urllib3.exceptions.NewConnectionError: "the server cannot be reached",
    requests.exceptions.SSLError: "no secure connection to the server can be made",
    requests.exceptions.ProxyError: "the proxy does not let it through",
    requests.Timeout: "the server does not answer in time",
    urllib3.exceptions.TimeoutError: "the server does not answer in time",
}


def download(
    address: str,
    folder: Path,
    *,
    name: str,
    sha256: str | None = None,
    progress: Progress | None = None,
    then: str | None = None,
    member: str | None = None,
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
        then: the command that takes a file which was downloaded by hand, for messages.
        member: the file in the archive that this command takes, where it does not take archives.

    Returns:
        `folder / name`.

    Raises:
        DownloadError: the file cannot be had, is not what was asked for, or cannot be written.
    """
    _refuse_unusable(address, name)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        reason = f"cannot be checked against {sha256!r}, which is no SHA-256"
        raise DownloadError(address, reason, "give its 64 hexadecimal digits")
    target = folder / name
    downloader = ResumingDownloader(folder / f"{name}.part", sha256, progress, then, member)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder / f"{name}.lock"), _silent_pooch():
            pooch.retrieve(address, sha256, fname=name, path=folder, downloader=downloader)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


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
    validator: str | None = None
    total: int | None = None
    size: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing: it was stopped between the last byte and the renaming."""
        return self.size > 0 and self.size == self.total

    def request_headers(self) -> dict[str, str]:
        """Return what asks for the rest if the file has not changed, and else for all of it."""
        # Sizes and ranges count the bytes of the file itself, so it must not be compressed.
        headers = {"Accept-Encoding": "identity"}
        if self.size and self.validator:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return headers

    def total_of_rest(self, response: requests.Response) -> int | None:
        """Return the whole size in bytes if the answer is the rest of this very file, else None."""
        if not self.size or response.status_code != HTTPStatus.PARTIAL_CONTENT:
            return None
        said = response.headers.get("Content-Range", "").strip()
        content_range = re.fullmatch(rf"bytes {self.size}-\d+/(\d+)", said)
        if not content_range:
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
        then: the command that takes a file which was downloaded by hand, for messages.
        member: the file in the archive that this command takes, where it does not take archives.
        attempts: requests a call makes at most, when connections break.
        pause_s: seconds before the second attempt; doubled before each further one.
        timeouts_s: seconds that a server may take to accept a connection, and to say something.
    """

    part: Path
    sha256: str | None = None
    progress: Progress | None = None
    then: str | None = None
    member: str | None = None
    attempts: int = 4
    pause_s: float = 1.0
    timeouts_s: tuple[float, float] = (10.0, 60.0)

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
            raise DownloadError(url, reason, self._by_hand(url)) from error
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
            except _RETRIED_ERRORS as error:
                if attempt == self.attempts:
                    remedy = f"run it again to continue where it stopped, or {self._by_hand(url)}"
                    raise DownloadError(url, _network_reason(error), remedy) from error
                time.sleep(self.pause_s * 2 ** (attempt - 1))

    def _fetch(self, url: str) -> None:
        """Get the rest of the file where the server allows it, else the whole."""
        kept = self._kept(url)
        if kept.is_complete:
            return
        headers = kept.request_headers()
        with requests.get(url, headers=headers, stream=True, timeout=self.timeouts_s) as response:
            total = kept.total_of_rest(response)
            if total is not None:
                self._receive(_pieces(response), kept.size, total)
                return
            if not kept.size or response.status_code not in (206, 416):
                self._receive_from_start(response, url)
                return
        # The answer does not continue what we have: it is too long, or another file by now.
        self._discard()
        self._fetch(url)

    def _kept(self, url: str) -> _Part:
        """Return what there is to continue; of size 0 if there is nothing, or nothing of use."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            part = _Part(**note, size=self.part.stat().st_size)
        except (FileNotFoundError, ValueError, TypeError):
            return _Part(url)
        is_of_use = part.address == url and (part.validator or part.is_complete)
        return part if is_of_use else _Part(url)

    def _discard(self) -> None:
        self._note.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _receive_from_start(self, response: requests.Response, url: str) -> None:
        """Write the whole file, and first of all beside it which version it is."""
        self._refuse_status(response, url)
        pieces = _pieces(response)
        head = next(pieces, b"")
        if is_web_page(head) or response.headers.get("Content-Type", "").startswith("text/html"):
            reason = "the server sent a web page instead of the file"
            raise DownloadError(url, reason, self._by_hand(url))
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

    def _refuse_status(self, response: requests.Response, url: str) -> None:
        """Raise unless the answer is 200."""
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        reason = f"the server answers {status} ({response.reason})"
        if status in _RETRIED_STATUSES:
            raise _InterruptedError(reason)
        raise DownloadError(url, reason, self._by_hand(url))

    def _by_hand(self, url: str) -> str:
        """Return the remedy where the program cannot download."""
        way = f"download it by hand from {url}"
        if self.then and self.member:
            return f"{way}, unpack it, and run `{self.then} {self.member}` where {self.member} is"
        return f"{way} and run `{self.then}`" if self.then else way

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
    """Yield the bytes as they are sent, so that their count agrees with lengths and ranges."""
    yield from response.raw.stream(_PIECE_BYTES, decode_content=False)


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return the name of this version of a file for If-Range: a strong ETag, or its date."""
    etag = headers.get("ETag", "")
    # A weak ETag promises the same meaning, not the same bytes.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def is_web_page(head: bytes) -> bool:
    """Tell whether this is the beginning of an HTML page; file hosts send them with status 200."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--"))


def _network_reason(error: Exception) -> str:
    """Say why there is no answer, to somebody who does not know HTTP."""
    if isinstance(error, _InterruptedError):
        return str(error)
    causes = list(_causes(error))
    for kind, reason in _NETWORK_REASONS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    return "the connection broke off"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def cannot_read(path: Path, error: OSError) -> DownloadError:
    """Return what to raise where a file cannot be read."""
    return DownloadError(path, f"cannot be read: {_cause(error)}", "check the path and its rights")


def cannot_write(path: Path, error: OSError) -> DownloadError:
    """Return what to raise where a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = f"free some space for {path.parent} and run it again"
        return DownloadError(path, "the disk is full", remedy)
    reason = f"cannot be written: {_cause(error)}"
    return DownloadError(path, reason, f"check the rights of {path.parent}, or use another folder")


def _cause(error: OSError) -> str:
    return error.strerror or _one_line(error)
