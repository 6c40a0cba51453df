"""Examples made varied, as the paper does for its training, and cut to size."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from ifan.datasets.examples import Example, require_crop
from ifan.datasets.simulated.settings import Share
from ifan.images.photograph import WHITE, Pixels
from ifan.optics.colour import srgb_coded

Array = npt.NDArray[np.float32]

# As Rec. 709 says, but for blue, which has 0.0722 there.
_GREY = np.array([0.2126, 0.7152, 0.07228], np.float32)


class Augmentation(BaseModel):
    """How examples are varied; the defaults are the paper's.

    Attributes:
        noise_share: how many get Gaussian noise: the same in all views, none in the target.
        noise_sigma: range of its standard deviation, for values in [0, 1].
        grey_share: how many become grey, in all their pictures.
        resize_share: how many are made smaller, in all their pictures, but not than the crop.
        smallest_scale: the smallest factor of that; the largest is 1.
        flips: whether half of them are turned upside down, and half are mirrored. A mirror makes
            the left view the right one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    noise_share: Share = 0.05
    noise_sigma: tuple[NonNegativeFloat, NonNegativeFloat] = (0.001, 0.005**0.5)
    grey_share: Share = 0.3
    resize_share: Share = 0.5
    smallest_scale: Annotated[float, Field(gt=0, le=1)] = 0.7
    flips: bool = False

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if self.noise_sigma[0] > self.noise_sigma[1]:
            raise ValueError("noise_sigma must go from the smaller to the larger value")
        return self

    @staticmethod
    def none() -> Augmentation:
        """Return the settings that only cut out a random part."""
        return Augmentation(noise_share=0, grey_share=0, resize_share=0)


def augmented(
    example: Example, crop: int, augmentation: Augmentation, random: np.random.Generator
) -> Example:
    """Vary an example and cut a random part out of it.

    Only what the part needs is computed, so large pictures cost no more than small ones.

    Args:
        example: at least crop x crop pixels.
        crop: side of the part in pixels.
        augmentation: how.
        random: what decides.

    Returns:
        The part: crop x crop x 3, float32 in [0, 1].

    Raises:
        PictureError: the pictures are smaller than the crop.
    """
    height, width = example.center.shape[:2]
    require_crop(example.name, height, width, crop)
    way = _drawn(height, width, crop, augmentation, random)
    left, right = (
        None if view is None else way.taken(view, way.noise)
        for view in (example.left, example.right)
    )
    if way.mirrored:
        left, right = right, left
    center, target = way.taken(example.center, way.noise), way.taken(example.target, 0)
    return replace(example, center=center, target=target, left=left, right=right)


class _Axis(NamedTuple):
    """How an output pixel is the mean of what it covers of the input, along one axis.

    Attributes:
        span: the input that is covered at all.
        covered: k x crop, the numbers within `span` of the pixels that each output pixel covers.
        weights: k x crop, how much of each.
    """

    span: slice
    covered: npt.NDArray[np.intp]
    weights: Array

    @staticmethod
    def of(size: int, resized: int, start: int, crop: int) -> _Axis:
        """Take `crop` output pixels from `start` on of `size` pixels that are resized."""
        edges = np.arange(start, start + crop + 1) * (size / resized)
        low, high = edges[:-1, None], edges[1:, None]
        first = int(edges[0])
        count = int(np.max(np.ceil(high) - np.floor(low)))
        pixels = np.floor(low).astype(np.intp) + np.arange(count)
        weights = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
        weights /= weights.sum(axis=1, keepdims=True)
        # Beyond the last pixel the weights are 0, but for rounding.
        pixels = np.minimum(pixels, size - 1)
        span = slice(first, int(pixels.max()) + 1)
        return _Axis(span, pixels.T - first, weights.T.astype(np.float32))

    def mean(self, values: Array, axis: int) -> Array:
        """Average the values of a span over what each output pixel covers."""
        if len(self.covered) == 1:
            return values
        shape = [1, 1, 1]
        shape[axis] = -1
        mean = np.zeros(1, np.float32)
        for pixels, weights in zip(self.covered, self.weights, strict=True):
            share = values.take(pixels, axis)
            share *= weights.reshape(shape)
            mean = np.add(mean, share, out=share)
        return mean


class _Way(NamedTuple):
    """What was drawn for one example."""

    rows: _Axis
    columns: _Axis
    noise: Array | float
    grey: bool
    upside_down: bool
    mirrored: bool

    def taken(self, pixels: Pixels, noise: Array | float) -> Array:
        """Return the part of a picture: crop x crop x 3."""
        values = pixels[self.rows.span, self.columns.span].astype(np.float32)
        values /= WHITE[pixels.dtype]
        if np.any(noise):
            values = np.clip(values + noise, 0, 1)
        if self.grey:
            values = _grey(values)
        values = self.columns.mean(self.rows.mean(values, 0), 1)
        values = values[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))


def _drawn(
    height: int, width: int, crop: int, augmentation: Augmentation, random: np.random.Generator
) -> _Way:
    """Draw what is done to an example, in the order in which it is done."""
    is_noisy = random.random() < augmentation.noise_share
    sigma = random.uniform(*augmentation.noise_sigma)
    is_grey = random.random() < augmentation.grey_share
    is_resized = random.random() < augmentation.resize_share
    scale = random.uniform(max(augmentation.smallest_scale, crop / min(height, width)), 1)
    axes = []
    for size in (height, width):
        resized = max(crop, round(size * scale)) if is_resized else size
        # As in the paper's training: the last two positions are never taken, the first more often.
        start = max(0, int(random.uniform(0, resized - crop) - 1))
        axes.append(_Axis.of(size, resized, start, crop))
    rows, columns = axes
    upside_down, mirrored = (augmentation.flips and random.random() < 0.5 for _ in range(2))
    # One number for each sample, but only of the part: the others are independent of these.
    shape = (rows.span.stop - rows.span.start, columns.span.stop - columns.span.start, 3)
    noise = sigma * random.standard_normal(shape, np.float32) if is_noisy else 0.0
    return _Way(rows, columns, noise, is_grey, upside_down, mirrored)


def _grey(values: Array) -> Array:
    """Turn HxWx3 into HxWx1 as the paper's training did.

    A curve that is meant for linear light is applied to values that have it already, so that grey
    pictures are brighter.
    """
    return srgb_coded((values @ _GREY)[..., None])
