"""A graph that cannot be used is named, whatever the engine says of it."""

from __future__ import annotations

import numpy as np
import pytest

from ifan.engines import Choice, open_engine
from ifan.errors import ModelError
from ifan.models import open_model

PICTURE = np.zeros((1, 3, 16, 16), np.float32)


def deblur(name, graph):
    choice = Choice(name, "cpu", "fp32", "")
    engine = open_engine(choice, graph=lambda: graph, network=lambda: None)
    return engine.run({"center": PICTURE}, ("deblurred",))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:5000], lambda _: b"", lambda _: b"<!DOCTYPE html><html>"]
)
def test_a_damaged_graph_is_named(tmp_path, name, damage):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(damage(open_model().graph().read_bytes()))
    with pytest.raises(ModelError, match=r"model\.onnx: is damaged or no graph of an IFAN; "):
        deblur(name, graph)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_graph_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be read \(Is a directory\)"):
        deblur(name, tmp_path / "model.onnx")
