import errno
import os
import resource
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from ifan import files
from ifan.errors import OutputError
from ifan.files import is_written, remove_leftovers, write_atomically
from processes import Process

LEFTOVER = ".ifan-0123456789abcdef.tmp"

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("overwrite", [False, True])
def test_writes_all_bytes(tmp_path, kind, overwrite):
    write_atomically(tmp_path / "a.bin", kind(b"abc" * 1000), overwrite=overwrite)
    assert (tmp_path / "a.bin").read_bytes() == b"abc" * 1000
    assert contents(tmp_path) == ["a.bin"]


def test_takes_a_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("a.bin", b"abc")
    write_atomically("a.bin", b"d", overwrite=True)
    assert Path("a.bin").read_bytes() == b"d"


def test_leaves_an_existing_file_alone(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"a\.bin: already exists; give --overwrite or another"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    write_atomically(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new"
    assert contents(tmp_path) == ["a.bin"]


def test_does_not_write_through_a_dangling_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="already exists"):
        write_atomically(tmp_path / "link", b"new")
    assert contents(tmp_path) == ["link"]


def test_overwriting_a_link_replaces_what_it_points_to(tmp_path):
    (tmp_path / "folder").mkdir()
    real = tmp_path / "folder" / "real"
    real.write_bytes(b"old")
    (tmp_path / "link").symlink_to(real)
    write_atomically(tmp_path / "link", b"new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_respects_the_umask(tmp_path, umask, mode, overwrite):
    old = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"", overwrite=overwrite)
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_a_private_file_stays_private(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "a").chmod(0o600)
    write_atomically(tmp_path / "a", b"new", overwrite=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("old", "is_written"), [(0o755, True), (0o644, True), (0o600, False)])
def test_disks_whose_permissions_cannot_be_changed(tmp_path, monkeypatch, old, is_written):
    """As cards of cameras; what only its owner may read is not laid open there."""
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(old)

    def refuse(path, mode):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "chmod", refuse)
    umask = os.umask(0o022)
    try:
        with nullcontext() if is_written else pytest.raises(OutputError, match="may not be"):
            write_atomically(tmp_path / "a", b"new", overwrite=True)
    finally:
        os.umask(umask)
    assert (tmp_path / "a").read_bytes() == (b"new" if is_written else b"old")
    assert contents(tmp_path) == ["a"]


def test_one_of_many_writers_wins_and_the_others_hear_of_it(tmp_path):
    outcomes = []
    gate = threading.Barrier(8)

    def write(number):
        gate.wait()
        try:
            write_atomically(tmp_path / "a", bytes([number]) * 100_000)
            outcomes.append(number)
        except OutputError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number in outcomes if number is not None]
    assert (tmp_path / "a").read_bytes() == bytes([winner]) * 100_000
    assert len(outcomes) == 8
    assert contents(tmp_path) == ["a"]


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    real_fsync = os.fsync

    def appear(descriptor):
        real_fsync(descriptor)
        (tmp_path / "a").write_bytes(b"theirs")

    monkeypatch.setattr(os, "fsync", appear)
    with pytest.raises(OutputError, match="already exists"):
        write_atomically(tmp_path / "a", b"ours")
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert contents(tmp_path) == ["a"]


@pytest.mark.parametrize("renames", [False, True])
@pytest.mark.parametrize("appears", [False, True])
def test_file_systems_without_hard_links(tmp_path, monkeypatch, appears, renames):
    if not renames:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda *_names, **_options: None)

    def refuse(source, target):
        if appears:
            (tmp_path / "a").write_bytes(b"theirs")
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    if appears:
        with pytest.raises(OutputError, match="already exists"):
            write_atomically(tmp_path / "a", b"ours")
    else:
        write_atomically(tmp_path / "a", b"ours")
    assert (tmp_path / "a").read_bytes() == (b"theirs" if appears else b"ours")
    assert contents(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no/such/a.bin", "its folder does not exist; create the folder first"),
        ("file/a.bin", "its folder is not a folder but a file; check the name"),
        ("folder", "is a folder; give the name of a file"),
        ("x" * 300, "has too long a name; choose a shorter one"),
    ],
)
def test_bad_targets_are_refused_in_one_line(tmp_path, name, line, overwrite):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        write_atomically(tmp_path / name, b"abc", overwrite=overwrite)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(is_root, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="may not be written; check the permissions"):
            write_atomically(tmp_path / "a", b"abc")
    finally:
        tmp_path.chmod(0o700)
    assert contents(tmp_path) == []


def test_a_name_as_long_as_names_may_be(tmp_path):
    write_atomically(tmp_path / ("x" * 255), b"abc")
    assert contents(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "the disk is full; free some space or write elsewhere"),
        (errno.EACCES, "may not be written; check the permissions"),
        (errno.EIO, "cannot be written (Input/output error); write elsewhere"),
    ],
)
def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch, number, line, overwrite):
    (tmp_path / "old").write_bytes(b"old")
    name = "old" if overwrite else "new"

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError) as caught:
        write_atomically(tmp_path / name, b"abc", overwrite=overwrite)
    assert line in str(caught.value)
    assert contents(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_file_over_the_limit_of_the_system_leaves_nothing(tmp_path):
    # A real short write, in a process of its own, as the limit cannot be raised again.
    limit = 10_000
    program = (
        "import sys\n"
        "from ifan.errors import OutputError\n"
        "from ifan.files import write_atomically\n"
        "try:\n"
        f"    write_atomically(sys.argv[1], bytes({10 * limit}))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "is larger than a file may be here" in done.stdout
    assert contents(tmp_path) == []


@pytest.mark.parametrize("function", ["fsync", "link"])
def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, function):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, function, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"abc")
    assert contents(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    others = [".ifan-0123456789abcdef.jpg", ".ifan-0123.tmp", "ifan-0123456789abcdef.tmp", "a.jpg"]
    for name in (LEFTOVER, *others):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".ifan-fedcba9876543210.tmp").touch(0o400)
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == sorted(others)
    remove_leftovers(tmp_path / "none")
    remove_leftovers(tmp_path / "a.jpg")


WRITER = """
import os, sys
from ifan.files import write_atomically

real_fsync = os.fsync

def wait(descriptor):
    real_fsync(descriptor)
    print("written", flush=True)
    sys.stdin.readline()

os.fsync = wait
write_atomically(sys.argv[1], b"whole")
"""


def test_what_a_living_process_is_writing_stays(tmp_path):
    with Process(
        [sys.executable, "-c", WRITER, tmp_path / "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "written\n"
        (hidden,) = contents(tmp_path)
        remove_leftovers(tmp_path)
        assert contents(tmp_path) == [hidden]
        process.communicate("go on\n", timeout=60)
    assert process.returncode == 0
    assert contents(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_what_a_killed_process_was_writing_does_not_stay(tmp_path):
    with Process(
        [sys.executable, "-c", WRITER, tmp_path / "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.kill()
    assert len(contents(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == []


def test_a_file_that_is_taken_for_a_leftover_before_it_is_locked(tmp_path, monkeypatch):
    real_flock, calls = files.fcntl.flock, []

    def remove_first(file, operation):
        if not calls:
            Path(file.name).unlink()
        calls.append(operation)
        real_flock(file, operation)

    monkeypatch.setattr(files.fcntl, "flock", remove_first)
    write_atomically(tmp_path / "a", b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert contents(tmp_path) == ["a"]
    assert len(calls) == 2


def test_disks_without_locks(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / LEFTOVER).write_bytes(b"half")
    monkeypatch.setattr(files.fcntl, "flock", refuse)
    write_atomically(tmp_path / "a", b"abc")
    remove_leftovers(tmp_path)  # nobody can tell whether it is one
    assert contents(tmp_path) == [LEFTOVER, "a"]


def test_an_empty_file_is_not_written(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_bytes(b"abc")
    names = ("empty", "full", "none", "full/a", "x" * 300, ".")
    written = [is_written(tmp_path / name) for name in names]
    assert written == [False, True, False, False, False, False]
