"""Where the files of a simulated data set are: as in DPDD, and the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ifan.files import (
    exists,
    is_folder,
    is_written,
    make_folder,
    remove_leftovers,
    write_atomically,
)
from ifan.images import FORMATS, Metadata, Photograph, encode_photograph, write_map

if TYPE_CHECKING:
    from ifan.datasets.simulated import Scene

SETTINGS = "settings.json"
CONTACT_SHEET = "contact-sheet.jpg"

_PICTURES: Mapping[str, tuple[str, ...]] = {
    "center": ("train_c/source",),
    "left": ("train_l/source",),
    "right": ("train_r/source",),
    "target": ("train_c/target", "train_l/target", "train_r/target"),
}
_COC = "train_c/coc"

# Of the numbers in names, for up to a million scenes.
_DIGITS = 6


def holds_scenes(folder: Path) -> bool:
    """Tell whether a folder is a simulated data set."""
    return exists(folder / SETTINGS) and is_folder(folder / _COC)


class Layout:
    """The files of each scene; their names sort as the scenes are numbered.

    Args:
        folder: of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make_folders(self) -> None:
        """Make the folders, and remove what killed processes left there.

        Raises:
            OutputError: a folder cannot be made.
        """
        own = ""  # what lies beside those of the pictures
        for name in (own, *sum(_PICTURES.values(), ()), _COC):
            make_folder(self.folder / name)
            remove_leftovers(self.folder / name)

    def pictures(self, index: int) -> dict[Path, str]:
        """Return the pictures of a scene: which file shows what of it."""
        return {
            self._file(folder, index, ".png"): name
            for name, folders in _PICTURES.items()
            for folder in folders
        }

    def center(self, index: int) -> Path:
        """Return the file of the center view."""
        return self._file("train_c/source", index, ".png")

    def target(self, index: int) -> Path:
        """Return a file of the target."""
        return self._file("train_c/target", index, ".png")

    def coc(self, index: int) -> Path:
        """Return the file of the true circle of confusion."""
        return self._file(_COC, index, ".tif")

    def has(self, index: int) -> bool:
        """Tell whether all files of a scene are there; each of them is whole."""
        return all(map(is_written, (*self.pictures(index), self.coc(index))))

    def write(self, index: int, scene: Scene, bits: int) -> None:
        """Write all files of a scene.

        Raises:
            OutputError: one cannot be written.
        """
        encoded = {name: _png(getattr(scene, name), bits) for name in _PICTURES}
        for path, name in self.pictures(index).items():
            write_atomically(path, encoded[name], overwrite=True)
        write_map(scene.coc, self.coc(index), overwrite=True)

    def _file(self, folder: str, index: int, suffix: str) -> Path:
        return self.folder / folder / f"{index:0{_DIGITS}}{suffix}"


def _png(values: npt.NDArray[np.float32], bits: int) -> bytes:
    """Encode HxWx3 in [0, 1]."""
    dtype = np.uint16 if bits == 16 else np.uint8
    pixels = np.rint(values * (2**bits - 1)).astype(dtype)
    path = Path("scene.png")
    photograph = Photograph(pixels, alpha=None, format="PNG", metadata=Metadata(), path=path)
    return encode_photograph(photograph, FORMATS["PNG"], path)
