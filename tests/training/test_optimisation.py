"""The paper's optimiser and schedule, and the others that recipes offer."""

from __future__ import annotations

import pytest
import torch
from lightning_fabric.plugins.precision.amp import MixedPrecision
from torch import nn

from ifan.networks import IFAN
from ifan.training.optimisation import (
    KernelMuon,
    learning_rate_share,
    make_optimizers,
    orthogonalised,
)
from ifan.training.recipe import Optimizer, Schedule, open_recipe


@pytest.mark.parametrize(
    ("update", "rate"),
    [(1, 1e-4), (500_001, 1e-4), (500_002, 5e-5), (550_001, 5e-5), (550_002, 2.5e-5)],
)
def test_the_paper_halves_the_learning_rate_twice(update, rate):
    recipe = open_recipe("ifan")
    share = learning_rate_share(update, recipe.updates, recipe.schedule)
    assert recipe.optimizer.learning_rate * share == pytest.approx(rate, rel=1e-12)


def test_a_cosine_falls_to_its_last_share_after_a_warm_up():
    schedule = Schedule(kind="cosine", warm_up=10, last_share=0.02)
    shares = [learning_rate_share(update, 1000, schedule) for update in range(1, 1001)]
    assert shares[0] == pytest.approx(0.1, rel=1e-3)
    assert max(shares) == shares[9]
    assert shares[499] == pytest.approx(0.51)
    assert shares[-1] == pytest.approx(0.02)
    assert shares[9:] == sorted(shares[9:], reverse=True)


def with_weights(*weights: torch.Tensor) -> nn.Module:
    return nn.ParameterList(weights)


def test_the_paper_trains_with_radam():
    (optimizer,) = make_optimizers(with_weights(torch.ones(3)), Optimizer())
    assert isinstance(optimizer, torch.optim.RAdam)
    assert (
        optimizer.defaults
        | {
            "lr": 1e-4,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "weight_decay": 0.01,
            "decoupled_weight_decay": True,
        }
        == optimizer.defaults
    )


@pytest.mark.parametrize("name", ["radam", "adam", "muon"])
def test_decay_is_decoupled_from_gradients(name):
    """Without gradient a weight shrinks by learning rate times decay, whatever the moments are."""
    module = with_weights(torch.ones(3), torch.ones(16, 8, 3, 3))
    settings = Optimizer(name=name, learning_rate=0.1, kernel_learning_rate=0.1, weight_decay=0.5)
    optimizers = make_optimizers(module, settings)
    for weight in module.parameters():
        weight.grad = torch.zeros_like(weight)
    for optimizer in optimizers:
        optimizer.step()
    for weight in module.parameters():
        torch.testing.assert_close(weight.data, torch.full_like(weight, 0.95))


@pytest.mark.parametrize("shape", [(16, 24, 3, 3), (64, 8, 4, 4), (96, 8, 3, 3)])
def test_muon_changes_all_directions_of_a_kernel_alike(shape):
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.zeros(shape))
    kernel.grad = torch.randn(shape)
    kernel.grad[0] *= 100  # one output's gradient is much larger
    KernelMuon([kernel], lr=0.1, momentum=0.95, weight_decay=0).step()
    rows, columns = kernel.flatten(1).shape
    changes = torch.linalg.svdvals(kernel.flatten(1).detach()) / (
        0.1 * max(1, rows / columns) ** 0.5
    )
    assert changes.min() > 0.6
    assert changes.max() < 1.3
    assert (kernel * kernel.grad).sum() < 0  # downhill


@pytest.mark.parametrize("bfloat16", [False, True])
def test_what_is_orthogonalised_keeps_its_singular_vectors(bfloat16, monkeypatch):
    monkeypatch.setattr("ifan.training.optimisation.has_bfloat16", lambda _: bfloat16)
    torch.manual_seed(0)
    matrix = torch.randn(1, 16, 40)
    u, _, v = torch.linalg.svd(matrix[0], full_matrices=False)
    torch.testing.assert_close(orthogonalised(matrix)[0].float(), u @ v, rtol=0, atol=0.15)
    assert not orthogonalised(torch.zeros(2, 3, 3)).any()


def test_muon_is_for_kernels_between_features_and_adam_for_all_else():
    network = IFAN(width=8, iterations=2)
    adam, muon = make_optimizers(network, Optimizer(name="muon"))
    names = {id(weight): name for name, weight in network.named_parameters()}
    of_muon = {names[id(weight)] for weight in muon.param_groups[0]["params"]}
    of_adam = {names[id(weight)] for weight in adam.param_groups[0]["params"]}
    assert isinstance(adam, torch.optim.AdamW)
    assert of_muon | of_adam == set(names.values())
    assert not of_muon & of_adam
    assert {"reconstructor.output.weight", "filter_predictor.output.weight"} <= of_adam
    assert all(name.endswith("weight") for name in of_muon)
    assert "reconstructor.upsamplers.0.weight" in of_muon


@pytest.mark.parametrize("name", ["radam", "adam"])
def test_gradients_that_were_scaled_can_be_unscaled_before_they_are_clipped(name):
    layer = nn.Linear(2, 1)
    (optimizer,) = make_optimizers(layer, Optimizer(name=name), is_scaled=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(layer(torch.ones(1, 2)).sum()).backward()
    MixedPrecision("16-mixed", "cpu", scaler).unscale_gradients(optimizer)
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
