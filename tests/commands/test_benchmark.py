import json
import os
import signal
import subprocess
import sys

import pytest

from ifan.models import export_onnx, save_safetensors
from ifan.models.store import GRAPH_NAME, WEIGHTS_NAME
from ifan.networks import IFAN
from processes import Process

OPTIONS = ["--sizes", "0.01,0.02", "--repeats", "1", "--engine", "openvino"]
ROW = {
    "megapixels",
    "height",
    "width",
    "network_seconds",
    "megapixels_per_second",
    "multiplications",
    "of_peak",
    "file_seconds",
    "peak_bytes",
}


@pytest.fixture
def dual_pixel_model(folder):
    """A small one, which takes three views."""
    network = IFAN(2, 1, dual_pixel=True).eval()
    path = folder / "small"
    path.mkdir()
    save_safetensors(path / WEIGHTS_NAME, network)
    export_onnx(path / GRAPH_NAME, network)
    return path


def test_each_size_is_a_line_and_an_entry(ifan, folder, dual_pixel_model):
    done = ifan("benchmark", *OPTIONS, "--model", dual_pixel_model, "--json", "measured.json")
    measured = json.loads((folder / "measured.json").read_text())
    assert (measured["model"], measured["engine"]) == ("small", "openvino")
    assert isinstance(measured["cold_start_seconds"], float)
    rows = measured["photographs"]
    assert [row["megapixels"] for row in rows] == [0.01, 0.02]
    for row in rows:
        assert set(row) == ROW
        assert row["height"] * row["width"] == pytest.approx(row["megapixels"] * 1e6, rel=0.01)
        assert 0 < row["network_seconds"] < row["file_seconds"]
        assert row["peak_bytes"] > 20e6  # Python and the libraries alone take that
        operations = row["multiplications"] / row["network_seconds"]
        share = operations / measured["product_multiplications_per_second"]
        assert row["of_peak"] == pytest.approx(share)
    title, heads, first, second, cold, peak = done.stdout.splitlines()
    assert title.startswith("small, openvino on cpu in ")
    assert "peak memory" in heads
    assert (first.split()[0], second.split()[0]) == ("0.01", "0.02")
    assert cold.startswith(f"cold start: {measured['cold_start_seconds']:.2f} s")
    assert peak.startswith("peak: a matrix product in ")
    assert done.stderr == ""


def test_failures_are_one_line_before_anything_is_measured(ifan, folder):
    (folder / "there.json").write_text("mine")
    for arguments, line in [
        (["--json", "there.json"], "there.json: already exists; "),
        (["--model", "none"], "none: is neither a file nor a model that is known; "),
    ]:
        done = ifan("benchmark", *OPTIONS, *arguments, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(line)
        assert done.stdout == ""
    assert (folder / "there.json").read_text() == "mine"
    for sizes in ("1,,2", "501"):
        assert "are no megapixels" in ifan("benchmark", "--sizes", sizes, status=2).stderr


def test_what_a_process_of_its_own_refuses_is_said_as_everywhere(ifan):
    done = ifan("benchmark", *OPTIONS, "--json", "-", "--memory", "0.1", status=1)
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("0.01 megapixels: 122x82 pixels need ")
    assert "--memory" in done.stderr
    assert done.stdout == ""


def test_it_stops_when_it_is_told_and_leaves_nothing_behind(folder):
    temporary = folder / "temporary"
    temporary.mkdir()
    with Process(
        [sys.executable, "-m", "ifan", "benchmark", "--sizes", "8", "--repeats", "9"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where tests run in the background, it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        for _ in range(2):
            running.stdout.readline()  # the work begins after the table's head
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=60) == 130
        assert running.stderr.read() == "stopped; the same command begins anew\n"
    assert list(temporary.iterdir()) == []
