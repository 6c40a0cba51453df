"""Which photographs are to be deblurred, and where each result goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ifan.errors import OutputError, PictureError
from ifan.files import is_folder
from ifan.images import PictureFormat, is_picture_name, output_format
from ifan.results import RESULT_INFIX
from ifan.worklist.naming import Naming, Source, parse_pattern, targets, without_results
from ifan.worklist.searching import fixed_part, is_pattern, matches, photographs_in
from ifan.worklist.tasks import STREAM, Task


def plan(
    inputs: Sequence[Path],
    output: Path | None = None,
    *,
    recursive: bool = False,
    name: str | None = None,
    picture_format: PictureFormat | None = None,
) -> list[Task]:
    """Say which photographs are to be deblurred, and where each result goes.

    Args:
        inputs: photographs, folders of photographs, and patterns (`shoot/**/*.jpg`); or nothing but
            `STREAM`.
        output: where to: for one photograph a file, a folder or `STREAM`, else a folder, in which
            results keep their names and, below a folder given, their sub-folders. None: beside each
            photograph, or from stream to stream.
        recursive: whether sub-folders are searched too.
        name: of each result without its suffix; `{stem}` is that of the photograph. None:
            `{stem}.deblurred` beside the photograph, `{stem}` in a folder.
        picture_format: of all results. None: that of each photograph, or the nearest that is
            written.

    Returns:
        A task for each photograph; for a folder that could not be searched, and for a folder or a
        pattern without any, one that is refused.

    Raises:
        OutputError: the results cannot go where they should.
        ValueError: `name` is none.
    """
    inputs = list(dict.fromkeys(inputs))
    if STREAM in inputs or output == STREAM or _is_file(output, inputs):
        if name is not None:
            raise ValueError(f"{name!r} is for results whose names are not given")
        return [_single(inputs, output, picture_format)]
    default = f"{{stem}}{RESULT_INFIX}" if output is None else "{stem}"
    naming = Naming(output, parse_pattern(default if name is None else name), picture_format)
    sources = [source for given in inputs for source in _sources(given, recursive, naming)]
    sources = without_results(_distinct(sources, naming), naming)
    tasks = (
        Task(source.path, target, refusal=source.refusal)
        for source, target in zip(sources, targets(sources, naming), strict=True)
    )
    return list(dict.fromkeys(tasks))


def _single(inputs: list[Path], output: Path | None, picture_format: PictureFormat | None) -> Task:
    """Return the task of one photograph whose result has a name, or of a stream."""
    target = STREAM if output is None else output
    if not _is_one(inputs):
        if STREAM in inputs:
            raise OutputError("standard input", "is given with other inputs", "give it alone")
        where, what = target, "is the name of a picture"
        if target == STREAM:
            where, what = Path("standard output"), "takes one picture"
        reason = f"{what}, and there are several results"
        raise OutputError(where, reason, "give the name of a folder")
    if target == STREAM:
        return Task(inputs[0], target, format=picture_format.name if picture_format else None)
    if not _is_file(target, inputs):
        what = "is a folder" if is_folder(target) else "has no suffix"
        reason = f"{what}, and what comes from standard input has no name"
        raise OutputError(target, reason, "give the name of a file, as sharp.jpg")
    meant = output_format(target)
    if picture_format and meant is not picture_format:
        reason = f"is no name for {picture_format.name}"
        raise OutputError(target, reason, f"end it with {picture_format.suffix}")
    return Task(inputs[0], target)


def _sources(given: Path, recursive: bool, naming: Naming) -> list[Source]:
    """Return what an input stands for: itself, or the photographs of a folder or a pattern."""
    errors: list[OSError] = []
    if is_pattern(given):
        root, found = fixed_part(given), matches(given, naming.folder, errors.append)
    elif is_folder(given):
        root, found = given, [given]
    else:
        return [Source(given, given.parent)]
    if naming.adds_nothing and naming.goes_into(root):
        reason = "would get results with the names of its photographs"
        raise OutputError(given, reason, "add something to {stem}, or give another folder")
    paths: list[Path] = []
    for path in found:
        if is_folder(path):
            paths += photographs_in(path, recursive, naming.folder, errors.append)
        else:
            paths.append(path)
    missed = {error.filename: _missed(error) for error in errors}
    if paths or missed:
        return [*(Source(path, root) for path in paths), *missed.values()]
    return [Source(given, given.parent, _nothing(given))]


def _distinct(sources: list[Source], naming: Naming) -> list[Source]:
    """Leave out what is there already by another spelling of its path, for the same result."""
    kept: dict[tuple[str, str], Source] = {}
    for source in sources:
        target = naming.target(source)
        kept.setdefault((os.path.realpath(source.path), os.path.realpath(target)), source)
    return list(kept.values())


def _is_file(output: Path | None, inputs: list[Path]) -> bool:
    """Whether `-o` means a file: it has a suffix, of a picture if results are several."""
    if output is None or not output.suffix or is_folder(output):
        return False
    return _is_one(inputs) or is_picture_name(output)


def _is_one(inputs: list[Path]) -> bool:
    """Whether the inputs are one photograph, or a stream."""
    return len(inputs) == 1 and not is_folder(inputs[0]) and not is_pattern(inputs[0])


def _missed(error: OSError) -> Source:
    """Return, for a folder that could not be searched, a source that is refused."""
    folder = Path(error.filename)
    reason = f"could not be searched ({error.strerror or error})"
    return Source(folder, folder.parent, PictureError(folder, reason, "check its permissions"))


def _nothing(given: Path) -> PictureError:
    if is_pattern(given):
        return PictureError(given, "matches no photograph", "check the pattern")
    remedy = "check the name, or give --recursive to search its sub-folders"
    return PictureError(given, "holds no photograph that can be read", remedy)
