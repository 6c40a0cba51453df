"""The script that lets a network filter again whose iterations leave nothing of e_B."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks import IFAN
from ifan.training.initialisation import gentle_start

SCRIPT = Path(__file__).parents[2] / "training" / "revive.py"


@pytest.fixture
def networks(tmp_path):
    """A network with a negative e_B and none but the last biases, and what the script makes."""
    torch.manual_seed(0)
    dead = IFAN(width=4, iterations=8, output_activation=False)
    gentle_start(dead, None)
    with torch.no_grad():
        torch.nn.init.normal_(dead.reconstructor.output.weight, std=0.1)
        dead.filter_predictor.output.weight[: -dead.filter_predictor.channels] = 0
        torch.nn.init.constant_(dead.feature_extractor.stages[-1][-1][0].bias, -50)
    save_released_checkpoint(tmp_path / "dead.pytorch", dead)
    paths = tmp_path / "dead.pytorch", "-o", tmp_path / "revived.pytorch"
    subprocess.run([sys.executable, SCRIPT, *paths], check=True)
    return dead, load_released_checkpoint(tmp_path / "revived.pytorch").network


def gradients_of_filters(network, picture):
    """How much the loss depends on e_B, and on the taps of each iteration."""
    network.zero_grad()
    (network(picture) - picture).square().mean().backward()
    taps = network.filter_predictor.output.bias.grad.view(network.iterations, 7, -1)[:, :6]
    last = network.feature_extractor.stages[-1][-1][0].weight.grad
    return torch.stack((last.abs().max(), *taps.abs().amax(dim=(1, 2))))


def test_it_makes_what_it_made_and_learns_to_filter_again(networks):
    dead, revived = networks
    picture = torch.rand(1, 3, 48, 64)
    with torch.no_grad():
        before, after = dead(picture), revived(picture)
    assert (before - picture).std() > 1e-3
    torch.testing.assert_close(before, after, atol=2e-4, rtol=0)
    assert gradients_of_filters(dead, picture).min() < 1e-8
    assert gradients_of_filters(revived, picture).min() > 1e-7
