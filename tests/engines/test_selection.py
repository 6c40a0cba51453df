from __future__ import annotations

import pytest

from ifan.engines import choose, selection
from ifan.engines.selection import device_of, installed, precisions, version
from ifan.errors import EngineError


@pytest.fixture
def machine(monkeypatch):
    """Describe another machine: its packages, its GPU and what OpenVINO says of its CPU."""

    def describe(packages=("openvino", "torch", "onnxruntime", "onnx"), gpu=None, cpu=("FP32",)):
        monkeypatch.setattr(selection, "installed", lambda package: package in packages)
        monkeypatch.setattr(selection, "accelerator", lambda: gpu)
        monkeypatch.setattr(selection, "openvino_capabilities", lambda: cpu)

    describe()
    return describe


@pytest.mark.parametrize("name", ["openvino", "torch", "onnxruntime"])
def test_every_engine_by_its_name(machine, name):
    assert choose(name) == (name, "cpu", "fp32", "as asked")


def test_auto_takes_openvino_on_a_cpu(machine):
    choice = choose()
    assert (choice.engine, choice.device) == ("openvino", "cpu")
    assert choice.reason == "it is the fastest on a CPU"


@pytest.mark.parametrize("gpu", ["cuda", "mps"])
def test_auto_takes_pytorch_where_there_is_a_gpu(machine, gpu):
    machine(gpu=gpu)
    choice = choose()
    assert (choice.engine, choice.device) == ("torch", gpu)
    assert f"the {gpu} device" in choice.reason
    assert choose("openvino").device == "cpu"


def test_auto_does_without_a_graph_if_there_can_be_none(machine):
    choice = choose(has_graph=False)
    assert choice.engine == "torch"
    assert "no ONNX graph" in choice.reason


def test_auto_takes_what_is_installed(machine):
    machine(packages=("openvino",))
    assert choose().engine == "openvino"
    machine(packages=("torch",))
    assert choose().engine == "torch"
    machine(packages=("onnxruntime", "onnx"))
    assert choose()[:3] == ("onnxruntime", "cpu", "fp32")
    assert choose().reason == "openvino is not installed"


@pytest.mark.parametrize(("packages", "has_graph"), [((), True), (("openvino",), False)])
def test_auto_without_anything_that_could_run_names_pytorch(machine, packages, has_graph):
    machine(packages=packages)
    with pytest.raises(EngineError, match=r"^model: .*; pip install 'ifan\[torch\]'$"):
        choose(has_graph=has_graph)


def test_an_unknown_engine_is_refused_with_the_known_ones(machine):
    with pytest.raises(EngineError, match="auto or openvino, torch, onnxruntime"):
        choose("tensorrt")


@pytest.mark.parametrize("name", ["openvino", "torch", "onnxruntime"])
def test_an_engine_that_is_missing_is_refused_with_the_way_to_get_it(machine, name):
    machine(packages=())
    with pytest.raises(EngineError, match=rf"--engine {name}: is not installed; pip install "):
        choose(name)


@pytest.mark.parametrize(
    ("cpu", "auto", "offered"),
    [
        (("FP32", "INT8"), "fp32", {"fp32"}),
        (("FP32", "BF16", "INT8"), "bf16", {"fp32", "bf16"}),
        (("FP32", "BF16", "FP16"), "bf16", {"fp32", "bf16", "fp16"}),
        # Half precision overflows where bfloat16 does not, so it must be asked for.
        (("FP32", "FP16"), "fp32", {"fp32", "fp16"}),
    ],
)
def test_openvino_offers_what_the_cpu_does(machine, cpu, auto, offered):
    machine(cpu=cpu)
    assert choose("openvino").precision == auto
    assert set(precisions("openvino", "cpu")) == offered
    for precision in offered:
        assert choose("openvino", precision).precision == precision


def test_a_precision_that_is_not_offered_is_refused_with_those_that_are(machine):
    with pytest.raises(EngineError, match=r"fp16: is not offered by torch .* auto or fp32, bf16"):
        choose("torch", "fp16")
    with pytest.raises(EngineError, match=r"int8: is not offered by onnxruntime .* auto or fp32"):
        choose("onnxruntime", "int8")


def test_pytorch_on_cuda_takes_fp32_and_less_if_asked(machine):
    machine(gpu="cuda")
    assert choose().precision == "fp32"
    for precision in ("bf16", "fp16"):
        assert choose(precision=precision).precision == precision


def test_this_machine_can_run_something():
    choice = choose()
    assert choice.device == device_of(choice.engine)
    assert choice.precision == precisions(choice.engine, choice.device)[0]


def test_packages_are_found_without_being_imported():
    assert installed("openvino")
    assert not installed("no_such_package")
    assert version("numpy").count(".") >= 2
    assert version("no-such-package") is None
