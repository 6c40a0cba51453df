"""A scene of layers, seen out of focus through both halves of a lens.

Each layer is blurred by the point spread functions of its own circle of confusion, opacity and
all, and the layers are put one over another from the back to the front, for each view by itself:

    view = sum_i  F_i prod_{j in front of i} (1 - A_j),

where F_i is the blurred colour times opacity of layer i and A_i its blurred opacity. So a blurred
foreground lets through what is behind it at its edge, and a sharp one hides the blurred background
up to its edge. Colours are in linear light, where light adds up.

**Within a layer whose circle of confusion varies** light is divided by the weight that arrives at a
pixel, so that a surface that is equally bright everywhere stays so.

**The center view** is the mean of the left and the right one, as a sensor adds up both halves of a
pixel. It is not the same as putting layers together once with the center point spread function:
that would let each ray through by chance, where in fact rays through one half of the lens are held
up by the same part of the foreground. Halves come closer to the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ifan.optics.kernels import tabulate
from ifan.optics.psf import PointSpreadFunction
from ifan.optics.scattering import scatter

Array = npt.NDArray[np.float32]
Shift = tuple[float, float, float]


class Views(NamedTuple):
    """What the halves of dual pixels see, HxWx3, scaled so that each is as bright as the whole."""

    left: Array
    right: Array

    @property
    def center(self) -> Array:
        """What whole pixels see: the mean of both."""
        return np.asarray((self.left + self.right) / 2, np.float32)


@dataclass(frozen=True, eq=False)
class Layer:
    """A surface of a scene.

    Attributes:
        colour: HxWx3 in linear light, also where something in front hides it.
        coc: signed radius of the circle of confusion in pixels, one number or HxW. Where it varies
            it should vary smoothly; a step in depth is a matter for two layers.
        opacity: HxW in [0, 1], or None: opaque everywhere.

    Raises:
        ValueError: shapes differ, or a coc is not finite.
    """

    colour: Array
    coc: float | Array
    opacity: Array | None = None

    def __post_init__(self) -> None:
        if self.colour.ndim != 3 or self.colour.shape[2] != 3:
            raise ValueError(f"colour must be HxWx3, not {self.colour.shape}")
        for name, values in (("coc", np.asarray(self.coc)), ("opacity", self.opacity)):
            if values is not None and values.ndim and values.shape != self.colour.shape[:2]:
                raise ValueError(f"{name} must be {self.colour.shape[:2]}, not {values.shape}")
        if not np.isfinite(self.coc).all():
            raise ValueError("coc must be finite")

    @property
    def coc_range(self) -> tuple[float, float]:
        """The smallest and the largest signed circle of confusion."""
        return float(np.min(self.coc)), float(np.max(self.coc))

    def continued(self, margin: int) -> Self:
        """Return the layer with `margin` pixels more at each side, its reflection in the border."""

        def pad(values: Array) -> Array:
            widths = ((margin, margin), (margin, margin)) + ((0, 0),) * (values.ndim - 2)
            return np.pad(values, widths, mode="symmetric")

        coc = pad(self.coc) if isinstance(self.coc, np.ndarray) and self.coc.ndim else self.coc
        return type(self)(
            pad(self.colour), coc, None if self.opacity is None else pad(self.opacity)
        )


def margin_of(
    layers: Sequence[Layer], psf: PointSpreadFunction, chromatic_shift: Shift = (0, 0, 0)
) -> int:
    """Return how wide a margin `render` needs for these layers, in pixels."""
    largest = max(abs(limit) for layer in layers for limit in layer.coc_range)
    return psf.reach(largest + max(map(abs, chromatic_shift)))


def render(
    layers: Sequence[Layer],
    psf: PointSpreadFunction,
    *,
    margin: int,
    chromatic_shift: Shift = (0, 0, 0),
) -> Views:
    """Render what both halves of the lens see.

    Args:
        layers: from the back to the front, all of one size. The first is opaque.
        psf: the point spread function.
        margin: how many pixels at each side of the layers are there only to be blurred into the
            picture and are not part of it: `margin_of` or more. `Layer.continued` makes some.
        chromatic_shift: longitudinal chromatic aberration, which draws coloured fringes along
            defocused edges: what is added to the circle of confusion of red, green and blue.

    Returns:
        Both views without the margin, in linear light and without noise. A scene without defocus
        is returned as it is, a scene of one colour has that colour up to the border.

    Raises:
        ValueError: no layers, sizes that differ, a background with holes, a margin too narrow.
    """
    _check(layers, margin, margin_of(layers, psf, chromatic_shift) if layers else 0)
    height, width = (size - 2 * margin for size in layers[0].colour.shape[:2])
    views = [np.zeros((height, width, 3), np.float32) for _ in range(2)]
    for layer in layers:
        for view, (colour, opacity) in zip(
            views, _blurred(layer, psf, margin, chromatic_shift), strict=True
        ):
            view *= 1 - opacity
            view += colour
    return Views(*views)


def all_in_focus(layers: Sequence[Layer], *, margin: int) -> Array:
    """Put the layers one over another as a lens would see them that has everything in focus.

    Returns:
        HxWx3 in linear light, without the margin.
    """
    inside = _inside(margin)
    picture = np.zeros_like(layers[0].colour[inside])
    for layer in layers:
        opacity = _opacity(layer)[inside][..., None]
        picture = picture * (1 - opacity) + layer.colour[inside] * opacity
    return picture


def visible_coc(layers: Sequence[Layer], *, margin: int) -> Array:
    """Return the circle of confusion of what is in front at each pixel of the all-in-focus picture.

    That is the foremost layer whose opacity is at least one half, HxW, without the margin.
    """
    inside = _inside(margin)
    visible = np.zeros(layers[0].colour[inside].shape[:2], np.float32)
    for layer in layers:
        coc = np.broadcast_to(np.float32(layer.coc), layer.colour.shape[:2])
        np.copyto(visible, coc[inside], where=_opacity(layer)[inside] >= 0.5)
    return visible


def _check(layers: Sequence[Layer], margin: int, needed: int) -> None:
    if not layers:
        raise ValueError("a scene has at least one layer")
    shapes = {layer.colour.shape[:2] for layer in layers}
    if len(shapes) > 1:
        raise ValueError(f"layers differ in size: {sorted(shapes)}")
    if (background := layers[0].opacity) is not None and (background < 1).any():
        raise ValueError("the first layer must be opaque")
    if margin < needed:
        raise ValueError(f"a margin of {margin} px is too narrow; {needed} px are needed")
    if min(layers[0].colour.shape[:2]) <= 2 * margin:
        raise ValueError(f"nothing is left inside a margin of {margin} px")


def _inside(margin: int) -> tuple[slice, slice]:
    inside = slice(margin, -margin or None)
    return inside, inside


def _opacity(layer: Layer) -> Array:
    if layer.opacity is None:
        return np.ones(layer.colour.shape[:2], np.float32)
    return layer.opacity


def _blurred(
    layer: Layer, psf: PointSpreadFunction, margin: int, shift: Shift
) -> list[tuple[Array, Array]]:
    """Return for each view colour times opacity, HxWx3, and opacity, HxWx1 or HxWx3."""
    if len(set(shift)) == 1:
        return _blurred_together(layer, psf, margin, shift[0])
    channels = [
        _blurred_together(layer, psf, margin, shift[channel], slice(channel, channel + 1))
        for channel in range(3)
    ]
    return [
        (np.concatenate(colours, axis=2), np.concatenate(opacities, axis=2))
        for view in range(2)
        for colours, opacities in [zip(*(blurred[view] for blurred in channels), strict=True)]
    ]


def _blurred_together(
    layer: Layer,
    psf: PointSpreadFunction,
    margin: int,
    shift: float,
    channels: slice = slice(0, 3),
) -> list[tuple[Array, Array]]:
    """Blur channels of a layer that have one circle of confusion."""
    smallest, largest = (limit + shift for limit in layer.coc_range)
    table = tabulate(psf, smallest, largest)
    coc = np.asarray(layer.coc + np.float32(shift), np.float32)
    opacity = _opacity(layer)
    values = np.zeros((*opacity.shape, 4), np.float32)
    values[..., channels] = layer.colour[..., channels] * opacity[..., None]
    values[..., 3] = opacity
    blurred = [view[_inside(margin)] for view in scatter(values, coc, table)]
    if smallest < largest:
        weights = [view[..., 3:] for view in blurred]
        if layer.opacity is not None:
            near = _near(opacity, 2 * int(table.reach.max()))
            weights = [view[_inside(margin)][..., 3:] for view in scatter(near, coc, table)]
        # Where none arrives there is nothing of the layer either.
        blurred = [
            np.asarray(view / np.maximum(weight, 1e-6), np.float32)
            for view, weight in zip(blurred, weights, strict=True)
        ]
    return [(view[..., channels], np.minimum(view[..., 3:], 1)) for view in blurred]


def _near(opacity: Array, distance: int) -> Array:
    """Return HxWx4 whose last channel is 1 in the box around the layer, `distance` pixels wider."""
    near = np.zeros((*opacity.shape, 4), np.float32)
    rows, columns = (np.flatnonzero(opacity.any(axis=axis)) for axis in (1, 0))
    if rows.size:
        top, left = (max(int(i[0]) - distance, 0) for i in (rows, columns))
        bottom, right = (int(i[-1]) + distance + 1 for i in (rows, columns))
        near[top:bottom, left:right, 3] = 1
    return near
