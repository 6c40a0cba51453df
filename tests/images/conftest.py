import contextlib
import json
import re
import shutil
import subprocess

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20210622)


@pytest.fixture
def scene(rng):
    """A picture no two quarters of which are alike, smooth enough for JPEG: 48x64x3 uint8."""
    rows, columns = np.mgrid[0:48, 0:64]
    picture = np.stack([rows * 5, columns * 4, 255 - rows * 2 - columns], axis=-1)
    return picture.astype(np.uint8)


class ExifTool:
    """The reference for metadata; one process for all tests, as most of its time is its start."""

    def __init__(self):
        command = ["exiftool", "-stay_open", "True", "-@", "-"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.communicate(b"-stay_open\nFalse\n")

    def run(self, *arguments, succeeds=True):
        """Return what it prints."""
        lines = ["-q", *map(str, arguments), "-echo3", "{done ${status}}", "-execute", ""]
        self.process.stdin.write("\n".join(lines).encode())
        self.process.stdin.flush()
        printed = b""
        while not (done := re.search(rb"{done (\d+)}\n\Z", printed)):
            printed += self.process.stdout.readline() or pytest.fail("exiftool has ended")
        assert done[1] == b"0" or not succeeds, arguments
        return printed[: done.start()]

    def write(self, path, *arguments):
        self.run("-overwrite_original", *arguments, path)

    def read(self, path):
        return json.loads(self.run("-j", "-n", "-a", "-G1", path))[0]

    def binary(self, path, tag):
        return self.run("-b", f"-{tag}", path)

    def faults(self, path):
        """Warnings about the file's structure, not about tags somebody likes to be there."""
        return self.run("-warning", "-error", "-a", "-s3", path, succeeds=False).decode().strip()


@pytest.fixture(scope="session")
def exiftool():
    if shutil.which("exiftool") is None:
        pytest.skip("needs exiftool")
    with contextlib.closing(ExifTool()) as tool:
        yield tool
