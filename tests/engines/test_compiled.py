"""What is compiled is kept, and is of no harm when it is damaged or cannot be kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ifan.engines import Choice, compiled, open_engine
from ifan.engines.openvino import OpenVINOEngine
from ifan.engines.staged import StagedNetwork
from ifan.models import export_onnx
from ifan.networks import IFAN


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    export_onnx(path, IFAN(1, 1))
    return path


@pytest.fixture
def deblurred(graph):
    """Deblurs in a new engine that keeps what it compiles in a folder."""

    def run(folder, side=16, precision="fp32"):
        choice = Choice("openvino", "cpu", precision, "")
        engine = open_engine(choice, graph=lambda: graph, network=lambda: None, compiled=folder)
        picture = np.linspace(0, 1, 3 * side * side, dtype=np.float32).reshape(1, 3, side, side)
        return engine.run({"center": picture}, ("deblurred",))[0]

    return run


def times(folder):
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_the_same_is_compiled_once(deblurred, tmp_path):
    first = deblurred(tmp_path)
    kept = times(tmp_path)
    assert len(kept) == 1
    assert np.array_equal(deblurred(tmp_path), first)
    assert times(tmp_path) == kept


def test_sizes_and_graphs_are_told_apart(deblurred, graph, tmp_path):
    deblurred(tmp_path)
    deblurred(tmp_path, side=24)
    assert len(times(tmp_path)) == 2
    export_onnx(graph, IFAN(1, 2), overwrite=True)
    deblurred(tmp_path)
    assert len(times(tmp_path)) == 3


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40], lambda _: b""])
def test_what_is_damaged_is_compiled_anew(deblurred, tmp_path, damage):
    expected = deblurred(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert np.array_equal(deblurred(tmp_path), expected)
    assert len(path.read_bytes()) == len(whole)


def test_a_folder_that_cannot_be_is_done_without(deblurred, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert np.array_equal(deblurred(tmp_path / "file" / "folder"), deblurred(None))


def test_the_next_picture_finds_all_graphs_that_a_large_one_at_several_sizes_needs(
    graph, tmp_path, monkeypatch
):
    engine = OpenVINOEngine(graph, "fp32", tmp_path)
    network = StagedNetwork(engine, width=1, iterations=1)
    asked = []
    find = engine._kept.compiled
    monkeypatch.setattr(engine._kept, "compiled", lambda *of: asked.append(of) or find(*of))
    counts = []
    for _ in range(2):
        for cells in (70, 35, 17):
            height, width = 8 * cells, 8 * cells - 16
            room = engine.memory.whole * 560 * 544 - 1  # for all but the largest
            for size in ((height, width), (width, height)):  # in several passes it is seen so, too
                network.deblur((np.zeros((1, 3, *size), np.float32),), room)
        counts.append(len(asked))
    assert counts == [12, 12]  # of four stages, or whole twice; and of each as it is transposed


def test_no_more_than_six_whole_networks_stay_in_memory(graph, monkeypatch):
    engine = OpenVINOEngine(graph, "fp32")
    asked = []
    find = engine._kept.compiled
    monkeypatch.setattr(engine._kept, "compiled", lambda *of: asked.append(of) or find(*of))
    for side in (16, 24, 32, 40, 48, 56, 56, 24, 64, 24, 16):
        engine.run({"center": np.zeros((1, 3, side, side), np.float32)}, ("deblurred",))
    assert len(asked) == 8  # the seven sizes, and again the one not used for longest


def test_only_the_latest_are_kept(deblurred, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "_KEPT_FILES", 2)
    deblurred(tmp_path, side=16)
    first = set(times(tmp_path))
    deblurred(tmp_path, side=24)
    deblurred(tmp_path, side=16)  # used again, so the other one is older
    deblurred(tmp_path, side=32)
    assert len(times(tmp_path)) == 2
    assert first < set(times(tmp_path))


def test_what_another_user_compiled_is_used(deblurred, tmp_path, monkeypatch):
    deblurred(tmp_path)
    kept = times(tmp_path)

    def refuse(path):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("os.utime", refuse)
    deblurred(tmp_path)
    assert times(tmp_path) == kept


def test_what_killed_processes_left_is_removed(deblurred, tmp_path):
    leftover = tmp_path / ".ifan-0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    deblurred(tmp_path)
    assert not leftover.exists()
