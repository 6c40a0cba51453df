"""The tasks that a network learns from, and their losses.

Those of the paper:

deblurring:  the output is the all-in-focus target
disparity:   the right view, warped by its estimated disparity, is the left view
reblurring:  the target, blurred by filters made of the deblurring filters, is the center view

and four that the paper does not have:

colour:      the output has as much light as the target on average. Where the network cannot tell,
             it gives means of coded values, and those have less light than what they are means of
defocus:     the disparity estimated of what the network deblurs is as large as its blur makes it
             in an ideal lens (only simulated scenes tell)
growth:      all filters of the IAC together enlarge little: it applies 2 N of them one after the
             other, and what each enlarges a little they enlarge without bound
bottleneck:  what the network knows at 1/8 of the size, read by one linear map, is the all-in-focus
             target. The skips are a way past encoder, filters and IAC, on which a network can learn
             to deblur without them; then their features die (Lee et al., "Deeply-Supervised Nets",
             AISTATS 2015)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks import ReblurringNetwork
from ifan.networks.disparity import downsample, warp_horizontally
from ifan.networks.iac import SeparableFilters
from ifan.networks.ifan import SIZE_MULTIPLE, DeblurringNetwork, TrainingPass
from ifan.training.views import Views

DISPARITY_OF_COC = 8 / (3 * math.pi)
"""The unit in which the disparity map tells blur: for each pixel of the circle of confusion, the
distance between the centroids of both halves of an ideal disc. The views of simulated cameras
lie nearer or farther apart, as aperture and split decide; of the center view nobody can tell."""

FREE_GROWTH = 10.0
"""So many times, all filters of the IAC together may enlarge a feature at no cost."""

Difference = Callable[[Tensor, Tensor], Tensor]


def charbonnier(found: Tensor, wanted: Tensor, epsilon: float) -> Tensor:
    """Return the mean of sqrt(difference^2 + epsilon^2).

    That is about squared below epsilon and absolute above.
    """
    return torch.sqrt((found - wanted).square() + epsilon**2).mean()


def root_mean_square(found: Tensor, wanted: Tensor, epsilon: float) -> Tensor:
    """Return the mean over pictures of log(1 + sqrt(mean of difference^2 + epsilon^2)).

    Within a picture, large differences count most, as for its PSNR; nearly sharp pictures count as
    much as very blurred ones. Below 0.1 the logarithm changes gradients by less than a tenth; of a
    picture whose features blew up it keeps the others from being drowned.
    """
    squares = (found - wanted).square().flatten(1).mean(1)
    return torch.log1p(torch.sqrt(squares + epsilon**2)).mean()


def difference(name: str, epsilon: float) -> Difference:
    """Return how two pictures are compared, see `ifan.training.recipe.Losses`."""
    ways: dict[str, Difference] = {
        "squared": F.mse_loss,
        "absolute": F.l1_loss,
        "charbonnier": partial(charbonnier, epsilon=epsilon),
        "root-mean-square": partial(root_mean_square, epsilon=epsilon),
    }
    return ways[name]


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
        compare: how pictures are compared; the paper squares their difference.
    """

    def __init__(
        self,
        network: DeblurringNetwork,
        reblurring: ReblurringNetwork | None,
        weights: Mapping[str, float],
        compare: Difference = F.mse_loss,
    ) -> None:
        super().__init__()
        self.network = network
        self.reblurring = reblurring
        self.weights = {task: weight for task, weight in weights.items() if weight}
        self._compare = compare
        if "bottleneck" in self.weights:
            self.bottleneck_reader = nn.Conv2d(4 * network.width, 3 * SIZE_MULTIPLE**2, 1)
            nn.init.zeros_(self.bottleneck_reader.weight)
            nn.init.zeros_(cast("Tensor", self.bottleneck_reader.bias))

    def forward(self, views: Views) -> Outcome:
        """Do all tasks with a batch."""
        # What two tasks need is made once: gradients flow back from both.
        filters: list[SeparableFilters] = []
        result = self.network.deblur_for_training(
            views.center,
            *((views.left, views.right) if self.network.dual_pixel else ()),
            seen=filters.append if "growth" in self.weights else None,
        )
        pictures, wanted = self._pictures(views, result)
        losses = {
            # Losses are summed in float32, whatever precision the passes have.
            task: self._compare(picture.to(wanted[task].dtype), wanted[task])
            for task, picture in pictures.items()
        }
        if "growth" in self.weights:
            losses["growth"] = growth(filters)
        total = torch.stack([self.weights[task] * loss for task, loss in losses.items()]).sum()
        names = {"deblurring": "output", "disparity": "warped", "reblurring": "reblurred"}
        shown = {names[task]: picture for task, picture in pictures.items() if task in names}
        return Outcome(
            total,
            {task: loss.detach() for task, loss in losses.items()},
            {name: picture.detach() for name, picture in shown.items()},
        )

    def _pictures(
        self, views: Views, result: TrainingPass
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, for each task that compares pictures, what comes out and what should."""
        made, wanted = {}, {}
        if "deblurring" in self.weights:
            made["deblurring"] = result.deblurred
            wanted["deblurring"] = views.target
        if "bottleneck" in self.weights:
            residual = F.pixel_shuffle(self.bottleneck_reader(result.bottleneck), SIZE_MULTIPLE)
            made["bottleneck"] = views.center + residual
            wanted["bottleneck"] = views.target
        if "colour" in self.weights:
            made["colour"] = mean_light(result.deblurred)
            wanted["colour"] = mean_light(views.target)
        if "disparity" in self.weights:
            left, right = cast("Tensor", views.left), cast("Tensor", views.right)
            made["disparity"] = warp_right_to_left(self.network, left, right)
            wanted["disparity"] = downsample(left)
        if "reblurring" in self.weights:
            reblurring = cast("ReblurringNetwork", self.reblurring)
            feature = cast("Tensor", result.filter_feature)
            made["reblurring"] = reblur(reblurring, self.network, feature, views.target)
            wanted["reblurring"] = downsample(views.center)
        if "defocus" in self.weights and views.coc is not None:
            # Of the center view alone nobody can tell on which side of the focus a blur is.
            made["defocus"] = cast("Tensor", result.disparity).abs()
            wanted["defocus"] = disparity_of_coc(views.coc)
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


def disparity_of_coc(coc: Tensor) -> Tensor:
    """Return a blur as the disparity that an ideal half disc would have, in cells, Nx1xH/8xW/8.

    Args:
        coc: the circle of confusion, Nx1xHxW, radius in pixels.
    """
    return downsample(coc.abs()) * (DISPARITY_OF_COC / SIZE_MULTIPLE)


def mean_light(coded: Tensor) -> Tensor:
    """Return the mean linear light of sRGB-coded pictures NxCxHxW, NxC; they are clipped first."""
    coded = coded.float().clamp(0, 1)
    curve = ((coded + 0.055) / 1.055) ** 2.4
    return torch.where(coded <= 0.04045, coded / 12.92, curve).mean(dim=(2, 3))


def growth(filters: Iterable[SeparableFilters]) -> Tensor:
    """Return the mean square of log(enlargement / `FREE_GROWTH`), where that is positive.

    The enlargement of a channel in a cell is the product over all filters of the sum of their
    absolute taps. Filters that make smaller do not count: what the bias after them adds is
    enlarged by those that follow.

    Args:
        filters: of the IAC, iteration by iteration.
    """
    together = torch.zeros(())
    for each in filters:
        for first, second, third in (each.vertical, each.horizontal):
            taps = (first.abs() + second.abs() + third.abs()).float()
            together = together + taps.clamp(min=1).log()
    return F.relu(together - math.log(FREE_GROWTH)).square().mean()


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
