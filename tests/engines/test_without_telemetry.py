"""OpenVINO without its telemetry, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

DEBLUR = """
import sys
from ifan.commands import main
try:
    main()
finally:
    assert "openvino" in sys.modules
    assert "openvino_telemetry" not in sys.modules
"""

KEEPS = """
import sys, types
import numpy as np
mine = sys.modules["openvino_telemetry"] = types.ModuleType("openvino_telemetry")
from ifan import Deblurrer
Deblurrer(engine="openvino")(np.zeros((8, 8), np.uint8))
assert sys.modules["openvino_telemetry"] is mine
"""


@pytest.fixture
def run(tmp_path):
    """Runs a program with a home folder of its own and returns what is in that afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "IFAN_HOME"}
    environment |= {"HOME": str(home), "USERPROFILE": str(home)}

    def run_program(program, *arguments):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        subprocess.run(command, env=environment, timeout=120, check=True)
        return list(home.rglob("*"))

    return run_program


def test_deblurring_leaves_only_what_it_compiled_in_the_home_folder(run, tmp_path):
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.png")
    arguments = ["deblur", tmp_path / "a.png", "--engine", "openvino"]
    files = [path for path in run(DEBLUR, *arguments) if path.is_file()]
    assert [path.suffix for path in files] == [".compiled"]
    assert (tmp_path / "a.deblurred.png").exists()


def test_what_was_imported_before_stays(run):
    run(KEEPS)
