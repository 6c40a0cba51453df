"""Training pictures in folders: the layout of DPDD, or plain pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ifan.datasets.examples import Example
from ifan.errors import IfanError, PictureError
from ifan.files import is_folder
from ifan.images import is_picture_name, read_photograph
from ifan.images.photograph import Photograph

Bits = Literal[8, 16]
Split = Literal["train", "val", "test"]
Role = Literal["center", "target", "left", "right"]

_DPDD: Mapping[Role, str] = {
    "center": "{split}_c/source",
    "target": "{split}_c/target",
    "left": "{split}_l/source",
    "right": "{split}_r/source",
}
# Of pairs: in a folder for the split, or for all of them.
_PAIRS = (("source", "target"), ("input", "target"), ("blur", "sharp"))
_FOLDERS = ("{split}/", "")

_NAMED = 5
"""Pictures without a partner that are named."""

_WITHOUT_VIEWS = (
    "add them, or do without: recipe pairs-only, --no-views for ifan data, a model of one view"
)


@dataclass(frozen=True)
class FolderExamples:
    """Examples that are read from the files of pictures.

    Attributes:
        files: of each example, by what they show.
        bits: of the pixels: with 8 they are uint8, and of 16 bits in a file the lower half is cut
            off, as the paper's protocol does; with 16 they are uint16, of the same intensity.
    """

    files: Sequence[Mapping[Role, Path]]
    bits: Bits = 8

    @property
    def names(self) -> list[str]:
        """The files of the center views."""
        return [str(files["center"]) for files in self.files]

    @property
    def blocks(self) -> None:
        """Any order is as cheap as another."""
        return

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.files)

    def __getitem__(self, number: int) -> Example:
        """Read the pictures of an example.

        Raises:
            PictureError: one cannot be read, or they differ in size.
        """
        files = self.files[number]
        pictures = {
            role: pixels_of(read_photograph(path), self.bits) for role, path in files.items()
        }
        require_one_size(files, pictures)
        return example_of(pictures, str(files["center"]))


def open_folder(root: Path, split: Split, *, views: bool, bits: Bits = 8) -> FolderExamples:
    """Find the examples in a folder, without reading them.

    Either it has the layout of DPDD, as what `ifan data simulate` writes: `train_c`, `train_l` and
    `train_r` with `source` and `target`. Or it has pairs, in `train/source` and `train/target`; or
    in `source` and `target`, which then are those of any split. Pairs may also be called `input`
    and `target`, or `blur` and `sharp`. Pictures in sub-folders count; hidden ones do not. Those
    that belong together have the same place in the sorted lists, whatever their names are.

    Args:
        root: the folder.
        split: which part of it: `train`, `val` or `test`.
        views: whether dual-pixel views are wanted.
        bits: see `FolderExamples`.

    Raises:
        IfanError: there are no such folders, no pictures in them, or not equally many.
    """
    folders = _folders(root, split, views)
    files = paired(folders)
    return FolderExamples(files, bits)


def paired(folders: Mapping[Role, Path]) -> list[dict[Role, Path]]:
    """Put the pictures of folders together by their place in the sorted lists.

    Raises:
        IfanError: a folder does not exist, has none, or not as many as that of the center views.
    """
    lists = {role: pictures_below(folder) for role, folder in folders.items()}
    for role, folder in folders.items():
        if not is_folder(folder):
            is_view = role in ("left", "right")
            remedy = _WITHOUT_VIEWS if is_view else "give the pictures in focus there"
            raise IfanError(folder, "does not exist", remedy)
        require_equally_many(folders["center"], lists["center"], folder, lists[role])
    return [dict(zip(lists, paths, strict=True)) for paths in zip(*lists.values(), strict=True)]


def pixels_of(photograph: Photograph, bits: Bits) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return HxWx3 in so many bits, in the colours that the file has.

    Raises:
        PictureError: it holds floating-point numbers.
    """
    require_integers(photograph)
    pixels: npt.NDArray[Any] = photograph.pixels
    if bits == 8 and pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    elif bits == 16 and pixels.dtype == np.uint8:
        pixels = pixels * np.uint16(257)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return pixels


def require_integers(photograph: Photograph) -> None:
    """Refuse a picture whose range is not known.

    Raises:
        PictureError: it holds floating-point numbers.
    """
    if photograph.pixels.dtype == np.float32:
        reason = "holds floating-point numbers"
        raise PictureError(photograph.path, reason, "give pictures of 8 or 16 bits")


def require_one_size(files: Mapping[Role, Path], pictures: Mapping[Role, npt.NDArray[Any]]) -> None:
    """Refuse pictures of one example that differ in size.

    Raises:
        PictureError: one has not the size of the center view.
    """
    height, width = pictures["center"].shape[:2]
    for role, pixels in pictures.items():
        if pixels.shape[:2] != (height, width):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            reason = f"has {size} pixels, but {files['center']} has {width}x{height}"
            raise PictureError(files[role], reason, "give pictures of one scene in one size")


def example_of(pictures: Mapping[Role, npt.NDArray[Any]], name: str) -> Example:
    """Return an example of pictures by what they show."""
    return Example(
        center=pictures["center"],
        target=pictures["target"],
        left=pictures.get("left"),
        right=pictures.get("right"),
        name=name,
    )


def find_layout(root: Path, split: Split) -> dict[Role, Path] | None:
    """Return the folders of the layout that a folder has, by what they show; None if it has none.

    Args:
        root: the folder.
        split: which part of it.
    """
    dpdd = {role: root / name.format(split=split) for role, name in _DPDD.items()}
    if is_folder(dpdd["center"]):
        return dpdd
    for folder in _FOLDERS:
        for source, target in _PAIRS:
            center = root / folder.format(split=split) / source
            if is_folder(center):
                return {"center": center, "target": center.with_name(target)}
    return None


def _folders(root: Path, split: Split, views: bool) -> dict[Role, Path]:
    """Return the folders that are wanted of the layout that is there."""
    found = find_layout(root, split)
    if found is not None and views and "left" not in found:
        raise IfanError(found["center"], "has no dual-pixel views beside it", _WITHOUT_VIEWS)
    if found is not None:
        return found if views else {role: found[role] for role in ("center", "target")}
    if not is_folder(root):
        raise IfanError(root, "is no folder", "check the name")
    reason = f"has neither {split}_c/source nor {split}/source in it"
    remedy = "lay pictures out as DPDD or as pairs, or give what ifan data prepare made"
    raise IfanError(root, reason, remedy)


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures of a folder and those below it, sorted, without hidden ones."""
    try:
        found = [
            path
            for path in folder.rglob("*")
            if is_picture_name(path)
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
    except OSError:
        return []
    return sorted(found)


def require_equally_many(
    first: Path, ours: Sequence[Path], second: Path, theirs: Sequence[Path]
) -> None:
    """Refuse two folders of pictures that cannot belong together.

    Args:
        first: a folder.
        ours: its pictures.
        second: another folder.
        theirs: its pictures.

    Raises:
        IfanError: they have none, or not equally many.
    """
    if not ours:
        raise IfanError(first, "has no pictures in it", "check the name of the folder")
    if len(ours) != len(theirs):
        reason = f"has {len(theirs)} pictures, but {first} has {len(ours)}"
        raise IfanError(second, reason, _lonely(ours, theirs))


def _lonely(ours: Sequence[Path], theirs: Sequence[Path]) -> str:
    """Say which one has no partner, where names tell."""
    names, others = ({path.stem for path in paths} for paths in (ours, theirs))
    alone = sorted(names ^ others)
    if len(alone) == abs(len(ours) - len(theirs)):
        more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
        return f"without a partner: {', '.join(alone[:_NAMED])}{more}"
    return "give the same scenes in both"
