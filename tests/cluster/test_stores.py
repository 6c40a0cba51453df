"""Folders on disks, in memory and in an object store, and what a line that breaks costs."""

from __future__ import annotations

import json
import pickle
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs
from archives import BAD, finish, wait_for
from moto.server import ThreadedMotoServer

from ifan import Deblurrer
from ifan.cluster.storage import Storage, open_storage
from ifan.errors import IfanError, OutputError


class Line:
    """A line to a server, which can be cut."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._ends: list[socket.socket] = []
        self._is_cut = False
        self._entrance = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._entrance.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is going on, and let nothing new through."""
        self._is_cut = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._entrance.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                near, _ = self._entrance.accept()
                self.connections += 1
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._server)
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, from_: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := from_.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    """A line to a server that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server.start()
        line = Line(server.get_host_and_port())
        yield line
        line.close()
        server.stop()


def bucket_on(line: Line) -> str:
    """Return the address of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem(endpoint_url=line.address).mkdir(name)
    return f"s3://{name}"


Opened = Callable[[str], Storage]


@pytest.fixture(params=["disk", "memory", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens a folder of a new place of each kind."""
    if request.param == "disk":
        return lambda folder: open_storage(str(tmp_path / folder))
    if request.param == "memory":
        place = f"memory://{uuid.uuid4().hex}"
        return lambda folder: open_storage(f"{place}/{folder}")
    line = request.getfixturevalue("line")
    bucket = bucket_on(line)
    return lambda folder: open_storage(f"{bucket}/{folder}", {"endpoint_url": line.address})


def test_what_is_written_is_listed_and_read(opened):
    storage = opened("in")
    names = ["b/deep/2.jpg", "a/1.jpg", "3.jpg", "a/odd näme #%.jpg"]
    for name in names:
        storage.write(name, name.encode())
    opened("in2").write("other.jpg", b"other")
    assert {entry.path: entry.size for entry in storage.entries()} == {
        name: len(name.encode()) for name in names
    }
    assert {entry.path for entry in storage.entries("a")} == {"a/1.jpg", "a/odd näme #%.jpg"}
    assert list(storage.entries("nowhere")) == []
    assert {entry.path for entry in storage.entries(leave_out=lambda folder: folder == "b")} == {
        "3.jpg", "a/1.jpg", "a/odd näme #%.jpg"
    }  # fmt: skip
    for name in names:
        assert storage.read(name) == name.encode()
    assert storage.entry("nothing.jpg") is None
    assert storage.entry("a") is None


def test_a_file_that_changes_gets_another_stamp(opened):
    storage = opened("in")
    storage.write("1.jpg", b"before")
    before = storage.entry("1.jpg")
    assert next(storage.entries()) == before
    storage.write("1.jpg", b"after!")
    assert storage.entry("1.jpg").stamp != before.stamp


def test_what_must_stay_is_not_overwritten(opened):
    storage = opened("out")
    storage.write("1.jpg", b"mine")
    with pytest.raises(OutputError, match="already exists"):
        storage.write("1.jpg", b"yours", overwrite=False)
    assert storage.read("1.jpg") == b"mine"


def test_files_are_put_opened_and_removed(opened, tmp_path):
    storage = opened("out")
    (tmp_path / "file").write_bytes(b"0123456789")
    storage.write("x/kept", b"kept")
    storage.put(tmp_path / "file", "x/y/put")
    with storage.open("x/y/put") as file:
        file.seek(4)
        assert file.read(3) == b"456"
    storage.remove("x/y/put")
    storage.remove("x/y/put")
    assert [entry.path for entry in storage.entries()] == ["x/kept"]
    storage.remove_folder("x")
    storage.remove_folder("x")
    assert list(storage.entries()) == []


def test_a_folder_knows_what_it_lies_in(opened, tmp_path):
    assert opened("a/b").below(opened("a")) == "b"
    assert opened("a").below(opened("a")) == "."
    assert opened("a").below(opened("a/b")) is None
    assert opened("ab").below(opened("a")) is None
    assert opened("a").below(open_storage("memory://elsewhere")) is None


def test_a_storage_can_be_handed_to_another_process(opened):
    opened("a").write("1.jpg", b"one")
    assert pickle.loads(pickle.dumps(opened("a"))).read("1.jpg") == b"one"


def test_a_folder_of_thousands_of_objects_is_listed_by_the_page(line):
    address = bucket_on(line)
    storage = open_storage(address, {"endpoint_url": line.address})
    files = s3fs.S3FileSystem(endpoint_url=line.address)
    files.pipe({f"{address}/{number:04d}.jpg": b"x" for number in range(1003)})
    assert [entry.path for entry in storage.entries()] == [f"{n:04d}.jpg" for n in range(1003)]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense://bucket", "is no address"),
        ("gs://bucket/photographs", "pip install gcsfs"),
        ("ftp://me@127.0.0.1:1/photographs", r"cannot be reached \(Connection refused\)"),
    ],
)
def test_an_address_that_cannot_be_opened_is_named_with_the_remedy(address, reason):
    with pytest.raises(IfanError, match=reason):
        open_storage(address)


def test_a_bucket_that_is_not_there_is_named(line):
    storage = open_storage("s3://no-such-bucket/photographs", {"endpoint_url": line.address})
    reason = r"^s3://no-such-bucket/photographs: cannot be listed \(.+\); check the name"
    with pytest.raises(IfanError, match=reason):
        list(storage.entries())


def test_missing_credentials_are_said_at_once(line, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    options = {"endpoint_url": line.address, "skip_instance_cache": True}
    storage = open_storage("s3://bucket/photographs", options)
    reason = r"cannot be reached \(Unable to locate credentials\); check the credentials"
    with pytest.raises(IfanError, match=reason):
        list(storage.entries())


def test_a_line_that_stays_broken_is_an_error_after_a_while(line):
    address = bucket_on(line)
    options = {"endpoint_url": line.address, "config_kwargs": {"retries": {"max_attempts": 0}}}
    storage = open_storage(address, options, patience=1)
    line.cut()
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            storage.write("1.jpg", b"one")
    finally:
        line.mend()
    storage.write("1.jpg", b"two")
    assert storage.read("1.jpg") == b"two"


def test_a_batch_from_bucket_to_bucket_survives_a_line_that_breaks(line, archive, start, tmp_path):
    options = {"endpoint_url": line.address}
    address = bucket_on(line)
    source = open_storage(f"{address}/in", options)
    target = open_storage(f"{address}/out", options)
    for path in archive.rglob("*.*"):
        source.write(path.relative_to(archive).as_posix(), path.read_bytes())
    arguments = (f"{address}/in", f"{address}/out", "--storage-options", json.dumps(options))
    process = start(*arguments)
    wait_for(lambda: any(e.path.endswith(".jpg") for e in target.entries()), process)
    line.cut()
    seen = line.connections
    wait_for(lambda: line.connections > seen + 3, process)
    line.mend()
    status, said = finish(process)
    assert "40 done, 0 skipped, 1 failed of 41" in said
    assert status == 1
    (failure,) = target.read("failures.jsonl").decode().splitlines()
    assert json.loads(failure)["source"] == BAD
    with target.open("manifest.parquet") as manifest:
        rows = pq.read_table(manifest).to_pylist()
    done = {row["target"] for row in rows if row["status"] == "done"}
    assert len(rows) == 41
    assert {entry.path for entry in target.entries()} == done | {
        "manifest.parquet", "failures.jsonl"
    }  # fmt: skip
    for name in ("a/IMG_000.jpg", "b/deep/IMG_001.jpg"):
        expected = Deblurrer().deblur_file(archive / name, tmp_path / Path(name).name)
        assert target.read(name) == expected.read_bytes()
