"""Miniature copies of the data sets of the field, in their released layouts."""

import numpy as np
from PIL import Image

from ifan.images import Metadata, Photograph, write_photograph

HEIGHT, WIDTH = 45, 60
"""No multiples of 8: the paper's protocol crops them to 40x56."""


def scene(seed, dtype=np.uint8, height=HEIGHT, width=WIDTH):
    """A sharp picture and the same out of focus."""
    random = np.random.default_rng(seed)
    small = random.integers(256, size=(height // 5 + 1, width // 5 + 1, 3), dtype=np.uint8)
    coarse = Image.fromarray(small)
    sharp, blurred = (
        np.asarray(coarse.resize((width, height), how), float)
        for how in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    )
    fine = random.integers(256, size=sharp.shape)  # the lower half of 16 bits
    white = np.iinfo(dtype).max
    scale = (lambda v: v * 256 + fine) if white > 255 else (lambda v: v)
    return tuple(np.clip(scale(v), 0, white).astype(dtype) for v in (blurred, sharp))


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photograph(Photograph(pixels, None, "PNG", Metadata(), path), path, overwrite=True)
    return path


def save_dpdd(root, count=3, dtype=np.uint16):
    """As released: 16 bits, and the names of sources and targets differ."""
    for number in range(count):
        blurred, sharp = scene(number, dtype)
        name = f"1P0A{917 + number:04d}.png"
        save(blurred, root / "DPDD/test_c/source" / name)
        save(sharp, root / "DPDD/test_c/target" / f"1P0A{916 + number:04d}.png")
        for view, step in (("l", 1), ("r", -1)):
            save(np.roll(blurred, step, axis=1), root / f"DPDD/test_{view}/source" / name)
    return root


def save_all(root):
    """Save a copy of each known set; random has pictures of several formats and sizes."""
    save_dpdd(root)
    for number in range(2):
        blurred, sharp = scene(10 + number)
        save(blurred, root / f"RealDOF/source/{number:02d}.png")
        save(sharp, root / f"RealDOF/target/{number:02d}.png")
        save(blurred, root / f"CUHK/out_of_focus{number:04d}.jpg")
        for view, step in (("c", 0), ("l", 1), ("r", -1)):
            save(np.roll(blurred, step, axis=0), root / f"PixelDP/test_{view}/source/{number}.png")
    save(scene(20, height=33, width=47)[0], root / "random/Süden 🌵.png")
    save(scene(21)[0], root / "random/deeper/b.jpg")
    for folder in ("CUHK", "RealDOF/source", "random/deeper"):
        (root / folder / "Thumbs.db").write_bytes(b"no picture")
        (root / folder / ".hidden.png").write_bytes(b"no picture")
    return root
