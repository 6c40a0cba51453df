from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from ifan.engines import memory
from ifan.engines.memory import allocation_errors, available_memory
from ifan.errors import OutOfMemoryError

LIMITED = """
import resource, sys
import numpy as np, psutil, torch
from ifan.engines import Choice, open_engine
from ifan.errors import EngineError
from ifan.models import open_model

model = open_model()
choice = Choice(sys.argv[1], "cpu", "fp32", "")
engine = open_engine(choice, graph=model.graph, network=model.network)
small, large = (np.zeros((1, 3, side, side), np.float32) for side in (64, 2048))
engine.run({"center": small}, ("deblurred",))
limit = psutil.Process().memory_info().vms + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    engine.run({"center": large}, ("deblurred",))
except EngineError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_running_out_of_memory_is_one_line(engine):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, engine], capture_output=True, text=True, check=True
    )
    expected = (
        "network: memory ran out at 2048x2048 pixels; "
        "close other programs, or give more --memory or a smaller --working-size\n"
    )
    assert (done.stdout, done.stderr) == (expected, "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 5 bytes"),
        RuntimeError("Exception from src/core: std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("Failed to allocate memory for requested buffer of size 8"),
    ],
    ids=str,
)
def test_what_engines_say_when_memory_runs_out(error):
    expected = pytest.raises(OutOfMemoryError, match="ran out at 20x10 pixels; ")
    with expected as caught, allocation_errors({"center": (1, 3, 10, 20)}):
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_are_not_taken_for_it():
    with (
        pytest.raises(RuntimeError, match="sizes differ"),
        allocation_errors({"center": (1, 3, 10, 20)}),
    ):
        raise RuntimeError("sizes differ")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Where a machine with 3 GB free says what this process may have; says nothing at first."""
    free = SimpleNamespace(available=3_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path


def limit_group(group, limit, used, files=0):
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {files}\nslab 7\n")


@pytest.mark.parametrize(
    ("limit", "used", "files", "available"),
    [
        (2_000_000_000, 500_000_000, 0, 1_500_000_000),
        # What is kept of files gives way when memory is asked for.
        (2_000_000_000, 1_900_000_000, 1_000_000_000, 1_100_000_000),
        (2_000_000_000, 2_100_000_000, 0, 0),
        (9_000_000_000, 500_000_000, 0, 3_000_000_000),
        ("max", 500_000_000, 0, 3_000_000_000),
    ],
)
def test_a_container_may_have_less_than_the_machine(machine, limit, used, files, available):
    assert available_memory() == 3_000_000_000
    (machine / "own").write_text("0::/\n")
    limit_group(machine / "groups", limit, used, files)
    assert available_memory() == available


@pytest.mark.parametrize("limited", [".", "user.slice", "user.slice/a.scope"])
def test_what_limits_its_group_or_one_around_it_limits_a_process(machine, limited):
    (machine / "own").write_text("0::/user.slice/a.scope\n")
    for group in ("user.slice", "user.slice/a.scope", "user.slice/a.scope/of-others"):
        limit_group(machine / "groups" / group, "max", 5)
    limit_group(machine / "groups/user.slice/a.scope/of-others", 1_000, 5)
    limit_group(machine / "groups" / limited, 2_000_000_000, 500_000_000)
    assert available_memory() == 1_500_000_000


@pytest.mark.parametrize("folder", ["docker/1a", "."], ids=["on the machine", "in a container"])
def test_groups_of_the_first_version_limit_it_too(machine, folder):
    (machine / "own").write_text("5:cpu,memory:/docker/1a\n1:name=systemd:/\n0::/\n")
    group = machine / "groups" / "memory" / folder
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("2000000000\n")
    (group / "memory.usage_in_bytes").write_text("1000000000\n")
    (group / "memory.stat").write_text("inactive_file 7\ntotal_inactive_file 300000000\n")
    assert available_memory() == 1_300_000_000


def test_a_tile_of_features_is_told_in_pixels():
    expected = pytest.raises(OutOfMemoryError, match="ran out at 160x80 pixels; ")
    with expected, allocation_errors({"encoded": (1, 64, 10, 20)}):
        raise MemoryError
