from __future__ import annotations

import io
import itertools
import json
import pickle
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.errors import ModelError, OutputError
from ifan.models import (
    load_released_checkpoint,
    save_released_checkpoint,
    save_safetensors,
)
from ifan.models.configuration import Configuration
from ifan.networks import IFAN, ReblurringNetwork

RELEASED = {
    "IFAN": (17, False, 17),
    "IFAN_8": (8, False, 8),
    "IFAN_26": (26, False, 9),
    "IFAN_35": (35, False, 17),
    "IFAN_44": (44, False, 17),
    "IFAN_dual": (17, True, 17),
}
READINGS = list(itertools.product((True, False), repeat=2))


def small_networks(seed=0, width=1, iterations=1, **variant):
    torch.manual_seed(seed)
    network = IFAN(width, iterations, **variant)
    return network, ReblurringNetwork(width, iterations, 2, network.shared_filters)


def small_released(folder, **variant):
    """The tensors of a small file in the released form, with the reblurring network."""
    path = folder / "small.pytorch"
    save_released_checkpoint(path, *small_networks(**variant))
    tensors = torch.load(path, weights_only=True)
    path.unlink()
    return tensors


def write(path, tensors):
    torch.save(tensors, path)
    return path


def refusal(path):
    with pytest.raises(ModelError) as caught:
        load_released_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def assert_equal(found, expected):
    assert (found is None) == (expected is None)
    if found is not None:
        ours, theirs = found.state_dict(), expected.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- released checkpoints ----------------------------------------------------------------------


@pytest.mark.parametrize("name", RELEASED)
def test_released_layout_is_recognised_and_saved_back_equal(tmp_path, checkpoint_layout, name):
    torch.manual_seed(0)
    tensors = {key: 0.02 * torch.randn(shape) for key, shape in checkpoint_layout[name].items()}
    source, copy = write(tmp_path / "released.pytorch", tensors), tmp_path / "copy.pytorch"
    network, reblurring, description = load_released_checkpoint(source)
    save_released_checkpoint(copy, network, reblurring)
    saved = torch.load(copy, weights_only=True)
    source.unlink()
    copy.unlink()

    iterations, dual_pixel, reblurring_iterations = RELEASED[name]
    assert description.configuration == Configuration(
        width=32,
        iterations=iterations,
        dual_pixel=dual_pixel,
        shared_filters=True,
        output_activation=True,
    )
    assert reblurring.reblurring_iterations == reblurring_iterations
    assert reblurring.shared_filters
    assert saved.keys() == tensors.keys()
    assert all(torch.equal(saved[key], tensor) for key, tensor in tensors.items())


def test_released_weights_give_the_released_result(
    tmp_path, golden, with_golden_weights, checkpoint_layout
):
    """From a file to the picture: the channel order of the filters is part of that."""
    network = with_golden_weights(IFAN(iterations=8, shared_filters=True)).float()
    path = tmp_path / "golden.pytorch"
    save_released_checkpoint(path, network)
    keys = torch.load(path, weights_only=True).keys()
    assert keys == {k for k in checkpoint_layout["IFAN_8"] if k.startswith("module.Network.")}
    values = golden("ifan_n8_eval.safetensors")
    with torch.no_grad():
        found = load_released_checkpoint(path).network(values["input"].float()).clamp(0, 1)
    torch.testing.assert_close(found.double(), values["result_shared_filter"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("with_reblurring", [False, True])
@pytest.mark.parametrize("prefix", ["module.Network.", "Network.", "module.", ""])
def test_keys_with_and_without_prefixes_are_the_same(tmp_path, prefix, with_reblurring):
    network, reblurring = small_networks(shared_filters=True)
    tensors = {}
    for key, tensor in small_released(tmp_path, shared_filters=True).items():
        if key.startswith("module.Network."):
            tensors[prefix + key.removeprefix("module.Network.")] = tensor
        elif with_reblurring:
            tensors[key if prefix.startswith("module.") else key.removeprefix("module.")] = tensor
    loaded = load_released_checkpoint(write(tmp_path / "c.pth", tensors))
    assert_equal(loaded.network, network)
    assert_equal(loaded.reblurring, reblurring if with_reblurring else None)


@pytest.mark.parametrize(("shared_filters", "output_activation"), READINGS)
def test_readings_survive_in_the_released_form(tmp_path, shared_filters, output_activation):
    variant = {"shared_filters": shared_filters, "output_activation": output_activation}
    network, reblurring = small_networks(**variant)
    path = tmp_path / "c.pytorch"
    save_released_checkpoint(path, network, reblurring)
    keys = torch.load(path, weights_only=True).keys()
    assert all(key.startswith(("module.Network.", "module.reblurNet.")) for key in keys)
    assert ("module.Network.separate_filters" in keys) == (not shared_filters)
    assert ("module.Network.no_output_activation" in keys) == (not output_activation)
    loaded = load_released_checkpoint(path)
    assert loaded.network.shared_filters == loaded.reblurring.shared_filters == shared_filters
    assert loaded.network.output_activation == output_activation
    assert_equal(loaded.network, network)
    assert_equal(loaded.reblurring, reblurring)


def test_16_bit_weights_become_float32(tmp_path):
    tensors = {key: tensor.half() for key, tensor in small_released(tmp_path).items()}
    loaded = load_released_checkpoint(write(tmp_path / "c.pytorch", tensors))
    for network in (loaded.network, loaded.reblurring):
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_loaded_network_can_be_used_and_trained_on(tmp_path):
    loaded = load_released_checkpoint(write(tmp_path / "c.pytorch", small_released(tmp_path)))
    assert not loaded.network.training
    loaded.network(torch.rand(1, 3, 8, 8)).mean().backward()
    assert all(parameter.grad is not None for parameter in loaded.network.parameters())


def test_a_network_laid_out_for_an_engine_is_saved_alike(tmp_path):
    network, _ = small_networks(width=2)
    save_released_checkpoint(tmp_path / "a.pth", network)
    save_safetensors(tmp_path / "a.safetensors", network)
    network.to(memory_format=torch.channels_last)
    save_released_checkpoint(tmp_path / "b.pth", network)
    save_safetensors(tmp_path / "b.safetensors", network)
    for suffix in (".pth", ".safetensors"):
        pair = (load_released_checkpoint(tmp_path / f"{name}{suffix}").network for name in "ab")
        assert_equal(*pair)


# --- safetensors -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    width=st.integers(1, 6),
    iterations=st.integers(1, 4),
    dual_pixel=st.booleans(),
    shared_filters=st.booleans(),
    output_activation=st.booleans(),
    sample_bits=st.sampled_from([8, 16]),
    with_reblurring=st.booleans(),
    save=st.sampled_from([save_safetensors, save_released_checkpoint]),
)
def test_files_keep_everything(
    tmp_path_factory, sample_bits, with_reblurring, save, **configuration
):
    network, reblurring = small_networks(**configuration)
    reblurring = reblurring if with_reblurring else None
    path = tmp_path_factory.getbasetemp() / "kept"
    save(path, network, reblurring, sample_bits=sample_bits, overwrite=True)
    loaded = load_released_checkpoint(path)
    assert loaded.description.configuration == Configuration(**configuration)
    assert loaded.description.sample_bits == sample_bits
    assert_equal(loaded.network, network)
    assert_equal(loaded.reblurring, reblurring)


def with_metadata(folder, metadata):
    path = folder / "m.safetensors"
    save_safetensors(path, small_networks()[0], overwrite=True)
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)
    return path


PLAIN = {
    "width": 1,
    "iterations": 1,
    "dual_pixel": False,
    "shared_filters": False,
    "output_activation": False,
}


def test_notes_in_the_metadata_are_no_hindrance(tmp_path):
    notes = {"trained": "on 100 pictures", "steps": 5, "scores": {"psnr": 25.1}}
    metadata = {"ifan": json.dumps(PLAIN | notes), "format": "pt"}
    description = load_released_checkpoint(with_metadata(tmp_path, metadata)).description
    assert description.configuration == Configuration(**PLAIN)
    assert description.sample_bits == 8


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_without_a_description_are_a_released_checkpoint(tmp_path, metadata):
    configuration = load_released_checkpoint(
        with_metadata(tmp_path, metadata)
    ).description.configuration
    assert configuration.shared_filters
    assert configuration.output_activation


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [("width", 2, 1), ("iterations", 3, 1), ("dual_pixel", True, False)],
)
def test_metadata_that_contradict_the_tensors_are_refused(tmp_path, field, value, found):
    path = with_metadata(tmp_path, {"ifan": json.dumps(PLAIN | {field: value})})
    assert f"its metadata say {field} = {value}, its tensors {found}" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[1, 2]",
        "[" * 100_000,
        "3",
        "{}",
        json.dumps(PLAIN | {"width": -1}),
        json.dumps(PLAIN | {"shared_filters": "perhaps"}),
        json.dumps(PLAIN | {"sample_bits": 12}),
    ],
)
def test_metadata_that_say_nothing_sensible_are_refused(tmp_path, text):
    assert "its metadata are " in refusal(with_metadata(tmp_path, {"ifan": text}))


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "module.Network.conv1_1.0.weight",
        "module.Network.kconv1_1.0.weight",
        "module.Network.F.3.weight",
        "module.Network.DME.3.bias",
        "module.reblurNet.RBF.3.weight",
        "module.reblurNet.RBF.0.0.bias",
    ],
)
@pytest.mark.parametrize("fault", ["missing", "enlarged", "a number", "empty"])
def test_a_tensor_that_is_missing_or_of_a_wrong_shape_is_named(tmp_path, key, fault):
    tensors = small_released(tmp_path)
    tensor = tensors.pop(key)
    if fault == "enlarged":
        tensors[key] = torch.cat((tensor, tensor[:1]))
    elif fault == "a number":
        tensors[key] = torch.tensor(1.0)
    elif fault == "empty":
        tensors[key] = tensor[:0]
    message = refusal(write(tmp_path / "c.pytorch", tensors))
    name = key.removeprefix("module.Network.").removeprefix("module.reblurNet.")
    # One row more in the first convolution is another width: then all the others are wrong.
    assert name in message or key.endswith(".conv1_1.0.weight")
    assert "does not hold the weights of an IFAN" in message


def test_a_wrong_shape_is_told_beside_the_right_one(tmp_path):
    tensors = small_released(tmp_path)
    tensors["module.Network.DME.3.weight"] = torch.zeros(2, 5, 3, 3)
    message = refusal(write(tmp_path / "c.pytorch", tensors))
    assert "DME.3.weight is 2x5x3x3 instead of 1x4x3x3" in message


def test_all_faults_are_counted(tmp_path):
    tensors = small_released(tmp_path)
    for i in range(3):
        tensors[f"module.Network.extra{i}"] = torch.zeros(1)
        del tensors[f"module.Network.conv2_{i + 1}.0.weight"]
    message = refusal(write(tmp_path / "c.pytorch", tensors))
    for part in ("conv2_1.0.weight is missing", "extra0 is unknown", "and 2 more"):
        assert part in message


def test_line_breaks_and_escapes_in_a_name_stay_out_of_the_message(tmp_path):
    tensors = small_released(tmp_path) | {"module.Network.a\n\x1b[31mb": torch.zeros(1)}
    assert r"a\n\x1b[31mb is unknown" in refusal(write(tmp_path / "c.pytorch", tensors))


def test_tensors_of_another_network_are_refused(tmp_path):
    path = write(tmp_path / "c.pth", torch.nn.Linear(2, 2).state_dict())
    assert "conv1_1.0.weight is missing" in refusal(path)


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("save", [torch.save, lambda o, path: path.write_bytes(pickle.dumps(o))])
def test_code_in_a_pickle_is_never_run(tmp_path, save):
    target, path = tmp_path / "executed", tmp_path / "evil.pytorch"
    save(small_released(tmp_path) | {"extra": Malicious(target)}, path)
    message = refusal(path)
    assert "holds other things than tensors, which are never loaded" in message
    assert not target.exists()
    pickle.loads(pickle.dumps(Malicious(target)))
    assert target.exists()


@pytest.mark.parametrize(
    "content", [torch.zeros(2), [1, 2], {"a": 1}, {1: torch.zeros(1)}, {"state_dict": {}}]
)
def test_other_things_than_a_state_dict_are_refused(tmp_path, content):
    assert "is no state dict" in refusal(write(tmp_path / "c.pth", content))


@pytest.mark.parametrize(
    "change",
    [
        torch.Tensor.to_sparse,
        torch.Tensor.int,
        lambda weights: weights[:1, :1, :1, :1].clone().expand_as(weights),
        lambda weights: weights.to("meta"),
    ],
    ids=["sparse", "integers", "one for all", "none"],
)
def test_weights_are_dense_numbers(tmp_path, change):
    save_released_checkpoint(tmp_path / "c.pytorch", small_networks()[0])
    tensors = torch.load(tmp_path / "c.pytorch", weights_only=True)
    name = "module.Network.conv1_1.0.weight"
    torch.save(tensors | {name: change(tensors[name])}, tmp_path / "c.pytorch")
    assert f"{name} is no dense tensor of floating-point numbers" in refusal(tmp_path / "c.pytorch")


def test_the_content_tells_the_container_not_the_name(tmp_path):
    network, _ = small_networks()
    save_released_checkpoint(tmp_path / "c.safetensors", network)
    save_safetensors(tmp_path / "c.pytorch", network)
    for name in ("c.safetensors", "c.pytorch"):
        assert_equal(load_released_checkpoint(tmp_path / name).network, network)


def test_what_is_no_file_to_read_is_refused(tmp_path):
    (tmp_path / "empty.pth").touch()
    (tmp_path / "folder.pth").mkdir()
    assert "is empty; download or copy it again" in refusal(tmp_path / "empty.pth")
    assert "cannot be read (Is a directory)" in refusal(tmp_path / "folder.pth")
    assert "does not exist; check the name" in refusal(tmp_path / "missing.pth")


@pytest.mark.parametrize("text", ["hello world\n", "{}", "<!DOCTYPE html><html>", "a,b\n1,2\n"])
def test_a_text_file_is_refused(tmp_path, text):
    (tmp_path / "c.pth").write_text(text)
    assert "is damaged or no checkpoint at all" in refusal(tmp_path / "c.pth")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    network, _ = small_networks()
    save_released_checkpoint(folder / "c.pytorch", network)
    save_safetensors(folder / "c.safetensors", network)
    old = io.BytesIO()
    tensors = torch.load(folder / "c.pytorch", weights_only=True)
    torch.save(tensors, old, _use_new_zipfile_serialization=False)
    return [
        (folder / "c.pytorch").read_bytes(),
        (folder / "c.safetensors").read_bytes(),
        old.getvalue(),
    ]


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_a_file_cut_short_is_refused(tmp_path_factory, whole_files, data):
    whole = data.draw(st.sampled_from(whole_files))
    path = tmp_path_factory.getbasetemp() / "cut.pytorch"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refusal(path)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_damaged_file_is_refused_unless_its_tensors_are_whole(
    tmp_path_factory, whole_files, data
):
    content = bytearray(data.draw(st.sampled_from(whole_files)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(4000, len(content) - 1)))] = data.draw(
            st.integers(0, 255)
        )
    path = tmp_path_factory.getbasetemp() / "damaged.pytorch"
    path.write_bytes(content)
    try:
        load_released_checkpoint(path)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=1, max_size=60))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.pytorch"
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("save", [save_released_checkpoint, save_safetensors])
def test_saving_leaves_a_file_alone_unless_asked(tmp_path, save):
    path = tmp_path / "mine"
    path.write_text("precious")
    network, _ = small_networks()
    with pytest.raises(OutputError, match="already exists"):
        save(path, network)
    assert path.read_text() == "precious"
    save(path, network, overwrite=True)
    assert_equal(load_released_checkpoint(path).network, network)
