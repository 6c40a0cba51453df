"""The layout of released checkpoints: names, channel order and markers, to ours and back.

All files on disk, ours too, have this layout, so that any of them serves the released code as well.
In memory the modules have readable names, and the filters the order of `ifan.networks.iac`.

A released file does not say which variant it holds: width, N and dual-pixel follow from the shapes.
Which reading of the IAC it was trained with shows in no shape. Without a marker it is what the
released implementation did (shared filters, output activation), with pictures of 8 bits; a
deviation from that is marked by one empty tensor each, which the released loader ignores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ifan.models.configuration import REBLURRING_PREFIX, Configuration, Description, bare_name
from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.iac import PARTS, released_channel_order
from ifan.networks.reblurring import COLOURS

State = dict[str, Tensor]

NETWORK_PREFIX = "module.Network."
"""How the names of the network's tensors begin in a released file."""

_NETWORK_NAMES = {
    **{
        f"feature_extractor.stages.{stage}.{conv}.": f"conv{stage + 1}_{conv + 1}."
        for stage in range(4)
        for conv in range(3)
    },
    **{
        f"filter_encoder.stages.{stage}.{conv}.": f"kconv{stage + 1}_{conv + 1}."
        for stage in range(4)
        for conv in range(3)
    },
    "disparity_estimator.": "DME.",
    "filter_predictor.disparity_encoder.": "conv_DME.",
    "filter_predictor.fusion.": "conv4_4.",
    "filter_predictor.refinement.": "F.",
    "filter_predictor.output.": "F.3.",
    "reconstructor.bottleneck.": "conv_res.",
    **{f"reconstructor.upsamplers.{i}.": f"upconv{3 - i}_u.0." for i in range(3)},
    **{
        f"reconstructor.refiners.{i}.{block}.": f"upconv{3 - i}_{block + 1}."
        for i in range(3)
        for block in range(2)
    },
    "reconstructor.output.": "out_res.0.",
}
_REBLURRING_NAMES = {"filter_inverter.": "RBF."}
_RESIDUAL_UNIT_NAMES = {".conv1.": ".0.", ".conv2.": ".2."}

_MARKERS = {"separate_filters": "shared_filters", "no_output_activation": "output_activation"}
"""Tensor that marks a deviation -> field of the configuration that is then False."""

_SIXTEEN_BITS = "sixteen_bits"
"""Tensor that marks a training with pictures of 16 bits a sample."""


def released_name(name: str) -> str:
    """Return the released key, without `module.Network.` or `module.reblurNet.`, of a parameter."""
    for ours, released in (_NETWORK_NAMES | _REBLURRING_NAMES).items():
        if name.startswith(ours):
            name = released + name.removeprefix(ours)
            break
    if ".units." in name:
        name = name.replace(".units.", ".stem.")
        for ours, released in _RESIDUAL_UNIT_NAMES.items():
            name = name.replace(ours, released)
    return name


def split_released(tensors: State) -> tuple[State, State, set[str]]:
    """Sort the tensors of a released file.

    Args:
        tensors: the file's tensors; each key with or without `module.` and `Network.`.

    Returns:
        The network's tensors and those of the reblurring network, both by released name without
        prefix, and the names of the markers found.
    """
    network: State = {}
    reblurring: State = {}
    markers: set[str] = set()
    for key, tensor in tensors.items():
        name = bare_name(key)
        if name in _MARKERS or name == _SIXTEEN_BITS:
            markers.add(name)
        elif name.startswith(REBLURRING_PREFIX):
            reblurring[name.removeprefix(REBLURRING_PREFIX)] = tensor
        else:
            network[name] = tensor
    return network, reblurring, markers


def infer_description(network: State, markers: set[str]) -> Description:
    """Read the variant off the shapes and the markers, and of the pictures off the latter.

    Raises:
        KeyError: a tensor that the shapes are read from is missing.
        ValueError: its shape is that of no variant.
    """
    width, _ = _channels(network, "conv1_1.0.weight")
    _, views = _channels(network, "kconv1_1.0.weight")
    rows, _ = _channels(network, "F.3.weight")
    iterations, rest = divmod(rows, PARTS * 4 * width)
    if rest or iterations == 0:
        raise ValueError(f"F.3.weight has {rows} rows, which is no multiple of {PARTS * 4 * width}")
    if views not in (3, 6):
        raise ValueError(f"kconv1_1.0.weight reads {views} channels, neither 3 nor 6")
    readings = {field: marker not in markers for marker, field in _MARKERS.items()}
    return Description(
        configuration=Configuration(
            width=width, iterations=iterations, dual_pixel=views == 6, **readings
        ),
        sample_bits=16 if _SIXTEEN_BITS in markers else 8,
    )


def infer_reblurring_iterations(reblurring: State) -> int:
    """Read the number of reblurring iterations off the shapes.

    Raises:
        KeyError: the tensor that it is read from is missing.
        ValueError: its shape is that of no variant.
    """
    rows, _ = _channels(reblurring, "RBF.3.weight")
    return max(1, rows // (PARTS * COLOURS))


def differences(module: nn.Module, tensors: State) -> list[str]:
    """Say how `tensors`, by released name, fail to be the parameters of `module`."""
    expected = {released_name(name): tensor.shape for name, tensor in module.state_dict().items()}
    missing = [f"{name} is missing" for name in expected.keys() - tensors.keys()]
    surplus = [f"{name} is unknown" for name in tensors.keys() - expected.keys()]
    wrong = [
        f"{name} is {_shape(tensors[name].shape)} instead of {_shape(shape)}"
        for name, shape in expected.items()
        if name in tensors and tensors[name].shape != shape
    ]
    return sorted(missing) + sorted(surplus) + wrong


def load_released(module: IFAN | ReblurringNetwork, tensors: State) -> None:
    """Fill `module` from tensors by released name without prefix, keeping their dtype."""
    orders = _channel_orders(module)
    state = {}
    for name in module.state_dict():
        tensor = tensors[released_name(name)]
        if name in orders:
            dimension, order = orders[name]
            tensor = tensor.index_select(dimension, order)
        state[name] = tensor.contiguous()
    module.load_state_dict(state, assign=True)


def to_released(module: IFAN | ReblurringNetwork) -> State:
    """Return the parameters of `module` by released name without prefix, in released order.

    They are on the CPU, wherever the module is: no file is bound to a device.
    """
    orders = _channel_orders(module)
    tensors = {}
    for name, parameter in module.state_dict().items():
        tensor = parameter.cpu()
        if name in orders:
            dimension, order = orders[name]
            tensor = tensor.index_select(dimension, order.argsort())
        tensors[released_name(name)] = tensor.contiguous()
    return tensors


def markers_of(description: Description) -> State:
    """Return the empty tensors that mark how a description deviates from released ones."""
    marks = {
        marker: not getattr(description.configuration, field) for marker, field in _MARKERS.items()
    } | {_SIXTEEN_BITS: description.sample_bits == 16}
    return {marker: torch.empty(0) for marker, deviates in marks.items() if deviates}


def _channel_orders(module: IFAN | ReblurringNetwork) -> dict[str, tuple[int, Tensor]]:
    """Return the parameters whose channels are ordered differently: dimension and our order."""
    if isinstance(module, IFAN):
        order = released_channel_order(module.iterations, 4 * module.width)
        return {f"filter_predictor.output.{kind}": (0, order) for kind in ("weight", "bias")}
    prediction = released_channel_order(module.iterations, 4 * module.width)
    inverted = released_channel_order(module.reblurring_iterations, COLOURS)
    return {
        "filter_inverter.0.0.weight": (1, prediction),
        "filter_inverter.3.weight": (0, inverted),
        "filter_inverter.3.bias": (0, inverted),
    }


def _channels(tensors: State, name: str) -> tuple[int, int]:
    """Return how many channels a convolution's weight gives and reads."""
    shape = tensors[name].shape
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"{name} is {_shape(shape)}, which is the shape of no convolution")
    return shape[0], shape[1]


def _shape(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"
