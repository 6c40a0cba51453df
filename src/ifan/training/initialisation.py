"""Where training begins: networks, and their weights at first."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ifan.errors import ModelError
from ifan.models.configuration import Description
from ifan.models.store import open_model
from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.ablations import create_network
from ifan.networks.ifan import DeblurringNetwork
from ifan.networks.layers import NEGATIVE_SLOPE, ResidualUnit
from ifan.training.recipe import Recipe
from ifan.training.widening import widen

PREDICTOR_GAIN = 1.5
"""Gain of the paper's initialisation for the convolutions that make the filters."""

_WITHOUT_SHAPE = ("shared_filters", "output_activation")
"""What makes another network of the same weights."""

RESIDUAL_SCALE = 0.3
FILTER_SCALE = 0.01


def make_networks(
    recipe: Recipe, *, begins: bool = True
) -> tuple[DeblurringNetwork, ReblurringNetwork | None]:
    """Make the networks that a recipe trains, with the weights it begins with.

    Args:
        recipe: the recipe.
        begins: whether training begins; else the model that it began with need not be there.

    Returns:
        The deblurring network; and the reblurring network, if the recipe has that task.
    """
    network = create_network(**recipe.network.model_dump())
    reblurring = None
    if recipe.losses.reblurring:
        reblurring = ReblurringNetwork(
            network.width,
            recipe.network.iterations,
            shared_filters=recipe.network.shared_filters,
            prediction_channels=network.filter_predictor.output.out_channels,
        )
    initialise = gentle_start if recipe.initialisation == "gentle" else paper_start
    initialise(network, reblurring)
    if recipe.start is not None and begins:
        go_on_from(recipe.start, network, reblurring)
    return network, reblurring


def go_on_from(
    start: str, network: DeblurringNetwork, reblurring: ReblurringNetwork | None
) -> None:
    """Take over the weights of a model; of the reblurring network, if the model has one.

    A smaller model is widened, see `ifan.training.widening`; a reblurring network then begins anew.

    Raises:
        ModelError: there is no such model, or its network is not the one that is to be trained,
            and cannot be widened to it.
    """
    found = open_model(start).checkpoint
    for name in _WITHOUT_SHAPE:
        if getattr(network, name, None) != getattr(found.network, name):
            raise _unfit(start, found.description)
    try:
        if _is_another_size(network, found.network):
            widen(cast("IFAN", network), found.network)
            return
    except ValueError as error:
        raise _unfit(start, found.description) from error
    pairs: list[tuple[nn.Module, nn.Module]] = [(network, found.network)]
    if reblurring is not None and found.reblurring is not None:
        pairs.append((reblurring, found.reblurring))
    for ours, theirs in pairs:
        try:
            ours.load_state_dict(theirs.state_dict())
        except RuntimeError as error:
            raise _unfit(start, found.description) from error


def _is_another_size(network: DeblurringNetwork, start: IFAN) -> bool:
    return isinstance(network, IFAN) and (network.width, network.iterations) != (
        start.width,
        start.iterations,
    )


def _unfit(start: str, description: Description) -> ModelError:
    reason = f"is another network ({description.configuration})"
    return ModelError(start, reason, "change the recipe's network, or start")


def paper_start(network: DeblurringNetwork, reblurring: ReblurringNetwork | None) -> None:
    """Initialise as the paper does: Xavier, uniform; the filter predictor with gain 1.5."""
    _xavier(network, 1.0)
    if network.predicts_filters:
        _xavier(network.filter_predictor.refinement, PREDICTOR_GAIN)
        _xavier(network.filter_predictor.output, PREDICTOR_GAIN)
    if reblurring is not None:
        _xavier(reblurring, 1.0)


@torch.no_grad()
def gentle_start(network: DeblurringNetwork, reblurring: ReblurringNetwork | None) -> None:
    """Initialise near the identity, from where training takes off sooner.

    Variances are kept from layer to layer (Kaiming), residual units begin weak, the residual
    picture is zero, the filters of the IAC nearly copy, and those that reblur are nearly zero.
    """
    kaiming(network)
    network.reconstructor.output.weight.zero_()
    if network.predicts_filters:
        output = network.filter_predictor.output
        output.weight.mul_(FILTER_SCALE)
        cast("Tensor", output.bias).copy_(network.filter_predictor.copying_bias())
    if reblurring is not None:
        kaiming(reblurring)
        cast("Tensor", reblurring.filter_inverter[-1].weight).mul_(FILTER_SCALE)


def _xavier(module: nn.Module, gain: float) -> None:
    for layer in _convolutions(module):
        nn.init.xavier_uniform_(layer.weight, gain)
        nn.init.zeros_(cast("Tensor", layer.bias))


@torch.no_grad()
def kaiming(module: nn.Module) -> None:
    """Initialise convolutions so that they keep the variance, and residual units weak."""
    gain = nn.init.calculate_gain("leaky_relu", NEGATIVE_SLOPE)
    for layer in _convolutions(module):
        # An output sees all taps, but where the stride multiplies the size only those of its phase.
        phases = math.prod(layer.stride) if layer.transposed else 1
        taps = math.prod(layer.kernel_size) / phases
        nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_channels * taps))
        nn.init.zeros_(cast("Tensor", layer.bias))
    for unit in module.modules():
        if isinstance(unit, ResidualUnit):
            unit.conv2.weight.mul_(RESIDUAL_SCALE)


def _convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [layer for layer in module.modules() if isinstance(layer, kinds)]
