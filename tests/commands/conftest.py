import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def picture():
    """A picture with soft edges, which deblurring changes: 24x32x3."""
    rows, columns = np.mgrid[:24, :32] / 6
    shift = np.array([0, 2, 4])
    waves = np.sin(rows[..., None] + shift) * np.sin(columns[..., None] - shift)
    return np.rint(127 + 100 * waves).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Where the command line is run: empty at first."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def save(folder, picture):
    """Writes pictures into the folder."""

    def write(name, pixels=None, **options):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture if pixels is None else pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def ifan(folder):
    """Runs the command line in a process of its own; nothing but its streams tells what it did."""

    def run(*arguments, status=0, environment=None, **options):
        done = subprocess.run(
            [sys.executable, "-m", "ifan", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        said = done.stdout + done.stderr
        assert ("Traceback" in said) == ("--debug" in arguments and status != 0)
        assert not any(character in said for character in "\x1b\r\b")
        return done

    return run
