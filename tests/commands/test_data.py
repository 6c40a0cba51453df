import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from ifan.datasets.opening import open_examples
from ifan.datasets.packing import PackedExamples
from ifan.datasets.shards import ShardExamples
from ifan.errors import IfanError
from processes import Process

FOLDERS = ("c/source", "c/target", "l/source", "r/source")


@pytest.fixture
def dpdd(save):
    """Writes a data set into the folder."""

    def write(count=3, side=32):
        pixels = np.random.default_rng(1).integers(256, size=(side, side, 3), dtype=np.uint8)
        for name in FOLDERS:
            first = save(f"dpdd/train_{name}/0000.png", np.roll(pixels, len(name), 0))
            for number in range(1, count):
                shutil.copy(first, first.with_name(f"{number:04d}.png"))

    return write


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("check", "--root --split --crop --no-views"),
        ("prepare", "--out -o --split --bits --no-views --shards --shard-size"),
    ],
)
def test_help_names_every_option(ifan, command, options):
    words = ifan("data", command, "--help").stdout.replace(",", " ").split()
    assert set(options.split()) <= set(words)


def test_a_good_data_set_is_said_to_be_one(ifan, dpdd):
    dpdd()
    done = ifan("data", "check", "dpdd", "--crop", 32)
    assert (done.stdout, done.stderr) == ("dpdd: 3 examples for train, no problems\n", "")


def test_every_problem_is_a_line(ifan, dpdd, folder):
    dpdd()
    (folder / "dpdd/train_l/source/0001.png").write_bytes(b"")
    Image.new("RGB", (32, 30)).save(folder / "dpdd/train_r/source/0002.png")
    done = ifan("data", "check", "dpdd", "--crop", 32, status=1)
    first, second = done.stderr.splitlines()
    assert first.startswith("dpdd/train_l/source/0001.png: is empty; ")
    assert second == (
        "dpdd/train_r/source/0002.png: has 32x30 pixels, but dpdd/train_c/source/0002.png has"
        " 32x32; give pictures of one scene in one size"
    )
    assert done.stdout == "dpdd: 3 examples for train, 2 problems\n"
    assert "no problems" in ifan("data", "check", "dpdd", "--crop", 32, "--no-views").stdout


def test_pictures_that_are_smaller_than_the_crop_are_problems(ifan, dpdd):
    dpdd(count=1)
    done = ifan("data", "check", "dpdd", status=1)
    assert "has 32x32 pixels, less than the crop of 256" in done.stderr
    assert done.stdout == "dpdd: 1 examples for train, 1 problem\n"


def test_missing_views_are_named_with_what_to_do(ifan, dpdd, folder):
    dpdd()
    (folder / "dpdd" / "train_l").rename(folder / "elsewhere")
    done = ifan("data", "check", "dpdd", status=1)
    assert done.stderr.startswith("dpdd/train_l/source: does not exist; ")
    assert "--no-views" in done.stderr


@pytest.mark.parametrize(
    ("options", "kind"),
    [([], PackedExamples), (["--shards", "--shard-size", 0.001], ShardExamples)],
)
def test_what_is_prepared_can_be_trained_with(ifan, dpdd, folder, options, kind):
    dpdd()
    done = ifan("data", "prepare", "dpdd", "-o", "ready", *options)
    assert done.stdout == "ready: 3 examples for train\n"
    prepared = open_examples(folder / "ready", "train", views=True)
    original = open_examples(folder / "dpdd", "train", views=True)
    assert isinstance(prepared, kind)
    np.testing.assert_array_equal(prepared[2].left, original[2].left)


def test_another_set_is_not_mixed_in(ifan, dpdd):
    dpdd()
    ifan("data", "prepare", "dpdd", "-o", "ready")
    said = ifan("data", "prepare", "dpdd", "-o", "ready", "--no-views", status=1).stderr
    assert said.startswith("ready/train: was prepared with ")
    assert "give another folder" in said


@pytest.mark.parametrize(
    "command",
    [
        "data prepare dpdd -o x --bits",
        "data simulate --photos a -o b --bits",
        "evaluate --bits",
        "models import a.pytorch --sample-bits",
    ],
)
def test_bits_are_8_or_16(ifan, command):
    said = ifan(*command.split(), 12, status=2).stderr
    assert f"'{command.split()[-1]}': '12' is not 8 or 16" in said


def test_another_part_than_was_prepared_is_named_with_what_to_do(ifan, dpdd, folder):
    dpdd()
    ifan("data", "prepare", "dpdd", "-o", "ready")
    reason = r"prepared for train, nothing for val; run ifan data prepare.* --split val"
    with pytest.raises(IfanError, match=reason):
        open_examples(folder / "ready", "val", views=True)


@pytest.mark.parametrize("options", [["--shards"], ["--split", "train"], ["--bits", 8]])
def test_an_archive_takes_no_options_of_pictures(ifan, folder, options):
    (folder / "DPDD.zip").touch()
    done = ifan("data", "prepare", "DPDD.zip", "-o", "root", *options, status=2)
    assert "an archive is only unpacked" in done.stderr
    assert not (folder / "root").exists()


def test_a_run_that_was_stopped_goes_on(ifan, dpdd, folder):
    dpdd(count=100, side=256)
    arguments = ["data", "prepare", "dpdd", "-o", "ready"]
    command = [sys.executable, "-m", "ifan", *arguments]
    first = folder / "ready" / "train" / "00000.pixels"
    with Process(command, cwd=folder, stderr=subprocess.PIPE, text=True) as running:
        while not first.with_name("unfinished.part").exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        said = running.communicate()[1]
    assert running.returncode == 143
    assert said == "stopped; the same command goes on where this one was\n"
    before = first.stat().st_mtime_ns
    ifan(*arguments)
    assert first.stat().st_mtime_ns == before
    prepared = open_examples(folder / "ready", "train", views=True)
    assert len(prepared) == 100
    original = open_examples(folder / "dpdd", "train", views=True)
    np.testing.assert_array_equal(prepared[99].right, original[99].right)
