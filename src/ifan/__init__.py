"""Turns out-of-focus photographs into sharp ones.

    from ifan import Deblurrer

    deblurrer = Deblurrer()
    sharp = deblurrer(image)                  # HxWx3 uint8, uint16 or float32
    deblurrer.deblur_file("photo.jpg")        # writes photo.deblurred.jpg

An independent implementation of IFAN: Lee, Son, Rim, Cho, Lee: "Iterative Filter Adaptive Network
for Single Image Defocus Deblurring", CVPR 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifan.deblurrer import Deblurrer
    from ifan.errors import IfanError

__all__ = ["Deblurrer", "IfanError", "__version__"]

__version__ = "0.1.0"

_HOMES = {"Deblurrer": "ifan.deblurrer", "IfanError": "ifan.errors"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import ifan` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
