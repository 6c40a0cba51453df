"""The Iterative Filter Adaptive Network, as the paper's overview of it shows.

    feature extractor:   C -> skips f1, f2, f3 and the defocused feature e_B at 1/8 size
    filter encoder:      C (dual-pixel: R and L) -> encoder feature
    disparity estimator: encoder feature -> disparity map
    filter predictor:    encoder feature, disparity map -> N separable filters a pixel and channel
    IAC:                 e_B -> deblurred feature e_BS
    reconstructor:       e_BS, skips -> residual, which is added to C

Lee, Son, Rim, Cho, Lee: "Iterative Filter Adaptive Network for Single Image Defocus Deblurring",
CVPR 2021.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from ifan.networks.disparity import DisparityMapEstimator
from ifan.networks.iac import (
    SeenFilters,
    iterative_adaptive_convolution,
    released_channel_order,
    shown,
)
from ifan.networks.layers import Encoder
from ifan.networks.predictor import FilterPredictor, SeparableFilterPredictor
from ifan.networks.reconstructor import Reconstructor

SIZE_MULTIPLE = 8
"""Height and width of a picture must be multiples of this: three stages halve the size."""


class Deblurring(NamedTuple):
    """What a pass through the network gives, and what it makes on the way.

    Attributes:
        deblurred: the all-in-focus picture, Nx3xHxW, sRGB-coded, not clipped.
        disparity: the disparity map, Nx1xH/8xW/8, in cells of that map.
        encoded: the encoder feature, from which disparity and filters are predicted; like the
            following ones Nx4*widthxH/8xW/8.
        defocused: the defocused feature e_B, which the IAC deblurs.
        filter_feature: what a 1x1 convolution makes the filters of.
        bottleneck: the deblurred feature after the reconstructor's part at 1/8 of the size.
    """

    deblurred: Tensor
    disparity: Tensor
    encoded: Tensor
    defocused: Tensor
    filter_feature: Tensor
    bottleneck: Tensor


class TrainingPass(NamedTuple):
    """What a training pass gives.

    Attributes:
        deblurred: the all-in-focus picture, Nx3xHxW, sRGB-coded, not clipped.
        bottleneck: the deblurred feature after the reconstructor's part at 1/8 of the size,
            Nx4*width x H/8 x W/8.
        filter_feature: what the filter predictor's last convolution makes the filters of,
            Nx4*width x H/8 x W/8, for the reblurring network; None if there is no predictor.
        disparity: the disparity map, Nx1xH/8xW/8, in cells of that map; None if there is none.
    """

    deblurred: Tensor
    bottleneck: Tensor
    filter_feature: Tensor | None
    disparity: Tensor | None


class DeblurredFeature(NamedTuple):
    """The deblurred feature, and what a network makes on the way to it.

    Attributes:
        feature: Nx4*widthxH/8xW/8.
        filter_feature: as in `TrainingPass`.
        disparity: as in `TrainingPass`.
    """

    feature: Tensor
    filter_feature: Tensor | None = None
    disparity: Tensor | None = None


class DeblurringNetwork(nn.Module, ABC):
    """What the IFAN has in common with the networks that the paper compares it with.

    Between encoders and reconstructor, at 1/8 of the size, each network has its own way from the
    defocused feature to the deblurred one.

    Args:
        width: base channel count; 32 in the paper.
        dual_pixel: the filter encoder reads the left and right dual-pixel views.
        output_activation: a leaky ReLU follows the reconstructor's last convolution, which
            released checkpoints need.

    Attributes:
        estimates_disparity: it has a disparity map estimator, which the disparity loss trains.
        predicts_filters: it has a filter predictor, which the reblurring loss trains.

    Pictures are sRGB-coded tensors Nx3xHxW in [0, 1], H and W multiples of 8.
    """

    estimates_disparity: ClassVar[bool]
    predicts_filters: ClassVar[bool]

    disparity_estimator: DisparityMapEstimator
    filter_predictor: FilterPredictor
    reconstructor: Reconstructor

    def __init__(self, width: int, *, dual_pixel: bool = False, output_activation: bool) -> None:
        super().__init__()
        self.width = width
        self.dual_pixel = dual_pixel
        self.output_activation = output_activation
        self.feature_extractor = Encoder(3, width)
        self.filter_encoder = Encoder(6 if dual_pixel else 3, width)

    @abstractmethod
    def deblur_feature(
        self, encoded: Tensor, defocused: Tensor, seen: SeenFilters | None = None
    ) -> DeblurredFeature:
        """Map the encoder feature and the defocused feature e_B to the deblurred one.

        Args:
            encoded: the encoder feature, Nx4*widthxH/8xW/8.
            defocused: e_B, of the same shape.
            seen: is given the filters of each iteration of the IAC, where there is one.
        """

    def forward(
        self, center: Tensor, left: Tensor | None = None, right: Tensor | None = None
    ) -> Tensor:
        """Deblur a picture.

        Args:
            center: the defocused picture.
            left: left dual-pixel view, for a dual-pixel network only.
            right: right dual-pixel view, for a dual-pixel network only.

        Returns:
            The all-in-focus picture, of the same shape, not clipped.

        Raises:
            ValueError: the views are not those of this network, or their size is unsuitable.
        """
        return self.deblur_for_training(center, left, right).deblurred

    def deblur_for_training(
        self,
        center: Tensor,
        left: Tensor | None = None,
        right: Tensor | None = None,
        *,
        seen: SeenFilters | None = None,
    ) -> TrainingPass:
        """Do what `forward` does, and return what the other training tasks need, too.

        Args:
            center: as `forward` has it, like the other views.
            left: see there.
            right: see there.
            seen: is given the filters of each iteration of the IAC once they are made, where there
                is one. Nothing else keeps them longer than that iteration takes.
        """
        encoded = self.filter_encoder(self._filter_views(center, left, right))
        *skips, defocused = self.feature_extractor.pyramid(center)
        made = self.deblur_feature(encoded, defocused, seen)
        bottleneck = self.reconstructor.bottleneck(made.feature)
        deblurred = self.reconstructor.enlarge(bottleneck, skips) + center
        return TrainingPass(deblurred, bottleneck, made.filter_feature, made.disparity)

    def disparity(
        self,
        center: Tensor | None = None,
        *,
        left: Tensor | None = None,
        right: Tensor | None = None,
    ) -> Tensor:
        """Estimate the disparity map.

        Args:
            center: the picture, for a single-view network. In training it is the right view.
            left: left view, for a dual-pixel network only.
            right: right view, for a dual-pixel network only.

        Returns:
            Nx1xH/8xW/8, in cells of that map.

        Raises:
            ValueError: the views are not those of this network, or their size is unsuitable; or
                the network estimates no disparity.
        """
        if not self.estimates_disparity:
            raise ValueError(f"{type(self).__name__} has no disparity map estimator")
        views = self._filter_views(center, left, right)
        return cast("Tensor", self.disparity_estimator(self.filter_encoder(views)))

    def _filter_views(
        self, center: Tensor | None, left: Tensor | None, right: Tensor | None
    ) -> Tensor:
        """Return what the filter encoder reads, once it is known to be what it needs."""
        if not self.dual_pixel:
            if center is None or left is not None or right is not None:
                raise ValueError("a single-view network takes the center view, and only that")
            views: tuple[Tensor, ...] = (center,)
        elif left is None or right is None:
            raise ValueError("a dual-pixel network needs the left and the right view")
        else:
            views = (right, left)
        # While a graph is traced, sizes are symbols and the exporter's own sample is known good.
        if not torch.onnx.is_in_onnx_export():
            _require_suitable_size(*views, *(() if center is None else (center,)))
        return torch.cat(views, dim=1) if len(views) > 1 else views[0]


class IFAN(DeblurringNetwork):
    """The network of the paper and its variants.

    Args:
        width: base channel count; 32 in the paper.
        iterations: number of IAC iterations, the paper's N; 17 in the paper.
        dual_pixel: the filters are predicted from the left and right dual-pixel views.
        shared_filters: the reading of the IAC that released checkpoints were trained with, in
            which the vertical filter serves in both directions; False is Eq. 1.
        output_activation: a leaky ReLU follows the reconstructor's last convolution, which
            released checkpoints need.

    Pictures are sRGB-coded tensors Nx3xHxW in [0, 1], H and W multiples of 8.
    """

    estimates_disparity = True
    predicts_filters = True

    filter_predictor: SeparableFilterPredictor

    def __init__(
        self,
        width: int = 32,
        iterations: int = 17,
        dual_pixel: bool = False,
        shared_filters: bool = False,
        output_activation: bool = True,
    ) -> None:
        super().__init__(width, dual_pixel=dual_pixel, output_activation=output_activation)
        self.iterations = iterations
        self.shared_filters = shared_filters
        channels = 4 * width
        self.disparity_estimator = DisparityMapEstimator(channels)
        self.filter_predictor = SeparableFilterPredictor(
            channels, iterations, shared_filters=shared_filters
        )
        self.reconstructor = Reconstructor(width, output_activation=output_activation)

    def deblur(
        self, center: Tensor, left: Tensor | None = None, right: Tensor | None = None
    ) -> Deblurring:
        """Do what `forward` does, and return what it made on the way, too."""
        # The filter encoder runs first: its full-size activations are gone before the feature
        # extractor makes the skips, which stay until the end.
        encoded = self.filter_encoder(self._filter_views(center, left, right))
        *skips, defocused = self.feature_extractor.pyramid(center)
        filter_feature, disparity = self.predict(encoded)
        bottleneck = self.apply_filters(filter_feature, defocused)
        deblurred = self.reconstructor.enlarge(bottleneck, skips) + center
        return Deblurring(deblurred, disparity, encoded, defocused, filter_feature, bottleneck)

    # `encode`, `predict`, `apply_filters` and `decode` are `deblur` in four stages, for pictures
    # that go through them tile by tile.

    def encode(
        self, center: Tensor, left: Tensor | None = None, right: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the encoder feature and e_B, each Nx4*widthxH/8xW/8; see 38 pixels far."""
        encoded = self.filter_encoder(self._filter_views(center, left, right))
        return encoded, self.feature_extractor(center)

    def predict(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Predict disparity and filters from the encoder feature; see 30 cells far.

        Returns:
            The feature of which a 1x1 convolution makes the filters, like the encoder feature, and
            the disparity map.
        """
        disparity = self.disparity_estimator(encoded)
        return self.filter_predictor.trunk(encoded, disparity), disparity

    def apply_filters(self, filter_feature: Tensor, defocused: Tensor) -> Tensor:
        """Do the IAC and what the reconstructor does at 1/8 of the size; see N + 8 cells far.

        Args:
            filter_feature: as `predict` returned it.
            defocused: the defocused feature e_B.

        Returns:
            The reconstructor's bottleneck, Nx4*widthxH/8xW/8.
        """
        filters = self.filter_predictor.one_by_one(filter_feature)
        deblurred_feature = iterative_adaptive_convolution(defocused, filters)
        return cast("Tensor", self.reconstructor.bottleneck(deblurred_feature))

    def decode(self, bottleneck: Tensor, center: Tensor) -> Tensor:
        """Do the rest of the reconstructor's work; see 53 pixels far.

        The skips are made anew: those of a large picture, kept, would fill the memory.

        Args:
            bottleneck: as `apply_filters` returned it.
            center: the picture.

        Returns:
            The all-in-focus picture, Nx3xHxW, not clipped.
        """
        skips = self.feature_extractor.pyramid(center, stages=3)
        return self.reconstructor.enlarge(bottleneck, skips) + center

    def deblur_feature(
        self, encoded: Tensor, defocused: Tensor, seen: SeenFilters | None = None
    ) -> DeblurredFeature:
        """Apply the IAC to e_B, see `DeblurringNetwork.deblur_feature`."""
        feature, disparity = self.predict(encoded)
        filters = shown(self.filter_predictor.one_by_one(feature), seen)
        deblurred = iterative_adaptive_convolution(defocused, filters)
        return DeblurredFeature(deblurred, feature, disparity)

    def filters(
        self, center: Tensor, left: Tensor | None = None, right: Tensor | None = None
    ) -> Tensor:
        """Return the whole prediction in the order of released checkpoints, for inspection.

        Returns:
            N x iterations*7*4*width x H/8 x W/8: all filters, then all biases, see
            `ifan.networks.iac.released_channel_order`.
        """
        encoded = self.filter_encoder(self._filter_views(center, left, right))
        prediction = self.filter_predictor(encoded, self.disparity_estimator(encoded))
        order = released_channel_order(self.iterations, self.filter_predictor.channels)
        return cast("Tensor", prediction[:, order.argsort()])


def _require_suitable_size(*views: Tensor) -> None:
    sizes = {tuple(view.shape[-2:]) for view in views}
    if len(sizes) > 1:
        listed = " and ".join(sorted(f"{height}x{width}" for height, width in sizes))
        raise ValueError(f"the views differ in size ({listed}): give those of one picture")
    height, width = views[0].shape[-2:]
    if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or height == 0 or width == 0:
        raise ValueError(
            f"height and width must be multiples of {SIZE_MULTIPLE}, not {height}x{width}: "
            "pad the picture and crop the result"
        )
