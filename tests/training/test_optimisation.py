"""The paper's optimiser and schedule, and the others that recipes offer."""

from __future__ import annotations

import pytest
import torch

from ifan.training.optimisation import learning_rate_share, make_optimizer
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


def test_the_paper_trains_with_radam():
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(3))], Optimizer())
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


@pytest.mark.parametrize("name", ["radam", "adam"])
def test_decay_is_decoupled_from_gradients(name):
    """Without gradient a weight shrinks by learning rate times decay, whatever the moments are."""
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make_optimizer([weight], Optimizer(name=name, learning_rate=0.1, weight_decay=0.5))
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.95] * 3)
