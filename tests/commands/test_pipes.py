"""Photographs through standard input and output."""

import io
import os
import pty
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from processes import Process


@pytest.fixture
def pipe(folder):
    """Runs the command line between pipes; returns the status, the picture, and the lines."""

    def run(*arguments, data=b""):
        done = subprocess.run(
            [sys.executable, "-m", "ifan", "deblur", *arguments],
            cwd=folder,
            input=data,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr.decode()

    return run


def opened(data):
    return Image.open(io.BytesIO(data))


def test_through_both(pipe, save, folder, ifan):
    photograph = save("photo.jpg")
    status, data, said = pipe("-", data=photograph.read_bytes())
    assert status == 0
    assert said.startswith("- -> - (")
    assert len(said.splitlines()) == 1
    ifan("deblur", "photo.jpg", "-o", "sharp.jpg")
    assert data == (folder / "sharp.jpg").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["photo.jpg", "sharp.jpg"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], "PNG"), (["--format", "webp"], "WEBP"), (["--format", "TIFF"], "TIFF")],
)
def test_the_format_is_that_of_the_photograph_or_the_one_asked_for(pipe, save, options, expected):
    status, data, _ = pipe("-", *options, data=save("a.png").read_bytes())
    assert status == 0
    with opened(data) as picture:
        assert (picture.format, picture.size) == (expected, (32, 24))


def test_from_a_file(pipe, save, folder):
    save("photo.png")
    status, data, said = pipe("photo.png", "-o", "-", "--verbose")
    assert (status, len(said.splitlines())) == (0, 2)
    assert said.splitlines()[1].startswith("photo.png -> - (")
    with opened(data) as picture:
        assert picture.format == "PNG"
    assert [path.name for path in folder.iterdir()] == ["photo.png"]


def test_into_a_file(pipe, save, folder):
    data = save("photo.png").read_bytes()
    status, printed, said = pipe("-", "-o", "sharp.jpg", data=data)
    assert (status, said) == (0, "")
    assert printed.startswith(b"- -> sharp.jpg (")
    with Image.open(folder / "sharp.jpg") as picture:
        assert picture.format == "JPEG"
    status, printed, _ = pipe("-", "-o", "sharp.jpg", data=data)
    assert (status, printed) == (0, b"-: skipped, sharp.jpg exists; --overwrite replaces it\n")


def test_a_file_of_that_name(pipe, save, folder):
    shutil.copy(save("a.png"), folder / "-")
    status, data, _ = pipe("./-", "-o", "b.png")
    assert status == 0
    assert data.endswith(b" s)\n")
    with Image.open(folder / "b.png") as picture:
        assert picture.size == (32, 24)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "standard input: is empty; "),
        (b"text", "standard input: is not a picture; "),
        (b"\xff\xd8\xff", "standard input: is damaged or cut short ("),
    ],
)
def test_failures_are_one_line_and_nothing_else(pipe, data, reason):
    status, printed, said = pipe("-", data=data)
    assert (status, printed, len(said.splitlines())) == (1, b"", 1)
    assert said.startswith(reason)


def test_a_reader_that_goes_away(save, folder):
    save("photo.png", np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    with Process(
        [sys.executable, "-m", "ifan", "deblur", "photo.png", "-o", "-"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert said == "standard output: cannot be written (Broken pipe); check where it goes\n"
    assert process.returncode == 1


def test_no_terminals(save, folder):
    save("photo.png")
    ours, theirs = pty.openpty()
    for arguments, stream in (
        (["photo.png", "-o", "-"], "output"),
        (["-", "-o", "b.png"], "input"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ifan", "deblur", *arguments],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 2
        assert f"standard {stream} is a terminal" in done.stderr
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-", "a.png"], "standard input: is given with other inputs; give it alone"),
        (["a.png", "b.png", "-o", "-"], "standard output: takes one picture"),
        ([".", "-o", "-"], "standard output: takes one picture"),
        (["-", "-o", "folder"], "folder: has no suffix, and what comes from standard input has"),
        (["a.png", "-o", "-", "--compare"], "--compare writes two pictures"),
        (["a.png", "-o", "-", "--name", "b"], "is for results whose names are not given"),
    ],
)
def test_what_cannot_be(pipe, save, arguments, reason):
    save("a.png")
    found, printed, said = pipe(*arguments)
    assert (found, printed) == (2, b"")
    assert reason in said
