import pytest

from ifan.benchmarking.cost import multiplications
from ifan.models import export_onnx
from ifan.networks import IFAN
from ifan.training.cost import cost


@pytest.mark.parametrize("dual_pixel", [False, True])
def test_a_graph_has_the_multiplications_that_were_published_for_the_network(tmp_path, dual_pixel):
    network = IFAN(4, 3, dual_pixel=dual_pixel).eval()
    export_onnx(tmp_path / "graph.onnx", network)
    for height, width in [(16, 16), (720, 1280)]:
        expected = cost(network, height, width).macs
        assert multiplications(tmp_path / "graph.onnx", height, width) == expected


def test_filters_that_are_never_read_are_not_counted(tmp_path):
    network = IFAN(4, 3, shared_filters=True).eval()
    export_onnx(tmp_path / "graph.onnx", network)
    height, width = 64, 96
    channels, cells = 4 * network.width, (height // 8) * (width // 8)
    inputs = network.filter_predictor.output.weight.shape[1]
    unread = network.iterations * 3 * channels * (inputs + 1) * cells
    expected = cost(network, height, width).macs - unread
    assert multiplications(tmp_path / "graph.onnx", height, width) == expected
