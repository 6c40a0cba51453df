"""Two photographs in one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ifan.images.photograph import WHITE, Photograph, Pixels

# The gap, as a part of the width of one photograph, and at least so many pixels.
_GAP = 0.005
_LEAST_GAP = 2


def side_by_side(before: Photograph, after: Photograph) -> Photograph:
    """Put two photographs of one size beside each other, with a thin grey gap between them.

    Args:
        before: goes to the left.
        after: goes to the right; its format, path and metadata are those of the result.

    Raises:
        ValueError: the two differ in shape or dtype.
    """
    old, new = before.pixels, after.pixels
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        raise ValueError(f"{old.dtype} {old.shape} beside {new.dtype} {new.shape}")
    white = WHITE[new.dtype]
    gap = _gap(after.width)
    alpha = None
    if before.alpha is not None or after.alpha is not None:
        alpha = _join(_alpha(before, white), _alpha(after, white), gap, white)
    return replace(after, pixels=_join(old, new, gap, white / 2), alpha=alpha)


def width_beside(width: int) -> int:
    """Return how wide two photographs of a width are beside each other."""
    return 2 * width + _gap(width)


def _gap(width: int) -> int:
    return max(_LEAST_GAP, round(_GAP * width))


def _alpha(photograph: Photograph, white: float) -> Pixels:
    """Return the alpha channel, that of an opaque photograph too."""
    if photograph.alpha is not None:
        return photograph.alpha
    return np.full(photograph.pixels.shape[:2], white, photograph.pixels.dtype)


def _join(left: Pixels, right: Pixels, gap: int, value: float) -> Pixels:
    between: Pixels = np.full((left.shape[0], gap, *left.shape[2:]), value, left.dtype)
    return np.concatenate([left, between, right], axis=1)
