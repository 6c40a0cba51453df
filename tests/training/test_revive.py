"""The script that begins anew what has died at 1/8 of the size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks import IFAN
from ifan.training.initialisation import gentle_start

SCRIPT = Path(__file__).parents[2] / "training" / "revive.py"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(16):
        coarse = Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8))
        coarse.resize((300, 280)).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def networks(photographs):
    """A network whose features at 1/8 of the size are negative; what the script makes."""
    torch.manual_seed(0)
    dead = IFAN(width=4, iterations=8, output_activation=False)
    gentle_start(dead, None)
    with torch.no_grad():
        torch.nn.init.normal_(dead.reconstructor.output.weight, std=0.1)
        dead.filter_predictor.output.weight.zero_()
        for last in (dead.feature_extractor.stages[-1][-1], dead.reconstructor.bottleneck[-1]):
            torch.nn.init.constant_(last[0].bias, -50)
        dead.reconstructor.upsamplers[0].weight.zero_()
        torch.nn.init.normal_(dead.reconstructor.upsamplers[0].bias)
    made, start = photographs.parent / "dead.pytorch", photographs.parent / "revived.pytorch"
    save_released_checkpoint(made, dead)
    subprocess.run([sys.executable, SCRIPT, made, photographs, "-o", start], check=True)
    return dead, load_released_checkpoint(start).network


@pytest.fixture
def picture(photographs):
    with Image.open(photographs / "3.jpg") as image:
        pixels = np.asarray(image, np.float32)[:256, :256] / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def gradients(network, picture):
    """How much what comes to the skips depends on e_B, and on the taps of each iteration."""
    network.zero_grad()
    network.deblur_for_training(picture).bottleneck.square().mean().backward()
    last = network.feature_extractor.stages[-1][-1][0].weight.grad
    taps = network.filter_predictor.output.bias.grad.view(network.iterations, 7, -1)[:, :6]
    return torch.stack((last.abs().max(), *taps.abs().amax(dim=(1, 2))))


def test_a_network_that_read_a_constant_makes_what_it_made(networks, picture):
    dead, revived = networks
    with torch.no_grad():
        before, after = dead(picture), revived(picture)
    assert (before - picture).std() > 1e-3
    inner = (..., slice(48, -48), slice(48, -48))  # borders are padded with another constant
    torch.testing.assert_close(before[inner], after[inner], atol=1e-5, rtol=0)


def test_what_was_dead_is_about_normal_and_depends_on_e_b_and_all_filters(networks, picture):
    dead, revived = networks
    with torch.no_grad():
        before, after = (network.deblur(picture).bottleneck for network in networks)
    assert (before > 0).sum() == 0
    assert 0.3 < (after > 0).float().mean() < 0.7
    assert 0.3 < after.std() < 1
    assert gradients(dead, picture).min() < 1e-6
    assert gradients(revived, picture).min() > 1e-3


def test_what_the_constant_is_read_from_can_be_learnt(networks, picture):
    _, revived = networks
    revived(picture).square().mean().backward()
    assert revived.reconstructor.upsamplers[0].weight.grad.abs().max() > 1e-4


def test_too_few_photographs_and_too_small_ones_are_refused(networks, photographs, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(16):
        Image.new("RGB", (300, 255)).save(folder / f"{number}.jpg")
    for given in (tmp_path / "none", folder):
        paths = photographs.parent / "dead.pytorch", given, "-o", tmp_path / "start.pytorch"
        run = subprocess.run([sys.executable, SCRIPT, *paths], capture_output=True, text=True)
        assert "must hold 16 JPEG files of 256x256 pixels or more" in run.stderr
        assert run.returncode == 2
