"""How weights change: optimisers, schedule and clipping.

The paper has RAdam. `muon` is for training from nothing: with Adam, the random residual picture of
the first updates makes all layers shrink, and a network can stay at the identity for long; with
Muon, whose updates change all directions of a kernel alike, it takes off soon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer as TorchOptimizer

from ifan.training.devices import has_bfloat16
from ifan.training.recipe import Optimizer, Schedule

_FEWEST_CHANNELS = 8
"""Kernels that read or make fewer are the ends of the network: pictures and maps."""

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
"""Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024)."""


class KernelMuon(TorchOptimizer):
    """Muon for the kernels of convolutions; `torch.optim.Muon` takes matrices alone.

    A kernel is taken for the matrix of its first channels and all the rest. The update is the
    momentum's matrix with all its singular values made about 1, by Newton-Schulz iterations.

    Args:
        kernels: each 4-dimensional.
        lr: learning rate; about the spectral norm of an update.
        momentum: share of the updates before that each keeps.
        weight_decay: for each update, times the learning rate.
    """

    def __init__(
        self, kernels: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Change all kernels that have a gradient."""
        for group in self.param_groups:
            for kernels, updates in self._by_shape(group["params"], group["momentum"]):
                # Those with more outputs than inputs may change as much for each input.
                rate = group["lr"] * math.sqrt(max(1.0, updates.shape[1] / updates.shape[2]))
                for kernel, update in zip(kernels, orthogonalised(updates), strict=True):
                    kernel.mul_(1 - group["lr"] * group["weight_decay"])
                    kernel.add_(update.reshape(kernel.shape).to(kernel.dtype), alpha=-rate)

    def _by_shape(
        self, kernels: list[nn.Parameter], momentum: float
    ) -> Iterable[tuple[list[nn.Parameter], Tensor]]:
        """Return kernels of a shape together, with their momenta, one matrix for each."""
        found: dict[torch.Size, tuple[list[nn.Parameter], list[Tensor]]] = {}
        for kernel in kernels:
            if kernel.grad is None:
                continue
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            state["momentum"].lerp_(kernel.grad, 1 - momentum)
            matrix = kernel.grad.lerp(state["momentum"], momentum).flatten(1)  # as of Nesterov
            alike = found.setdefault(matrix.shape, ([], []))
            alike[0].append(kernel)
            alike[1].append(matrix)
        return [(alike, torch.stack(matrices)) for alike, matrices in found.values()]


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices with the same singular vectors, but singular values that are all about 1.

    Args:
        matrices: Nxrowsxcolumns. What is 0 stays so.

    Returns:
        The same shape, bfloat16 where the device has it.
    """
    x = matrices.bfloat16() if has_bfloat16(matrices.device) else matrices
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.transpose(1, 2)
    x = F.normalize(x.flatten(1)).view_as(x)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.transpose(1, 2)
        change = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, change, x, beta=a)
    return x.transpose(1, 2) if is_tall else x


def make_optimizers(
    module: nn.Module, settings: Optimizer, *, is_scaled: bool = False
) -> list[TorchOptimizer]:
    """Return the optimisers of a module's parameters; of each, `initial_lr` is before the schedule.

    Decay of the weights is decoupled from their gradients.

    Args:
        module: what is trained.
        settings: how.
        is_scaled: whether gradients are, as those of fp16; they must be clipped first, and fused
            optimisers unscale them too late for that.
    """
    parameters = list(module.parameters())
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    optimizers: list[TorchOptimizer] = []
    if settings.name == "radam":
        optimizers.append(torch.optim.RAdam(parameters, decoupled_weight_decay=True, **common))
    else:
        kernels = [each for each in parameters if settings.name == "muon" and _is_hidden(each)]
        taken = {id(kernel) for kernel in kernels}
        others = [each for each in parameters if id(each) not in taken]
        optimizers.append(torch.optim.AdamW(others, fused=not is_scaled, **common))
        if kernels:
            muon = KernelMuon(
                kernels,
                lr=settings.kernel_learning_rate,
                momentum=settings.kernel_momentum,
                weight_decay=settings.weight_decay,
            )
            optimizers.append(muon)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _is_hidden(parameter: nn.Parameter) -> bool:
    """Whether it is a kernel larger than 1x1 that reads and makes features.

    1x1 ones make the filters of the IAC, whose scale matters. The filters of the reblurring network
    are made by a 3x3 one, which is taken for a kernel between features as it has as many channels.
    """
    if parameter.ndim != 4:
        return False
    first, second, *size = parameter.shape
    return min(first, second) >= _FEWEST_CHANNELS and math.prod(size) > 1


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
