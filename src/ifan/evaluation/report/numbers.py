"""How metrics are called and their numbers written for people."""

from __future__ import annotations

import math

NAMES = {
    "psnr": "PSNR in dB, higher is better",
    "ssim": "SSIM, higher is better",
    "mae": "MAE, lower is better",
    "lpips": "LPIPS, lower is better",
}

HEADS = {"psnr": "PSNR", "ssim": "SSIM", "mae": "MAE", "lpips": "LPIPS"}

MISSING = "\N{EN DASH}"
"""Stands where there is no number."""

MINUS = "\N{MINUS SIGN}"

_DIGITS = {"psnr": 3, "ssim": 4, "mae": 4, "lpips": 4}


def shown(metric: str, value: float | None, *, signed: bool = False) -> str:
    """Return a number as it is shown; a dash where there is none.

    Args:
        metric: what it is one of.
        value: the number.
        signed: whether a plus is written, too.
    """
    if value is None or math.isnan(value):
        return MISSING
    sign = "+" if signed and value > 0 else MINUS if value < 0 else ""
    if math.isinf(value):
        return f"{sign}∞"
    return f"{sign}{abs(value):.{_DIGITS[metric]}f}"


def sortable(value: float | None) -> str:
    """Return a number as the script of the page sorts it; what is missing comes last."""
    return "" if value is None or math.isnan(value) else repr(value)
