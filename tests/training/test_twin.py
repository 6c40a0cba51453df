"""The script that puts a network and its transposed twin side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks import IFAN
from ifan.training.initialisation import gentle_start

SCRIPT = Path(__file__).parents[2] / "training" / "twin.py"


@pytest.fixture
def single():
    """A network of which both are exact: it filters everywhere alike, heeds no disparity, and has
    no negative e_B, which iterations that are added would hold back."""
    torch.manual_seed(0)
    network = IFAN(width=4, iterations=2, output_activation=False)
    gentle_start(network, None)
    predictor, channels = network.filter_predictor, network.filter_predictor.channels
    with torch.no_grad():
        torch.nn.init.normal_(network.reconstructor.output.weight, std=0.1)
        torch.nn.init.constant_(network.feature_extractor.stages[-1][-1][0].bias, 5)
        predictor.disparity_encoder[0].weight.zero_()
        rows = predictor.output.weight.view(2, 7, channels, channels)
        rows[:, :6] = 0
        rows[:, 6] *= 100
        predictor.output.bias += torch.randn_like(predictor.output.bias) / 10
    return network


@pytest.mark.parametrize("iterations", [2, 5])
def test_both_make_the_mean_of_two_passes(single, iterations, tmp_path):
    save_released_checkpoint(tmp_path / "single.pytorch", single)
    arguments = "single.pytorch", "-o", "both.pytorch", "--iterations", str(iterations)
    subprocess.run([sys.executable, SCRIPT, *arguments], check=True, cwd=tmp_path)
    both = load_released_checkpoint(tmp_path / "both.pytorch").network
    assert (both.width, both.iterations) == (8, iterations)
    picture = torch.rand(1, 3, 48, 64)
    with torch.no_grad():
        one, other = single(picture), single(picture.mT).mT
        assert (one - other).std() > 1e-3
        torch.testing.assert_close(both(picture), (one + other) / 2, atol=1e-5, rtol=1e-4)
