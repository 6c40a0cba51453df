from __future__ import annotations

import hashlib
import importlib
import io
import itertools
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pooch
import pytest

from ifan.errors import DownloadError
from ifan.fetching.download import ResumingDownloader, download

# Imported by its name: a package may have a function of that name too.
module = importlib.import_module("ifan.fetching.download")

CONTENT = bytes(i * i % 251 for i in range(300_000))
OTHER = bytes(reversed(CONTENT))
WEB_PAGE = b"\n<!DOCTYPE html><html><head><title>Dropbox - Error</title></head></html>"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """What the server offers at every path, and how it misbehaves."""

    port: int = 0
    content: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    cuts: list[int] = field(default_factory=list)  # a request each: bytes after which it breaks off
    statuses: list[int] = field(default_factory=list)  # a request each: what it answers instead
    ignores_range: bool = False
    ignores_if_range: bool = False
    says_length: bool = True
    excess_length: int = 0
    range_offset: int = 0
    pause_s: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/checkpoints.zip?dl=1"

    @property
    def ranges(self) -> list[str | None]:
        return [r.get("Range") for r in self.requests]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append(dict(self.headers))
        site.stopped.wait(site.pause_s)
        if self.path == "/moved":
            return self.answer(302, b"", {"Location": site.address})
        if self.path == "/ring":
            return self.answer(302, b"", {"Location": "/ring"})
        if self.path == "/outside":
            return self.answer(302, b"", {"Location": "file:///etc/passwd"})
        if site.statuses:
            return self.answer(site.statuses.pop(0), b"no", {})
        return self.answer_file(site)

    def answer_file(self, site: Site) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        known = self.headers.get("If-Range") in site.headers.values() or site.ignores_if_range
        if not asked or not known or site.ignores_range:
            return self.answer(200, site.content, site.headers)
        start = int(asked[1])
        size = len(site.content)
        if start >= size:
            return self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
        start += site.range_offset
        content_range = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        return self.answer(206, site.content[start:], site.headers | content_range)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        site = self.server.site
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if site.says_length:
            self.send_header("Content-Length", str(len(body) + site.excess_length))
        self.end_headers()
        self.wfile.write(body[: site.cuts.pop(0)] if site.cuts and body else body)

    def log_message(self, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    site: Site

    def handle_error(self, *arguments: Any) -> None:
        pass  # the client went away


@pytest.fixture
def site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.site
        server.site.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between attempts, noted instead of made."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single attempt a call."""

    def once(*arguments: Any) -> ResumingDownloader:
        return ResumingDownloader(*arguments, attempts=1)

    monkeypatch.setattr(module, "ResumingDownloader", once)


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def interrupt(site: Site, folder: Path, after: int) -> None:
    """A first call that breaks off."""
    site.cuts = [after]
    with pytest.raises(DownloadError):
        download(site.address, folder, name="a.zip")
    assert (folder / "a.zip.part").stat().st_size == after
    site.requests.clear()


def test_downloads_into_a_new_folder(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "cache"
    path = download(site.address, folder, name="a.zip", sha256=digest(CONTENT))
    assert path == folder / "a.zip"
    assert path.read_bytes() == CONTENT
    assert files_in(folder) == ["a.zip"]
    assert site.requests[0]["Accept-Encoding"] == "identity"


def test_prints_nothing(site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    download(site.address, tmp_path, name="a.zip")
    assert capfd.readouterr() == ("", "")


def test_does_not_silence_others_who_use_pooch(capfd: pytest.CaptureFixture[str]) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    pooch.get_logger().addHandler(handler)
    pooch.get_logger().warning("of somebody else")
    pooch.get_logger().removeHandler(handler)
    assert heard.getvalue() == "of somebody else\n"


@pytest.mark.parametrize("known", [True, False])
def test_what_is_there_is_not_requested(site: Site, tmp_path: Path, known: bool) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    sha256 = digest(CONTENT).upper() if known else None
    assert download(site.address, tmp_path, name="a.zip", sha256=sha256) == tmp_path / "a.zip"
    assert site.requests == []
    assert files_in(tmp_path) == ["a.zip"]


def test_what_is_there_but_wrong_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(OTHER)
    download(site.address, tmp_path, name="a.zip", sha256=digest(CONTENT))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_wrong_checksum_names_both_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as failure:
        download(site.address, tmp_path, name="a.zip", sha256=digest(OTHER))
    assert digest(OTHER) in failure.value.reason
    assert digest(CONTENT) in failure.value.reason
    assert set(files_in(tmp_path)) <= {"a.zip.lock"}


def test_reports_progress(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(site.address, tmp_path, name="a.zip", progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert all(a[0] < b[0] for a, b in itertools.pairwise(seen))
    assert len(seen) > 1


def test_progress_without_a_known_length(site: Site, tmp_path: Path) -> None:
    site.says_length = False
    seen: list[tuple[int, int | None]] = []
    path = download(
        site.address, tmp_path, name="a.zip", progress=lambda *counts: seen.append(counts)
    )
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


def test_an_empty_file_is_a_file(site: Site, tmp_path: Path) -> None:
    site.content = b""
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == b""


def test_a_progress_callback_may_stop_it(site: Site, tmp_path: Path) -> None:
    def stop(received: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(site.address, tmp_path, name="a.zip", progress=stop)
    assert 0 < (tmp_path / "a.zip.part").stat().st_size < len(CONTENT)
    download(site.address, tmp_path, name="a.zip", sha256=digest(CONTENT))
    assert site.ranges[1] is not None
    assert files_in(tmp_path) == ["a.zip"]


def test_follows_redirects_and_continues_behind_them(
    site: Site, tmp_path: Path, pauses: list[float]
) -> None:
    site.cuts = [100_000]
    moved = f"http://127.0.0.1:{site.port}/moved"
    path = download(moved, tmp_path, name="a.zip")
    assert path.read_bytes() == CONTENT
    assert site.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


def test_the_same_file_asked_for_twice_at_once_is_requested_once(
    site: Site, tmp_path: Path
) -> None:
    site.pause_s = 0.2
    threads = [
        threading.Thread(target=download, args=(site.address, tmp_path), kwargs={"name": "a.zip"})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(site.requests) == 1
    assert files_in(tmp_path) == ["a.zip"]


def test_continues_within_a_call(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    site.cuts = [100_000, 50_000]
    path = download(site.address, tmp_path, name="a.zip", sha256=digest(CONTENT))
    assert path.read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert site.requests[1]["If-Range"] == '"one"'
    assert pauses == [1.0, 2.0]
    assert files_in(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"one"'},
        {"Last-Modified": "Tue, 01 Jun 2021 10:00:00 GMT"},
        {"ETag": 'W/"one"', "Last-Modified": "Tue, 01 Jun 2021 10:00:00 GMT"},
    ],
)
@pytest.mark.usefixtures("impatient")
def test_continues_in_a_later_call(site: Site, tmp_path: Path, headers: dict[str, str]) -> None:
    site.headers = headers
    interrupt(site, tmp_path, 100_000)
    seen: list[tuple[int, int | None]] = []
    path = download(
        site.address, tmp_path, name="a.zip", progress=lambda *counts: seen.append(counts)
    )
    assert path.read_bytes() == CONTENT
    assert site.ranges == ["bytes=100000-"]
    assert site.requests[0]["If-Range"] == list(headers.values())[-1]
    assert seen[0][0] > 100_000
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert files_in(tmp_path) == ["a.zip"]


@pytest.mark.usefixtures("impatient")
def test_starts_again_without_a_validator(site: Site, tmp_path: Path) -> None:
    site.headers = {"ETag": 'W/"weak"'}
    interrupt(site, tmp_path, 100_000)
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert site.ranges == [None]


@pytest.mark.usefixtures("impatient")
def test_starts_again_for_another_address(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    download(site.address + "&other", tmp_path, name="a.zip")
    assert site.ranges == [None]


@pytest.mark.usefixtures("impatient")
def test_starts_again_where_the_server_ignores_ranges(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    site.ignores_range = True
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert site.ranges == ["bytes=100000-"]


@pytest.mark.parametrize("ignores_if_range", [False, True])
@pytest.mark.usefixtures("impatient")
def test_starts_again_when_the_file_has_changed(
    site: Site, tmp_path: Path, ignores_if_range: bool
) -> None:
    interrupt(site, tmp_path, 100_000)
    site.content, site.headers = OTHER, {"ETag": '"two"'}
    site.ignores_if_range = ignores_if_range
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == OTHER
    assert len(site.requests) == (2 if ignores_if_range else 1)


@pytest.mark.usefixtures("impatient")
def test_starts_again_when_the_file_has_another_size(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    site.content = OTHER[:200_000]  # and the server forgot to change the ETag
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == OTHER[:200_000]


@pytest.mark.usefixtures("impatient")
def test_starts_again_when_too_much_is_there(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    site.content = CONTENT[:50_000]  # the server answers 416
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT[:50_000]
    assert site.ranges == ["bytes=100000-", None]


@pytest.mark.usefixtures("impatient")
def test_starts_again_when_another_range_is_sent(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    site.range_offset = 7
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT


@pytest.mark.usefixtures("impatient")
def test_what_is_complete_is_not_requested_again(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert site.requests == []


@pytest.mark.parametrize("note", ["", "{}", "[]", "null", '{"address": 1}'])
@pytest.mark.usefixtures("impatient")
def test_a_spoiled_note_is_no_obstacle(site: Site, tmp_path: Path, note: str) -> None:
    interrupt(site, tmp_path, 100_000)
    (tmp_path / "a.zip.part.json").write_text(note)
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert site.ranges == [None]


@pytest.mark.usefixtures("impatient")
def test_a_part_that_vanished_is_no_obstacle(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    (tmp_path / "a.zip.part").unlink()
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT


@pytest.mark.usefixtures("impatient")
def test_an_error_page_does_not_cost_what_is_there(site: Site, tmp_path: Path) -> None:
    interrupt(site, tmp_path, 100_000)
    site.content, site.headers = WEB_PAGE, {"ETag": '"page"'}
    with pytest.raises(DownloadError, match="web page"):
        download(site.address, tmp_path, name="a.zip")
    site.content, site.headers = CONTENT, {"ETag": '"one"'}
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert site.ranges == ["bytes=100000-", "bytes=100000-"]


def test_a_server_in_trouble_is_asked_again(
    site: Site, tmp_path: Path, pauses: list[float]
) -> None:
    site.statuses = [503, 429, 500]
    assert download(site.address, tmp_path, name="a.zip").read_bytes() == CONTENT
    assert pauses == [1.0, 2.0, 4.0]


def test_a_length_that_is_never_reached(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    site.excess_length = 1
    with pytest.raises(DownloadError, match="the connection broke off; run it again to continue"):
        download(site.address, tmp_path, name="a.zip")
    assert len(site.requests) < 8
    assert not (tmp_path / "a.zip").exists()


def test_works_as_a_downloader_of_pooch(site: Site, tmp_path: Path) -> None:
    store = pooch.create(
        path=tmp_path,
        base_url=f"http://127.0.0.1:{site.port}/",
        registry={"a.zip": digest(CONTENT)},
    )
    pooch.get_logger().disabled = True
    try:
        path = store.fetch("a.zip", downloader=ResumingDownloader(tmp_path / "a.zip.part"))
    finally:
        pooch.get_logger().disabled = False
    assert Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410, 206])
def test_http_errors_name_the_way_by_hand(
    site: Site, tmp_path: Path, status: int, pauses: list[float]
) -> None:
    site.statuses = [status]
    with pytest.raises(DownloadError) as failure:
        download(site.address, tmp_path, name="a.zip", then="ifan models import FILE")
    assert f"the server answers {status} (" in failure.value.reason
    assert f"download it by hand from {site.address}" in failure.value.remedy
    assert "`ifan models import FILE`" in failure.value.remedy
    assert pauses == []
    assert not (tmp_path / "a.zip").exists()


def test_a_server_that_stays_in_trouble(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    site.statuses = [503] * 9
    with pytest.raises(DownloadError, match="the server answers 503"):
        download(site.address, tmp_path, name="a.zip")
    assert len(site.requests) == 4


@pytest.mark.parametrize(
    ("content", "headers"), [(WEB_PAGE, {}), (b"Sorry.", {"Content-Type": "text/html; charset=x"})]
)
def test_a_web_page_instead_of_the_file(
    site: Site, tmp_path: Path, content: bytes, headers: dict[str, str]
) -> None:
    site.content, site.headers = content, headers
    with pytest.raises(DownloadError, match="the server sent a web page instead of the file"):
        download(site.address, tmp_path, name="a.zip")
    assert files_in(tmp_path) == ["a.zip.lock"]


def test_a_silent_server(site: Site, tmp_path: Path) -> None:
    site.pause_s = 30
    downloader = ResumingDownloader(
        tmp_path / "a.part", attempts=2, pause_s=0.01, timeouts_s=(1.0, 0.1)
    )
    with pytest.raises(DownloadError, match="the server does not answer in time"):
        downloader(site.address, str(tmp_path / "a"), None)
    assert len(site.requests) == 2


def test_a_closed_port(tmp_path: Path, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="the server cannot be reached"):
        download(f"http://127.0.0.1:{port}/a.zip", tmp_path, name="a.zip")
    assert pauses == [1.0, 2.0, 4.0]


def test_no_network(tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError, match="name cannot be resolved") as failure:
        download("https://www.example.org/a.zip", tmp_path, name="a.zip")
    assert "\n" not in str(failure.value)
    assert "by hand from https://www.example.org/a.zip" in str(failure.value)


def test_no_secure_connection(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(DownloadError, match="no secure connection"):
        download(site.address.replace("http", "https"), tmp_path, name="a.zip")


@pytest.mark.parametrize("path", ["ring", "outside"])
def test_bad_redirects(site: Site, tmp_path: Path, path: str) -> None:
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        download(f"http://127.0.0.1:{site.port}/{path}", tmp_path, name="a.zip")


@pytest.mark.parametrize(
    "address",
    ["ftp://a.b/c", "file:///etc/passwd", "/etc/passwd", "a.zip", "", "http://", "https:/x"],
)
def test_only_http_and_https(tmp_path: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="is not an http or https address"):
        download(address, tmp_path, name="a.zip")


@pytest.mark.parametrize("name", ["", ".", "..", "../a.zip", "a/b.zip", "a\\b.zip", "/a.zip", "\0"])
def test_names_stay_in_the_folder(site: Site, tmp_path: Path, name: str) -> None:
    with pytest.raises(DownloadError, match="cannot be saved as"):
        download(site.address, tmp_path, name=name)
    assert site.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def open_full(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        full = path.name == "a.zip.part" and mode == "ab"
        return opened(Path("/dev/full") if full else path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(DownloadError, match=r"a\.zip: the disk is full; free some space"):
        download(site.address, tmp_path, name="a.zip")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DownloadError, match="cannot be written"):
        download(site.address, tmp_path, name="a.zip")
    tmp_path.chmod(0o700)


def test_a_folder_that_is_a_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="cannot be written"):
        download(site.address, tmp_path / "file", name="a.zip")
