"""Training pictures, wherever they are and in whatever form."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from ifan.datasets.examples import Examples
from ifan.datasets.folders import Bits, Split, find_layout, open_folder
from ifan.datasets.index import INDEX, read_index
from ifan.datasets.packing import PackedExamples
from ifan.datasets.shards import ShardExamples, is_address
from ifan.errors import IfanError
from ifan.files import exists


def open_examples(
    root: str | Path,
    split: Split,
    *,
    views: bool,
    bits: Bits = 8,
    cache: Path | None = None,
    cache_gigabytes: float = 20.0,
) -> Examples:
    """Open the examples of a folder or an address.

    Args:
        root: a folder of pictures (see `open_folder`), one that `ifan data prepare` wrote to, or
            the address of such a one with shards.
        split: which part of it: `train`, `val` or `test`.
        views: whether dual-pixel views are wanted.
        bits: of the pixels; with 8, the lower half of 16 is cut off.
        cache: where shards from elsewhere are kept; None is the system's place.
        cache_gigabytes: how much of them.

    Raises:
        IfanError: there are no such examples, or they do not have what is wanted.
    """
    if is_address(str(root)):
        return ShardExamples(
            f"{str(root).rstrip('/')}/{split}",
            views=views,
            bits=bits,
            cache=cache,
            cache_gigabytes=cache_gigabytes,
        )
    folder = Path(root) / split
    if not exists(folder / INDEX):
        _require_no_other_split(Path(root), split)
        return open_folder(Path(root), split, views=views, bits=bits)
    if read_index(folder).kind == "shards":
        return ShardExamples(str(folder), views=views, bits=bits)
    return PackedExamples(folder, views=views, bits=bits)


def _require_no_other_split(root: Path, split: Split) -> None:
    """Refuse a folder in which only other parts of a data set were prepared."""
    others = [other for other in get_args(Split) if exists(root / other / INDEX)]
    if others and find_layout(root, split) is None:
        reason = f"holds what was prepared for {' and '.join(others)}, nothing for {split}"
        raise IfanError(root, reason, f"run ifan data prepare, to the same folder, --split {split}")
