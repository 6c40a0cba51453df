"""Small data sets, as files."""

import numpy as np

from ifan.images import Metadata, Photograph, write_photograph

VIEWS = ("c/source", "c/target", "l/source", "r/source")


def picture(seed, height=20, width=24, dtype=np.uint8):
    random = np.random.default_rng(seed)
    return random.integers(np.iinfo(dtype).max + 1, size=(height, width, 3), dtype=dtype)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photograph(Photograph(pixels, None, "PNG", Metadata(), path), path, overwrite=True)


def save_dpdd(root, count=3, split="train", dtype=np.uint8, **size):
    """Writes a set in which, as in DPDD, file names differ between folders."""
    for offset, folder in enumerate(VIEWS):
        for number in range(count):
            path = root / f"{split}_{folder}" / f"1P0A{917 + number - offset:04d}.png"
            save(picture(10 * number + offset, dtype=dtype, **size), path)
    return root


def same(first, second):
    """Tells whether two examples have the same pictures."""
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        and np.asarray(getattr(first, name)).dtype == np.asarray(getattr(second, name)).dtype
        for name in ("center", "target", "left", "right")
    )
