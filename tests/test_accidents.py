"""What happens to a long run, in processes of their own: nothing is lost, nothing is half.

How many photographs and how many kills there are can be set: IFAN_PHOTOGRAPHS, IFAN_KILLS.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifan import Deblurrer
from ifan.worklist import plan, run
from processes import Process

PHOTOGRAPHS = int(os.environ.get("IFAN_PHOTOGRAPHS", "200"))
KILLS = int(os.environ.get("IFAN_KILLS", "5"))

STOPPED = "stopped; the same command goes on where this one was\n"

# The engine that starts fastest, as processes start often here.
COMMAND = ["deblur", "photos", "-o", "out", "--recursive", "--engine", "onnxruntime"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with many small photographs, some in a sub-folder."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    (folder / "deep").mkdir(parents=True)
    for number in range(PHOTOGRAPHS):
        name = f"{'deep/' * (number % 2)}{number:04}.{('png', 'jpg', 'tif')[number % 3]}"
        save(folder / name, np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8))
    return folder


@pytest.fixture
def place(tmp_path, photos):
    """Where the command line is run: `photos` is there."""
    (tmp_path / "photos").symlink_to(photos)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, photos):
    """The bytes of each result of a run that nothing happened to, by name."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "photos").symlink_to(photos)
    with started(place) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    found = visible(place / "out")
    assert len(found) == PHOTOGRAPHS
    return {name: (place / "out" / name).read_bytes() for name in found}


def save(path, pixels):
    Image.fromarray(pixels).save(path)


def started(place, *options, program=("-m", "ifan")):
    """A run that has just begun."""
    return Process(
        [sys.executable, *program, *COMMAND, *options],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where tests run in the background, interrupts may be switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def visible(folder):
    """The names of all files below a folder, without hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.relative_to(folder).as_posix() for path in found}


def hidden(folder):
    return [path.name for path in folder.rglob(".*")]


class Watcher:
    """Looks at each result as soon as it is there: it must be whole then."""

    def __init__(self, out, undisturbed):
        self.out = out
        self.undisturbed = undisturbed
        self.seen = set()

    def look(self):
        """Return how many results there are."""
        for name in visible(self.out) - self.seen:
            assert (self.out / name).read_bytes() == self.undisturbed[name], name
            self.seen.add(name)
        return len(self.seen)

    def wait_for(self, count, process):
        """Look until there are so many results, or the process has ended."""
        while self.look() < count and process.poll() is None:
            time.sleep(0.001)


class TestKilled:
    def test_runs_leave_whole_results_and_the_next_one_goes_on(self, place, undisturbed):
        seed = random.SystemRandom().randrange(2**32)
        print("seed:", seed)  # noqa: T201  (pytest shows it when the test fails)
        moments = random.Random(seed)  # noqa: S311
        counts = sorted(moments.sample(range(PHOTOGRAPHS * 9 // 10), KILLS))
        counts[0] = 0  # one of them before the first result
        watcher = Watcher(place / "out", undisturbed)
        left = 0
        for count in counts:
            with started(place, "--report", "report.jsonl") as process:
                watcher.wait_for(count, process)
                time.sleep(moments.uniform(0, 0.02 if count else 1))
                process.kill()
            assert process.returncode == -signal.SIGKILL
            left += len(hidden(place / "out"))
        print("files that were left half:", left)  # noqa: T201
        with started(place, "--report", "report.jsonl") as process:
            watcher.wait_for(PHOTOGRAPHS, process)
            process.communicate(timeout=300)
        assert process.returncode == 0
        assert watcher.look() == PHOTOGRAPHS
        assert hidden(place / "out") == []
        # All lines of the report are whole, and there is one for each photograph.
        lines = [json.loads(line) for line in (place / "report.jsonl").read_text().splitlines()]
        assert {Path(line["target"]).relative_to("out").as_posix() for line in lines} == {
            *undisturbed
        }


class TestStopped:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_runs_finish_what_they_write_and_the_next_one_goes_on(
        self, place, undisturbed, number, status
    ):
        watcher = Watcher(place / "out", undisturbed)
        with started(place, "--report", "report.jsonl") as process:
            watcher.wait_for(PHOTOGRAPHS // 4, process)
            process.send_signal(number)
            told, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (status, STOPPED)
        results = watcher.look()
        assert PHOTOGRAPHS // 4 <= results < PHOTOGRAPHS
        assert hidden(place / "out") == []
        # Each result was told.
        assert len(told.splitlines()) == results
        assert len((place / "report.jsonl").read_text().splitlines()) == results
        with started(place) as process:
            told, said = process.communicate(timeout=300)
        assert (process.returncode, said) == (0, "")
        assert told.splitlines()[-1] == (
            f"{PHOTOGRAPHS - results} done, {results} skipped, 0 failed"
        )
        assert watcher.look() == PHOTOGRAPHS

    @pytest.mark.parametrize("module", ["typer", "numpy", "ifan.worklist", "onnxruntime"])
    def test_before_it_has_begun(self, place, module):
        program = (
            "import os, signal, sys\n"
            "class Interrupt:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name == {module!r}:\n"
            "            sys.meta_path.remove(self)\n"
            "            os.kill(os.getpid(), signal.SIGINT)\n"
            "from ifan.commands import main\n"
            "sys.meta_path.insert(0, Interrupt())\n"
            "main()\n"
        )
        with started(place, program=("-c", program)) as process:
            told, said = process.communicate(timeout=60)
        assert (process.returncode, told, said) == (130, "", STOPPED)
        assert not (place / "out").exists()

    @pytest.mark.parametrize("then", ["pass", "raise RuntimeError('something else')"])
    def test_where_the_interruption_is_lost(self, place, then):
        """As in a callback of a library, or where that makes another error of it."""
        program = (
            "import os, signal\n"
            "from ifan import commands, worklist\n"
            "real = worklist.plan\n"
            "def plan(*arguments, **options):\n"
            "    try:\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "    except BaseException:\n"
            f"        {then}\n"
            "    return real(*arguments, **options)\n"
            "worklist.plan = plan\n"
            "commands.main()\n"
        )
        with started(place, program=("-c", program)) as process:
            _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (143, STOPPED)

    def test_by_one_who_asks_again(self, place):
        program = (
            "import os, sys\n"
            "from ifan.commands import main\n"
            "def wait(descriptor):\n"
            "    os.write(1, b'waits\\n')\n"
            "    sys.stdin.readline()\n"
            "os.fsync = wait\n"
            "main()\n"
        )
        with started(place, program=("-c", program)) as process:
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            assert process.poll() is None  # what is being written is to be finished
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 143
            assert process.stderr.read() == STOPPED
        assert visible(place / "out") == set()
        with started(place) as process:
            process.communicate(timeout=300)
        assert process.returncode == 0
        assert hidden(place / "out") == []


@contextmanager
def small_disk(path, size):
    """A disk of its own, of so many bytes."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk of its own cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer(engine="onnxruntime")


@pytest.fixture
def noise(tmp_path, monkeypatch):
    """A folder of photographs that do not become smaller: 12 kB each."""
    (tmp_path / "noise").mkdir()
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        save(tmp_path / "noise" / f"{number}.png", pixels)
    monkeypatch.chdir(tmp_path)
    return Path("noise")


class TestDisks:
    def test_one_that_is_full_and_then_is_not(self, deblurrer, noise, tmp_path):
        with small_disk(tmp_path / "disk", 65536):
            for out in ("disk", "whole"):
                (tmp_path / out / "0").mkdir(parents=True)
            tasks = plan([noise], Path("disk/0"))
            outcomes = list(run(deblurrer, tasks))
            failures = [str(o.error) for o in outcomes if o.status == "failed"]
            assert 0 < len(failures) < len(tasks)
            assert all(
                line.endswith(": the disk is full; free some space or write elsewhere")
                for line in failures
            )
            assert hidden(tmp_path / "disk") == []
            remount(tmp_path / "disk", "size=1M")
            again = list(run(deblurrer, tasks))
            assert [o.status for o in again].count("done") == len(failures)
            list(run(deblurrer, plan([noise], Path("whole/0"))))
            for name in visible(tmp_path / "whole"):
                assert Path("disk", name).read_bytes() == Path("whole", name).read_bytes()

    def test_one_that_may_not_be_written(self, deblurrer, noise, tmp_path):
        with small_disk(tmp_path / "disk", "1M"):
            tasks = plan([noise], Path("disk"))
            list(run(deblurrer, tasks[:2]))
            Path("disk/.ifan-0123456789abcdef.tmp").write_bytes(b"half")
            remount(tmp_path / "disk", "ro")
            outcomes = list(run(deblurrer, tasks))
            assert [o.status for o in outcomes] == ["skipped"] * 2 + ["failed"] * 6
            assert {str(o.error) for o in outcomes[2:]} == {
                f"{task.target}: is on a read-only disk; write elsewhere" for task in tasks[2:]
            }

    def test_a_report_on_one_that_is_full(self, place, undisturbed):
        with small_disk(place / "disk", 4096), started(place, "--report", "disk/r") as process:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 1
            assert said == (
                "disk/r: cannot be written (No space left on device); "
                "check its folder and the disk\n"
            )
        assert Watcher(place / "out", undisturbed).look() == PHOTOGRAPHS


class TestFolders:
    def test_photographs_that_vanish(self, deblurrer, noise):
        tasks = plan([noise], Path("out"))
        for number in (0, 3):
            tasks[number].source.unlink()
        outcomes = list(run(deblurrer, tasks))
        assert [str(o.error or "") for o in outcomes] == [
            f"noise/{n}.png: does not exist; check the name" if n in (0, 3) else ""
            for n in range(8)
        ]

    def test_a_folder_of_results_that_vanishes(self, deblurrer, noise):
        outcomes = run(deblurrer, plan([noise], Path("out")))
        found = [next(outcomes)]
        Path("out").rename("elsewhere")
        found += outcomes
        for outcome in found:
            if outcome.status == "failed":
                assert str(outcome.error).startswith(f"{outcome.task.target}: its folder does not")
        assert found[-1].status == "done"

    def test_names_that_are_too_long_for_their_results(self, deblurrer, noise):
        name = "x" * 245 + ".png"  # as long as names may be, nearly
        shutil.move("noise/0.png", f"noise/{name}")
        outcomes = list(run(deblurrer, plan([noise])))
        assert [o.status for o in outcomes] == ["done"] * 7 + ["failed"]
        line = f"noise/{name[:-4]}.deblurred.png: has too long a name; choose a shorter one"
        assert str(outcomes[-1].error) == line
