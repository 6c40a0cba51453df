"""Make the pictures of docs/optics.md: point spread functions, and one scene taken apart.

make pictures
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ifan.datasets.simulated.noise import smooth_noise
from ifan.datasets.simulated.outlines import hairy
from ifan.optics import (
    Butterworth,
    Disc,
    Dome,
    Gaussian,
    HalfDisc,
    Layer,
    PointSpreadFunction,
    Polygon,
    Ramp,
    Sensor,
    Split,
    TranslatingDisc,
    all_in_focus,
    linear_light,
    render,
    srgb_coded,
    visible_coc,
)
from make_pictures import beside, save

Array = npt.NDArray[np.float32]

RADIUS = 20.0
SIDE = 240
COC_PX = 9.0


def main() -> None:
    save(point_spread_functions(), "optics-psf.jpg")
    save(scene(), "optics-scene.jpg")


def point_spread_functions() -> Image.Image:
    """Rows: apertures. Columns: center, then left and right of each split, then in front."""
    rows = []
    splits: tuple[Split, ...] = (HalfDisc(0.2), Ramp(), TranslatingDisc())
    for aperture in (Disc(), Polygon(7), Butterworth(order=6), Dome(), Gaussian()):
        cells = [shown(PointSpreadFunction(aperture).views(RADIUS).center)]
        ends_at_the_radius = isinstance(aperture, (Disc, Polygon))
        for split in splits:
            if isinstance(split, TranslatingDisc) and not ends_at_the_radius:
                cells += [Image.new("L", cells[0].size, 255)] * 2
                continue
            kernels = PointSpreadFunction(aperture, split).views(RADIUS)
            cells += [shown(kernels.left), shown(kernels.right)]
        in_front = PointSpreadFunction(aperture, HalfDisc(0.2)).views(-RADIUS)
        cells += [shown(in_front.left), shown(in_front.right)]
        rows.append(beside(cells))
    return below(rows)


def shown(kernel: npt.NDArray[np.float64], side: int = 65, factor: int = 2) -> Image.Image:
    """Draw a kernel in the middle of a dark square, white where it is brightest."""
    margin = (side - len(kernel)) // 2
    grey = np.pad(kernel / kernel.max(), margin)
    pixels = np.rint(srgb_coded(grey.astype(np.float32)) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((side * factor,) * 2, Image.Resampling.NEAREST)


def scene() -> Image.Image:
    """A hairy thing in front of lights, both out of focus on their own sides."""
    psf = PointSpreadFunction(Polygon(7), HalfDisc(0.2))
    margin = psf.reach(COC_PX)
    side = SIDE + 2 * margin
    random = np.random.default_rng(4)
    behind = lights(random, side)
    thing = texture(random, side)
    opacity = hairy(np.random.default_rng(13), side, side)
    layers = [Layer(behind, COC_PX), Layer(thing, -2.5, opacity)]
    focused_on_it = [Layer(behind, COC_PX), Layer(thing, 0.0, opacity)]
    views = render(layers, psf, margin=margin)
    coc = visible_coc(focused_on_it, margin=0)
    flat = [Layer(all_in_focus(focused_on_it, margin=0), coc)]
    inside = slice(margin, -margin)
    upper = [
        picture(behind[inside, inside]),
        picture((thing * opacity[..., None])[inside, inside]),
        coc_picture(visible_coc(layers, margin=margin)),
        picture(all_in_focus(layers, margin=margin)),
    ]
    noisy = Sensor(electrons=1500).expose(views, random)
    middle = [
        picture(views.left),
        picture(views.right),
        picture(views.center),
        picture(noisy.center),
    ]
    lower = [
        picture(all_in_focus(focused_on_it, margin=margin)),
        picture(render(flat, psf, margin=margin).center),
        picture(render(focused_on_it, psf, margin=margin).center),
        picture(gamma_blurred(focused_on_it, psf, margin)),
    ]
    return below([beside(upper), beside(middle), beside(lower)])


def gamma_blurred(layers: list[Layer], psf: PointSpreadFunction, margin: int) -> Array:
    """Blur coded values in place of light, as an example of how not to."""
    coded = [Layer(srgb_coded(layer.colour), layer.coc, layer.opacity) for layer in layers]
    return linear_light(np.clip(render(coded, psf, margin=margin).center, 0, 1))


def lights(random: np.random.Generator, side: int) -> Array:
    """A dark evening with walls, and lamps that are many times brighter than white."""
    colour = np.full((side, side, 3), 0.02, np.float32)
    y, x = np.mgrid[:side, :side]
    for _ in range(40):
        top, left = random.uniform(0, side, 2)
        height, width = random.uniform(10, 90, 2)
        inside = (abs(y - top) < height) & (abs(x - left) < width / 2)
        colour[inside] = random.uniform(0.01, 0.2, 3)
    for _ in range(45):
        row, column = random.uniform(0, side, 2)
        colour[np.hypot(y - row, x - column) < 1.6] = random.uniform(2, 14, 3)
    return colour


def texture(random: np.random.Generator, side: int) -> Array:
    """Something with stripes."""
    waves = np.sin(smooth_noise(random, side, side, 60) * 25)[..., None]
    fine = smooth_noise(random, side, side, 3)[..., None] * 0.06
    return np.clip(0.3 + waves * [0.2, 0.12, 0.03] + fine, 0, 1).astype(np.float32)


def picture(linear: Array) -> Image.Image:
    return Image.fromarray(np.rint(srgb_coded(linear) * 255).astype(np.uint8))


def coc_picture(coc: Array) -> Image.Image:
    """White in focus, blue in front of it, red behind."""
    share = np.clip(coc / COC_PX, -1, 1)
    behind, in_front = np.maximum(share, 0), np.maximum(-share, 0)
    colour = np.stack((1 - in_front, 1 - np.abs(share), 1 - behind), axis=-1)
    return Image.fromarray(np.rint(colour * 255).astype(np.uint8))


def below(pictures: list[Image.Image], gap: int = 8) -> Image.Image:
    """Put pictures of one size below one another."""
    width, height = pictures[0].size
    joined = Image.new("RGB", (width, len(pictures) * (height + gap) - gap), "white")
    for position, part in enumerate(pictures):
        joined.paste(part, (0, position * (height + gap)))
    return joined


if __name__ == "__main__":
    Path(__file__).with_name("pictures").mkdir(exist_ok=True)
    main()
