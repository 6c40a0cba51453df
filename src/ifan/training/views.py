"""Training pictures as tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Views(NamedTuple):
    """Training pictures: Nx3xHxW, sRGB-coded in [0, 1].

    Attributes:
        center: the defocused picture.
        target: the all-in-focus picture.
        left: left dual-pixel view; None where there are pairs only.
        right: right dual-pixel view; None where there are pairs only.
        coc: true circle of confusion, Nx1xHxW, signed radius in pixels; None where it is unknown.
    """

    center: Tensor
    target: Tensor
    left: Tensor | None = None
    right: Tensor | None = None
    coc: Tensor | None = None


def views_on(device: torch.device, pictures: Any) -> Views:
    """Put pictures on a device, as float32 in [0, 1]; channels lie last in memory, as they did.

    Args:
        device: where to.
        pictures: arrays NxHxWx3 by the names of `Views`, integers or float32 in [0, 1]; `coc` is
            NxHxW.
    """
    left, right, coc = pictures.left, pictures.right, pictures.coc
    return Views(
        _tensor(device, pictures.center),
        _tensor(device, pictures.target),
        None if left is None else _tensor(device, left),
        None if right is None else _tensor(device, right),
        None if coc is None else _tensor(device, coc[..., None]),
    )


def _tensor(device: torch.device, pictures: npt.NDArray[Any]) -> Tensor:
    values = torch.from_numpy(pictures).to(device, non_blocking=True).permute(0, 3, 1, 2)
    if np.issubdtype(pictures.dtype, np.integer):
        return values.float() / np.iinfo(pictures.dtype).max
    return values
