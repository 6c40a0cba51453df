import json
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
    """The reference for metadata."""

    def write(self, path, *arguments):
        subprocess.run(["exiftool", "-q", "-overwrite_original", *arguments, str(path)], check=True)

    def read(self, path):
        done = subprocess.run(
            ["exiftool", "-j", "-n", "-a", "-G1", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)[0]

    def binary(self, path, tag):
        done = subprocess.run(
            ["exiftool", "-b", f"-{tag}", str(path)], capture_output=True, check=True
        )
        return done.stdout

    def faults(self, path):
        """Warnings about the file's structure, not about tags somebody likes to be there."""
        done = subprocess.run(
            ["exiftool", "-warning", "-error", "-a", "-s3", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()


@pytest.fixture
def exiftool():
    if shutil.which("exiftool") is None:
        pytest.skip("needs exiftool")
    return ExifTool()
