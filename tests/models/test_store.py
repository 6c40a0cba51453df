from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ifan.errors import ModelError, OutputError
from ifan.models import (
    load_released_checkpoint,
    open_model,
    save_released_checkpoint,
    save_safetensors,
)
from ifan.models import store as module
from ifan.models.headers import read_header
from ifan.models.importing import import_model
from ifan.models.store import export_model
from ifan.networks import IFAN, ReblurringNetwork
from small_models import BUNDLED, assert_weights_of, small_network

# --- the bundled model -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name"),
    [(None, "ifan-s"), ("ifan-s", "ifan-s"), ("IFAN-S", "ifan-s"), ("ifan-m", "ifan-m")],
)
def test_the_bundled_models_are_there_by_name_and_one_by_default(asked, name):
    model = open_model(asked)
    assert model.name == model.entry.name == name
    assert model.has_graph
    assert model.graph() == model.shipped_graph
    assert model.description.configuration == model.entry.configuration
    assert model.description.sample_bits == model.entry.sample_bits


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_has_a_card(name):
    assert f"# Model card: {name}" in (open_model(name).weights.parent / "README.md").read_text()


def test_the_bundled_model_needs_no_pytorch():
    program = """
import sys
from ifan.models import open_model
model = open_model()
assert model.description.configuration.iterations == 8
assert model.graph().is_file()
heavy = {"torch", "onnx", "openvino", "onnxruntime"} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_graph_and_weights_are_the_same_model(name):
    model = open_model(name)
    picture = np.random.default_rng(0).random((1, 3, 72, 104), np.float32)
    session = onnxruntime.InferenceSession(model.graph(), providers=["CPUExecutionProvider"])
    found = session.run(["deblurred", "disparity"], {"center": picture})
    with torch.no_grad():
        expected = model.network().deblur(torch.from_numpy(picture))
    assert np.abs(found[0] - expected.deblurred.numpy()).max() < 1e-4
    assert np.abs(found[1] - expected.disparity.numpy()).max() < 1e-4
    assert np.abs(found[0] - picture).max() > 0.01  # it does something


# --- opening -----------------------------------------------------------------------------------


def test_opens_a_file(released):
    model = open_model(released)
    assert (model.name, model.weights, model.entry) == ("mine", released, None)
    assert model.description.configuration.shared_filters
    assert_weights_of(model, small_network())


def test_opens_a_folder(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    save_safetensors(folder / "model.safetensors", small_network())
    model = open_model(folder)
    assert (model.name, model.shipped_graph) == ("my model", None)
    (folder / "model.onnx").touch()
    assert open_model(folder).shipped_graph == folder / "model.onnx"


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        open_model(tmp_path)


def test_a_graph_alone_is_refused_and_runs_from_a_folder_with_its_weights(tmp_path, released):
    folder = tmp_path / "folder"
    folder.mkdir()
    export_model(open_model(released), folder / "model.onnx")
    export_model(open_model(released), folder / "model.safetensors")
    remedy = r"put it as model\.onnx beside model\.safetensors .* and give the folder"
    for use in (
        lambda path: open_model(path).description,
        lambda path: open_model(path).checkpoint,
        lambda path: import_model(path, "mine"),
    ):
        with pytest.raises(ModelError, match=rf"is an ONNX graph by its name.*; {remedy}$"):
            use(folder / "model.onnx")
    model = open_model(folder)
    assert model.graph() == folder / "model.onnx"
    assert model.description == open_model(released).description


@pytest.mark.parametrize("container", [".safetensors", ".pytorch"])
def test_a_graph_of_other_weights_than_those_beside_it_is_refused(tmp_path, container):
    """As it lies there when only one of the two was replaced."""
    folder = tmp_path / "mine"
    folder.mkdir()
    weights, graph = folder / "model.safetensors", folder / "model.onnx"
    before, now = (tmp_path / f"{name}{container}" for name in ("before", "now"))
    save = save_safetensors if container == ".safetensors" else save_released_checkpoint
    for seed, path in enumerate((before, now)):
        torch.manual_seed(seed)
        save(path, IFAN(width=1, iterations=1))
    export_model(open_model(before), graph)
    for half in (False, True):  # the same weights, rounded or not
        export_model(open_model(before), weights, half=half, overwrite=True)
        assert open_model(folder).graph() == graph
    export_model(open_model(now), weights, overwrite=True)
    with pytest.raises(ModelError, match=r"model\.onnx: was made of other weights than model\.saf"):
        open_model(folder).graph()
    export_model(open_model(weights), graph, overwrite=True)  # as the remedy says
    assert open_model(folder).graph() == graph


@pytest.mark.parametrize("name", ["nonsense", "../x", "no/such/file.pth", ""])
def test_an_unknown_model_is_refused_with_a_remedy(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"ifan models list|holds no model"):
        open_model(name)


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(ModelError, match=r"cannot be looked up \(File name too long\)"):
        open_model("x" * 300)


@pytest.mark.parametrize("name", ["IFAN_dual", "ifan_DUAL"])
def test_a_released_model_that_is_not_here_can_be_downloaded(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()  # as a clone of the released code may be called
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"^IFAN_dual: .*ifan models download IFAN_dual$"):
        open_model(name)


def test_weights_need_pytorch_but_what_they_are_does_not(tmp_path, released, without):
    save_safetensors(tmp_path / "m.safetensors", small_network(), sample_bits=16)
    without("torch")
    model = open_model(tmp_path / "m.safetensors")
    assert model.description.sample_bits == 16
    assert not model.has_graph
    for use in (model.network, model.graph, lambda: open_model(released).description):
        with pytest.raises(ModelError, match=r"needs PyTorch to be read; pip install"):
            use()


def with_metadata(path, metadata):
    """Write a safetensors file that says other things of itself."""
    save_safetensors(path, small_network())
    save_file(load_file(path), path, metadata)
    return path


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"


@pytest.fixture(params=["pointer", "truncated", "cut in the header", "empty", "notes", "no table"])
def faulty(request, tmp_path):
    """A file that is no safetensors file any more, or says nothing sensible of itself."""
    path = tmp_path / "m.safetensors"
    save_safetensors(path, small_network())
    whole = path.read_bytes()
    contents = {
        "pointer": LFS_POINTER,
        "truncated": whole[:-1],
        "cut in the header": whole[:100],
        "empty": b"",
    }
    if request.param in contents:
        path.write_bytes(contents[request.param])
    else:
        path.unlink()
        with_metadata(path, {"ifan": {"notes": '{"notes": 1}', "no table": "[]"}[request.param]})
    return path


def test_without_pytorch_a_faulty_file_is_told_as_with_it(faulty, without):
    with pytest.raises(ModelError) as with_pytorch:
        load_released_checkpoint(faulty)
    without("torch")
    for use in ("description", "parameters", "checkpoint"):
        with pytest.raises(ModelError) as caught:
            getattr(open_model(faulty), use)
        assert str(caught.value) == str(with_pytorch.value)
        assert "PyTorch" not in str(caught.value)


def test_without_pytorch_any_other_bytes_are_refused_too(tmp_path):
    path = tmp_path / "arbitrary.safetensors"
    save_safetensors(path, small_network())
    whole = path.read_bytes()

    @settings(deadline=None, max_examples=200)
    @given(content=st.binary(min_size=1, max_size=60), cut=st.integers(0, 3000))
    def are_refused(content, cut):
        for damaged in (content, whole[:cut]):
            path.write_bytes(damaged)
            if not damaged.startswith((b"PK", b"\x80")):
                with pytest.raises(ModelError, match=r"is damaged or no checkpoint|is empty"):
                    read_header(path)

    are_refused()


def test_without_pytorch_what_does_not_describe_itself_still_needs_it(tmp_path, without):
    path = with_metadata(tmp_path / "m.safetensors", {"format": "pt"})
    expected = open_model(path).description
    without("torch")
    with pytest.raises(ModelError, match="needs PyTorch to be read"):
        _ = open_model(path).description
    assert expected.configuration.shared_filters


def test_weights_that_have_gone_cannot_be_hashed(released):
    model = open_model(released)
    released.unlink()
    with pytest.raises(ModelError, match=r"mine\.pytorch: does not exist; check the name"):
        _ = model.sha256
    released.mkdir()
    with pytest.raises(ModelError, match=r"cannot be read \(Is a directory\)"):
        model.graph()


def test_counts_the_parameters_of_the_network_alone(tmp_path, released):
    network = small_network()
    save_safetensors(tmp_path / "m.safetensors", network, ReblurringNetwork(1, 1, 2))
    expected = sum(parameter.numel() for parameter in network.parameters())
    assert open_model(tmp_path / "m.safetensors").parameters == expected
    assert open_model(released).parameters == expected


# --- graphs ------------------------------------------------------------------------------------


def test_a_graph_is_made_once_and_kept(released, home):
    graph = open_model(released).graph()
    assert graph.parent == home / "graphs"
    made = graph.stat().st_mtime_ns
    assert open_model(released).graph() == graph
    assert graph.stat().st_mtime_ns == made
    assert sorted(home.iterdir()) == [home / "graphs"]


def test_a_graph_that_is_kept_needs_no_pytorch(released, without):
    graph = open_model(released).graph()
    without("torch", "onnx")
    model = open_model(released)
    assert model.has_graph
    assert model.graph() == graph
    graph.unlink()
    assert not model.has_graph
    with pytest.raises(ModelError, match="needs PyTorch to be read"):
        model.graph()


def test_a_graph_that_is_kept_is_found_without_loading_anything(released):
    graph = open_model(released).graph()
    program = f"""
import sys
from ifan.models import open_model
model = open_model({str(released)!r})
assert model.has_graph
assert str(model.graph()) == {str(graph)!r}
assert not {{"torch", "onnx", "safetensors.torch"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_weights_are_hashed_once(released, without, monkeypatch):
    open_model(released).graph()
    without("torch")
    hashed = []
    digest = module.sha256_of
    monkeypatch.setattr(module, "sha256_of", lambda path: hashed.append(path) or digest(path))
    model = open_model(released)
    assert model.has_graph
    model.graph()
    model.graph()
    assert model.sha256 == hashlib.sha256(released.read_bytes()).hexdigest()
    assert hashed == [released]


def test_other_weights_have_another_graph(tmp_path, released):
    other = tmp_path / "other.pytorch"
    save_released_checkpoint(other, small_network(shared_filters=False))
    assert open_model(other).graph() != open_model(released).graph()


def test_without_the_package_onnx_no_graph_can_be_made(released, without):
    without("onnx")
    model = open_model(released)
    assert not model.has_graph
    with pytest.raises(ModelError, match="needs the package onnx to become a graph; pip install"):
        model.graph()


# --- export ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pytorch", ".pth", ".PT"])
def test_exports_weights(tmp_path, released, suffix):
    path = tmp_path / f"out{suffix}"
    export_model(open_model(released), path)
    assert_weights_of(open_model(path), small_network())
    assert open_model(path).description == open_model(released).description
    if suffix != ".safetensors":
        assert all(key.startswith("module.") for key in torch.load(path, weights_only=True))


def test_exports_a_graph(tmp_path, released):
    path = tmp_path / "out.onnx"
    export_model(open_model(released), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == ["center"]
    assert [node.name for node in session.get_outputs()][:2] == ["deblurred", "disparity"]


def test_a_graph_that_is_there_is_copied_without_pytorch(tmp_path, released, without):
    made = open_model(released).graph()
    without("torch", "onnx")
    for model, graph in ((open_model(), open_model().shipped_graph), (open_model(released), made)):
        path = tmp_path / f"{model.name}.onnx"
        export_model(model, path)
        assert path.read_bytes() == graph.read_bytes()
        with pytest.raises(ModelError, match="needs PyTorch"):
            export_model(model, tmp_path / "out.safetensors")


def test_a_shipped_graph_that_cannot_be_read(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    save_safetensors(folder / "model.safetensors", small_network())
    (folder / "model.onnx").touch()
    model = open_model(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: does not exist"):
        export_model(model, tmp_path / "out.onnx")


def test_the_16_bits_of_a_model_stand_in_what_is_exported(tmp_path):
    import onnx

    source = tmp_path / "m.safetensors"
    save_safetensors(source, small_network(), sample_bits=16)
    model = open_model(source)
    export_model(model, tmp_path / "out.safetensors")
    assert load_released_checkpoint(tmp_path / "out.safetensors").description.sample_bits == 16
    export_model(model, tmp_path / "out.onnx")
    for graph in (tmp_path / "out.onnx", model.graph()):
        (said,) = (e.value for e in onnx.load(graph).metadata_props if e.key == "ifan")
        assert '"sample_bits": 16' in said


def test_half_the_size_is_the_same_model_rounded_with_and_without_pytorch(tmp_path):
    """The weights in float16, of which graph and checkpoint give the same picture."""
    sizes = {}
    for suffix in (".safetensors", ".onnx"):
        for half in (False, True):
            path = tmp_path / f"{half}{suffix}"
            export_model(open_model(), path, half=half)
            sizes[suffix, half] = path.stat().st_size
        assert sizes[suffix, True] < 0.52 * sizes[suffix, False]
    picture = np.random.default_rng(0).random((1, 3, 72, 104), np.float32)
    graph = tmp_path / "True.onnx"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(["deblurred"], {"center": picture})
    rounded = open_model(tmp_path / "True.safetensors")
    assert rounded.description == open_model().description
    with torch.no_grad():
        expected, whole = (
            model.network()(torch.from_numpy(picture)).numpy() for model in (rounded, open_model())
        )
    assert np.abs(found - expected).max() < 1e-3  # biases of the graph stay float32
    assert 0 < np.abs(expected - whole).max() < 2e-3


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_weights_that_half_the_size_cannot_hold_are_refused(tmp_path, suffix):
    network = small_network()
    network.reconstructor.output.weight.data[0, 0, 0, 0] = 1e5
    save_safetensors(tmp_path / "m.safetensors", network)
    model = open_model(tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=rf"out\{suffix}: cannot hold these weights.* --half"):
        export_model(model, tmp_path / f"out{suffix}", half=True)
    assert not (tmp_path / f"out{suffix}").exists()


def test_the_released_form_and_a_graph_without_onnx_are_not_made_half(tmp_path, without):
    with pytest.raises(
        OutputError, match=r"out\.pth: would be of another kind .* leave out --half"
    ):
        export_model(open_model(), tmp_path / "out.pth", half=True)
    without("onnx")
    with pytest.raises(ModelError, match=r"out\.onnx: needs the package onnx"):
        export_model(open_model(), tmp_path / "out.onnx", half=True)


@pytest.mark.parametrize("name", ["out.zip", "out", "onnx"])
def test_other_suffixes_are_refused(tmp_path, released, name):
    with pytest.raises(OutputError, match=r"is of no kind that is written; use \.onnx, "):
        export_model(open_model(released), tmp_path / name)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".pytorch"])
def test_export_leaves_a_file_alone_unless_asked(tmp_path, released, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("precious")
    with pytest.raises(OutputError, match="already exists"):
        export_model(open_model(released), path)
    assert path.read_text() == "precious"
    export_model(open_model(released), path, overwrite=True)
    assert path.stat().st_size > 1000


def test_no_folder_to_export_to(released):
    with pytest.raises(OutputError, match="its folder does not exist"):
        export_model(open_model(released), Path("/no/such/folder/out.onnx"))
