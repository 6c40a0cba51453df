"""Which photographs a folder or a pattern stands for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import TypeAlias

from ifan.files import is_folder, same_file
from ifan.images import is_picture_name
from ifan.results import COMPARISON_INFIX, MAP_INFIX, RESULT_INFIX

Missed: TypeAlias = Callable[[OSError], None]
"""Is told of each folder that could not be searched."""


def photographs_in(
    folder: Path, recursive: bool, output: Path | None, missed: Missed
) -> Iterator[Path]:
    """Yield the photographs of a folder in order, without hidden files and earlier results.

    Links to folders are not followed, so that loops of them do no harm.

    Args:
        folder: the folder.
        recursive: whether sub-folders are searched too.
        output: a folder for results, which is left out below `folder`.
        missed: is told of folders that could not be searched.
    """
    for parent, folders, names in os.walk(folder, onerror=missed):
        folders[:] = sorted(
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and not (output is not None and same_file(Path(parent, name), output))
        )
        yield from (Path(parent, name) for name in sorted(names) if is_photograph(PurePath(name)))


def is_photograph(path: PurePath) -> bool:
    """Tell from its name whether a file is a photograph, and no hidden file or earlier result."""
    is_result = path.stem.endswith((RESULT_INFIX, COMPARISON_INFIX, MAP_INFIX))
    return is_picture_name(path) and not is_result


def is_pattern(path: Path) -> bool:
    """Tell whether a path is no file of its own but stands for others."""
    return _is_magic(str(path)) and not os.path.lexists(path)


def fixed_part(pattern: Path) -> Path:
    """Return the folder that a pattern begins with."""
    fixed = Path(pattern.anchor)
    for part in _parts(pattern):
        if _stands_for_others(part, fixed):
            break
        fixed /= part
    return fixed


def matches(pattern: Path, output: Path | None, missed: Missed) -> list[Path]:
    """Return the photographs and folders that a pattern stands for, in order.

    `*` and `?` stand for characters, `[...]` for one of several, `**` for folders below each other.
    As in a folder, hidden files and earlier results are left out. Where `**` stands, links to
    folders are not followed.

    Args:
        pattern: the pattern.
        output: a folder for results, which is left out below the fixed part of the pattern.
        missed: is told of folders that could not be searched.
    """
    root = fixed_part(pattern)
    found = dict.fromkeys(_expanded(Path(pattern.anchor), _parts(pattern), missed))
    return [
        path
        for path in found
        if (is_folder(path) or is_photograph(path)) and not _lies_in(path, output, root)
    ]


def _expanded(folder: Path, parts: Sequence[str], missed: Missed) -> Iterator[Path]:
    """Yield what the parts of a pattern stand for below a folder."""
    if not parts:
        yield folder
    elif parts[0] == "**":
        yield from _expanded(folder, parts[1:], missed)
        for name in _visible_names(folder, missed):
            if is_folder(folder / name) and not (folder / name).is_symlink():
                yield from _expanded(folder / name, parts, missed)
    elif _stands_for_others(parts[0], folder):
        for name in _visible_names(folder, missed):
            if fnmatch(name, parts[0]):
                yield from _expanded(folder / name, parts[1:], missed)
    elif os.path.lexists(folder / parts[0]):
        yield from _expanded(folder / parts[0], parts[1:], missed)


def _visible_names(folder: Path, missed: Missed) -> list[str]:
    """Return the names in a folder in order; none where it is no folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        missed(error)
        return []


def _stands_for_others(part: str, folder: Path) -> bool:
    """Whether a part of a pattern is no name in the folder itself, as `shoot [2]` may be."""
    return _is_magic(part) and not os.path.lexists(folder / part)


def _is_magic(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _parts(pattern: Path) -> Sequence[str]:
    return pattern.parts[1:] if pattern.anchor else pattern.parts


def _lies_in(path: Path, output: Path | None, root: Path) -> bool:
    """Whether a path below `root` is, or lies in, a folder for results that lies there too."""
    if output is None:
        return False
    folders = (folder for folder in (path, *path.parents) if root in folder.parents)
    return any(same_file(folder, output) for folder in folders)
