"""Make the pictures of the README and the docs by running the program on the example photograph.

make pictures
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "out-of-focus.jpg"
PICTURES = ROOT / "docs" / "pictures"

DETAIL = (280, 130, 960, 650)
"""Left, top, right and bottom of the part that is shown pixel by pixel."""

QUALITY = 90


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sharp, defocus = Path(folder) / "sharp.png", Path(folder) / "defocus.png"
        ifan("deblur", EXAMPLE, "-o", sharp)
        ifan("defocus-map", EXAMPLE, "-o", defocus)
        pictures = [Image.open(path).convert("RGB") for path in (EXAMPLE, sharp, defocus)]
    details = [picture.crop(DETAIL) for picture in pictures[:2]]
    save(beside(details), "detail.jpg")
    save(beside([picture.reduce(2) for picture in pictures]), "overview.jpg")


def ifan(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "ifan", *arguments], check=True)


def beside(pictures: list[Image.Image], gap: int = 8) -> Image.Image:
    """Put pictures of one size next to each other."""
    width, height = pictures[0].size
    joined = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), "white")
    for position, picture in enumerate(pictures):
        joined.paste(picture, (position * (width + gap), 0))
    return joined


def save(picture: Image.Image, name: str) -> None:
    picture.save(PICTURES / name, quality=QUALITY, subsampling=0, optimize=True)
    print(PICTURES / name)


if __name__ == "__main__":
    main()
