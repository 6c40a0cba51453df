from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ifan.errors import ModelError, OutputError
from ifan.models import export_onnx
from ifan.networks import IFAN


def small_network(**variant):
    torch.manual_seed(0)
    return IFAN(width=4, iterations=2, **variant).eval()


@pytest.mark.parametrize("dual_pixel", [False, True])
def test_number_of_pictures_and_their_size_are_free(tmp_path, dual_pixel):
    network = small_network(dual_pixel=dual_pixel)
    path = tmp_path / "g.onnx"
    export_onnx(path, network)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = ["center", "left", "right"] if dual_pixel else ["center"]
    assert [node.name for node in session.get_inputs()] == names
    for shape in ((1, 3, 8, 8), (3, 3, 16, 40), (2, 3, 104, 64)):
        views = torch.rand(len(names), *shape)
        feed = dict(zip(names, views.numpy(), strict=True))
        found = session.run(["deblurred", "disparity"], feed)
        with torch.no_grad():
            expected = network.deblur(*views)[:2]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs.numpy()).max() < 1e-4


def test_the_graph_says_what_it_is_and_nothing_else_does(tmp_path, capfd):
    network = small_network(shared_filters=True)
    export_onnx(tmp_path / "g.onnx", network, sample_bits=16)
    assert capfd.readouterr() == ("", "")
    graph = onnx.load(tmp_path / "g.onnx")
    said = {entry.key: entry.value for entry in graph.metadata_props}
    assert said.keys() == {"ifan", "ifan-weights"}
    assert json.loads(said["ifan"]) == {
        "width": 4,
        "iterations": 2,
        "dual_pixel": False,
        "shared_filters": True,
        "output_activation": True,
        "sample_bits": 16,
    }


def test_shared_filters_leave_half_of_the_predictor_out(tmp_path):
    """The horizontal filters are never read, so the graph holds the rows of the others only."""
    rows = {}
    for shared in (False, True):
        export_onnx(tmp_path / "g.onnx", small_network(shared_filters=shared), overwrite=True)
        weights = onnx.load(tmp_path / "g.onnx").graph.initializer
        rows[shared] = sum(w.dims[0] for w in weights if list(w.dims[1:]) == [16, 1, 1])
    assert rows == {False: 2 * 7 * 16, True: 2 * 4 * 16}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("disparity_estimator.3.bias", float("nan")),
        ("reconstructor.output.bias", float("inf")),
        ("reconstructor.output.weight", 3e38),  # is finite, but its sums are not
    ],
)
def test_a_network_that_is_not_finite_is_refused(tmp_path, name, value):
    network = small_network()
    network.get_parameter(name).data.fill_(value)
    network.reconstructor.bottleneck[2][0].bias.data.fill_(9)
    with pytest.raises(ModelError, match=r"check that the weights are finite") as caught:
        export_onnx(tmp_path / "g.onnx", network)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "g.onnx").exists()


def test_leaves_a_file_alone(tmp_path):
    path = tmp_path / "g.onnx"
    path.write_text("precious")
    with pytest.raises(OutputError, match="already exists"):
        export_onnx(path, small_network())
    assert path.read_text() == "precious"
