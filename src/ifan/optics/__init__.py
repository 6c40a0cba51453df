"""Defocus physics: what a lens and a dual-pixel sensor make of a scene. Needs `ifan[train]`.

| what | module |
|---|---|
| thin lens, circle of confusion | `ifan.optics.lens` |
| point spread functions, dual-pixel splits | `ifan.optics.psf` |
| layers to views, occlusion-aware, in linear light | `ifan.optics.rendering` |
| noise | `ifan.optics.sensor` |
| radial distortion, vignetting | `ifan.optics.distortion` |
| transfer curve, quantisation, JPEG | `ifan.optics.colour`, `ifan.optics.jpeg` |

`coc` is the signed radius of the circle of confusion in pixels, negative in front of focus. Colours
are in linear light unless a name says `coded`. `docs/optics.md` has the model and its sources.
"""

from ifan.optics.colour import ToneCurve, linear_light, quantised, srgb_coded
from ifan.optics.distortion import Distortion, Vignetting
from ifan.optics.jpeg import jpeg_compressed
from ifan.optics.lens import ThinLens
from ifan.optics.psf import (
    Aperture,
    Butterworth,
    Disc,
    Dome,
    Gaussian,
    HalfDisc,
    Kernels,
    PointSpreadFunction,
    Polygon,
    Ramp,
    Split,
    TranslatingDisc,
)
from ifan.optics.rendering import (
    Layer,
    Views,
    all_in_focus,
    margin_of,
    render,
    visible_coc,
)
from ifan.optics.sensor import Sensor

__all__ = [
    "Aperture",
    "Butterworth",
    "Disc",
    "Distortion",
    "Dome",
    "Gaussian",
    "HalfDisc",
    "Kernels",
    "Layer",
    "PointSpreadFunction",
    "Polygon",
    "Ramp",
    "Sensor",
    "Split",
    "ThinLens",
    "ToneCurve",
    "TranslatingDisc",
    "Views",
    "Vignetting",
    "all_in_focus",
    "jpeg_compressed",
    "linear_light",
    "margin_of",
    "quantised",
    "render",
    "srgb_coded",
    "visible_coc",
]
