"""How weights change: optimiser, schedule and clipping (paper, Sec. 4.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer as TorchOptimizer

from ifan.training.recipe import Optimizer, Schedule


def make_optimizer(parameters: list[nn.Parameter], settings: Optimizer) -> TorchOptimizer:
    """Return the optimiser; decay of the weights is decoupled from their gradients."""
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    if settings.name == "radam":
        return torch.optim.RAdam(parameters, decoupled_weight_decay=True, **common)
    return torch.optim.AdamW(parameters, fused=True, **common)


def learning_rate_share(update: int, updates: int, schedule: Schedule) -> float:
    """Return what the learning rate of an update is multiplied by.

    Args:
        update: its number, from 1.
        updates: how many there will be.
        schedule: the rule.
    """
    warm = min(1.0, update / schedule.warm_up) if schedule.warm_up else 1.0
    if schedule.kind == "steps":
        return warm * 0.5 ** sum(update > last for last in schedule.halved_after)
    fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, update / updates)))
    return warm * (schedule.last_share + (1 - schedule.last_share) * fallen)
