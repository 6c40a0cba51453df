"""Pictures to evaluate with: a set that is known by its name, or any folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ifan.datasets.folders import Role, Split, find_layout, paired
from ifan.datasets.released import ReleasedSet, find_set
from ifan.datasets.root import KEY, VARIABLE, config_file, dataset_root
from ifan.errors import IfanError
from ifan.files import is_folder


@dataclass(frozen=True)
class TestSet:
    """Pictures to evaluate with, as files.

    Attributes:
        name: what to call it; that of its folder, and of the part if that is not `test`.
        folder: where it is.
        center: the folder of the center views.
        files: of each scene, by what they show; `target` is there in all of them or in none.
        released: what is known about the set; None of any other folder, and of parts that nobody
            publishes numbers of.
    """

    __test__ = False  # no test itself, whatever pytest makes of its name

    name: str
    folder: Path
    center: Path
    files: Sequence[Mapping[Role, Path]]
    released: ReleasedSet | None

    @property
    def has_targets(self) -> bool:
        """Whether the pictures have sharp counterparts."""
        return "target" in self.files[0]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is known to be missing, so that published numbers can be compared."""
        expected = self.released.pictures.get("test") if self.released else None
        return expected in (None, len(self.files))


def locate(data: str, root: Path | None = None) -> tuple[Path, ReleasedSet | None]:
    """Find the folder of a data set.

    Args:
        data: the name of a known set, below the root; or a folder. A folder that is called as a
            known set is taken for it.
        root: see `dataset_root`.

    Raises:
        IfanError: there is no such folder.
    """
    known = find_set(data)
    folder = dataset_root(root) / data if known else Path(data)
    if not is_folder(folder):
        remedy = "check the name"
        if known:
            said = f"give --root, set {VARIABLE}, or write {KEY} = '...' to {config_file()}"
            remedy = f"{said}; ifan data download {data} fetches it" if known.address else said
        raise IfanError(folder, "is no folder", remedy)
    return folder, known or find_set(folder.resolve().name)


def open_test_set(
    data: str, root: Path | None = None, *, views: bool, split: Split = "test"
) -> TestSet:
    """Find the pictures of a data set, without reading them.

    Pictures at any depth count; hidden ones do not. Those that belong together have the same place
    in the sorted lists, whatever their names are. A folder may have the layout of DPDD, or pairs in
    `source` and `target`, `input` and `target`, or `blur` and `sharp`; the pictures of any other
    have no targets.

    Args:
        data: see `locate`.
        root: see `dataset_root`.
        views: whether the dual-pixel views are wanted.
        split: which part of it.

    Raises:
        IfanError: there is no such set or part of it, it has no pictures, not equally many of each
            kind, or no dual-pixel views.
    """
    folder, released = locate(data, root)
    places = _released_places(released, folder, split) if released else _places(folder, split)
    if not is_folder(places["center"]):
        remedy = f"see what is there: ifan data check {folder}"
        raise IfanError(places["center"], "does not exist", remedy)
    if views and "left" not in places:
        remedy = "choose a model of a single view"
        raise IfanError(places["center"], "has no dual-pixel views beside it", remedy)
    wanted = {role: path for role, path in places.items() if views or role in ("center", "target")}
    name = folder.resolve().name
    if split != "test":
        name, released = f"{name}-{split}", None
    return TestSet(name, folder, places["center"], paired(wanted), released)


def _released_places(released: ReleasedSet, folder: Path, split: Split) -> dict[Role, Path]:
    if split not in released.splits:
        there = ", ".join(released.splits)
        raise IfanError(folder, f"has no part {split}", f"choose with --split: {there}")
    return released.lay_out(folder, split)


def _places(folder: Path, split: Split) -> dict[Role, Path]:
    """Return the folders of any layout; without one, all pictures are to be deblurred."""
    found = find_layout(folder, split)
    if found is not None:
        return found
    others = [other for other in get_args(Split) if find_layout(folder, other) is not None]
    if others:  # these pictures are no loose ones
        reason = f"has no pictures for {split}, but for {' and '.join(others)}"
        raise IfanError(folder, reason, f"choose them with --split {others[0]}")
    return {"center": folder}
