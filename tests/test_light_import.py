"""What starts without the heavy packages, each in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

HEAVY = {"fastapi", "numba", "numpy", "onnxruntime", "openvino", "pydantic", "pyvips", "torch"}


def loaded_by(program, *arguments):
    """Runs a program and returns the heavy packages that it has loaded."""
    code = (
        "import atexit, json, sys\n"
        f"atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) & {HEAVY!r}))))\n"
        f"{program}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_probe_sees_what_is_loaded():
    assert "numpy" in loaded_by("import numpy")


@pytest.mark.parametrize(
    "program",
    ["import ifan", "import ifan; ifan.__version__; ifan.IfanError", "import ifan.errors"],
)
def test_importing_the_package_loads_nothing_heavy(program):
    assert loaded_by(program) == set()


@pytest.mark.parametrize(
    "command",
    [
        "",
        "deblur",
        "defocus-map",
        "models",
        "models list",
        "data",
        "data simulate",
        "train",
        "evaluate",
        "serve",
        "benchmark",
    ],
)
def test_help_loads_nothing_heavy(command):
    program = "from ifan.commands import main\nmain()"
    # Typer may bring pydantic to check the arguments of a command.
    assert loaded_by(program, *command.split(), "--help") <= {"pydantic"}


def test_the_deblurrer_is_found_where_it_is_promised():
    program = "from ifan import Deblurrer\nassert Deblurrer.__module__ == 'ifan.deblurrer'"
    assert not loaded_by(program) & {"onnxruntime", "openvino", "torch"}


@pytest.mark.parametrize("command", ["deblur", "defocus-map"])
def test_the_bundled_model_runs_without_pytorch(tmp_path, command):
    picture = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    program = "from ifan.commands import main\nmain()"
    arguments = [command, tmp_path / "a.png", "-o", tmp_path / "b.png", "--engine", "openvino"]
    loaded = loaded_by(program, *arguments)
    assert (tmp_path / "b.png").exists()
    assert "openvino" in loaded
    assert "torch" not in loaded


def test_listing_models_runs_without_pytorch_and_engines():
    program = "from ifan.commands import main\nmain()"
    assert not loaded_by(program, "models", "list") & {"onnxruntime", "openvino", "torch"}
