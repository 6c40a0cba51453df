"""The tasks that a network learns from, and their losses (paper, Sec. 3.4).

deblurring:  the output is the all-in-focus target
disparity:   the right view, warped by its estimated disparity, is the left view (Sec. 3.2)
reblurring:  the target, blurred by filters made of the deblurring filters, is the center view
             (Sec. 3.3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks import ReblurringNetwork
from ifan.networks.disparity import downsample, warp_horizontally
from ifan.networks.ifan import DeblurringNetwork
from ifan.training.views import Views

CHARBONNIER_EPSILON = 1e-3


def charbonnier(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of sqrt(difference^2 + epsilon^2): absolute, but smooth at zero."""
    return torch.sqrt((found - wanted).square() + CHARBONNIER_EPSILON**2).mean()


DIFFERENCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": F.mse_loss,
    "absolute": F.l1_loss,
    "charbonnier": charbonnier,
}
"""How two pictures can be compared; the paper's way is `squared`."""


class Outcome(NamedTuple):
    """What came of a batch.

    Attributes:
        total: the weighted sum of the losses.
        losses: each of them by the name of its task, without weight and gradient.
        pictures: what the tasks made, without gradient: `output` (not clipped) at full size,
            `warped` and `reblurred` at 1/8 size.
    """

    total: Tensor
    losses: dict[str, Tensor]
    pictures: dict[str, Tensor]


class Tasks(nn.Module):
    """The tasks as one module, which is what is trained.

    Args:
        network: the deblurring network.
        reblurring: the reblurring network; needed if that task has a weight.
        weights: of each task by name; 0 leaves it out.
        difference: how pictures are compared, see `DIFFERENCES`.
    """

    def __init__(
        self,
        network: DeblurringNetwork,
        reblurring: ReblurringNetwork | None,
        weights: Mapping[str, float],
        difference: str = "squared",
    ) -> None:
        super().__init__()
        self.network = network
        self.reblurring = reblurring
        self.weights = {task: weight for task, weight in weights.items() if weight}
        self._difference = DIFFERENCES[difference]

    def forward(self, views: Views) -> Outcome:
        """Do all tasks with a batch."""
        pictures, wanted = self._pictures(views)
        losses = {
            # Losses are summed in float32, whatever precision the passes have.
            task: self._difference(picture.to(wanted[task].dtype), wanted[task])
            for task, picture in pictures.items()
        }
        total = torch.stack([self.weights[task] * loss for task, loss in losses.items()]).sum()
        names = {"deblurring": "output", "disparity": "warped", "reblurring": "reblurred"}
        return Outcome(
            total,
            {task: loss.detach() for task, loss in losses.items()},
            {names[task]: picture.detach() for task, picture in pictures.items()},
        )

    def _pictures(self, views: Views) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, for each task, what comes out and what should."""
        made, wanted = {}, {}
        filter_views = (views.left, views.right) if self.network.dual_pixel else ()
        result = self.network.deblur_for_training(views.center, *filter_views)
        if "deblurring" in self.weights:
            made["deblurring"] = result.deblurred
            wanted["deblurring"] = views.target
        if "disparity" in self.weights:
            left, right = cast("Tensor", views.left), cast("Tensor", views.right)
            made["disparity"] = warp_right_to_left(self.network, left, right)
            wanted["disparity"] = downsample(left)
        if "reblurring" in self.weights:
            reblurring = cast("ReblurringNetwork", self.reblurring)
            feature = cast("Tensor", result.filter_feature)
            made["reblurring"] = reblur(reblurring, self.network, feature, views.target)
            wanted["reblurring"] = downsample(views.center)
        return made, wanted


def warp_right_to_left(network: DeblurringNetwork, left: Tensor, right: Tensor) -> Tensor:
    """Warp the right view at 1/8 size by the disparity that `network` estimates, Nx3xH/8xW/8.

    A single-view network estimates the disparity of the right view, through the encoder that reads
    the center view otherwise.
    """
    if network.dual_pixel:
        disparity = network.disparity(left=left, right=right)
    else:
        disparity = network.disparity(right)
    return warp_horizontally(downsample(right), disparity)


def reblur(
    reblurring: ReblurringNetwork, network: DeblurringNetwork, feature: Tensor, target: Tensor
) -> Tensor:
    """Blur the target at 1/8 size (every eighth pixel, as released), Nx3xH/8xW/8.

    Args:
        reblurring: does it.
        network: has predicted the filters.
        feature: of which it did, `TrainingPass.filter_feature`.
        target: the all-in-focus target, Nx3xHxW.
    """
    output = network.filter_predictor.output
    return cast("Tensor", reblurring(feature, output, target[..., ::8, ::8]))
