"""Many photographs: which file becomes which, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ifan.deblurrer import (
    COMPARISON_INFIX,
    MAP_INFIX,
    RESULT_INFIX,
    Deblurrer,
    compare_files,
    default_target,
)
from ifan.errors import IfanError, OutputError, PictureError
from ifan.files import exists, is_folder, make_folder, same_file
from ifan.images import is_picture_name


class Task(NamedTuple):
    """A photograph to deblur.

    Attributes:
        source: the photograph.
        target: where the result goes.
        left: its left dual-pixel view, for a dual-pixel model only.
        right: its right dual-pixel view, for a dual-pixel model only.
    """

    source: Path
    target: Path
    left: Path | None = None
    right: Path | None = None

    @property
    def comparison(self) -> Path:
        """Where the side-by-side picture goes, if one is wanted."""
        return self.target.with_name(f"{self.target.stem}{COMPARISON_INFIX}{self.target.suffix}")


class Outcome(NamedTuple):
    """What became of a task.

    Attributes:
        task: the task.
        status: `done`; `skipped`, as the target was there already; or `failed`.
        error: why it failed.
    """

    task: Task
    status: Literal["done", "skipped", "failed"]
    error: IfanError | None = None


def plan(
    inputs: Sequence[Path], output: Path | None = None, *, recursive: bool = False
) -> list[Task]:
    """Say which photographs are to be deblurred, and where each result goes.

    Args:
        inputs: photographs, and folders of photographs.
        output: where to: for one photograph a file or a folder, else a folder, in which results
            keep their names and, below a folder given, their sub-folders. None: beside each
            photograph, as `photo.deblurred.jpg`.
        recursive: whether sub-folders are searched too.

    Returns:
        A task for each photograph; for a folder without any, one that will fail and say so.

    Raises:
        OutputError: there are several results for one file.
    """
    inputs = list(dict.fromkeys(inputs))
    if output is not None and _is_file(output):
        if len(inputs) > 1 or is_folder(inputs[0]):
            reason = "is the name of a picture, and there are several results"
            raise OutputError(output, reason, "give the name of a folder")
        return [Task(inputs[0], output)]
    tasks = []
    for given in inputs:
        folder = is_folder(given)
        sources = list(_photographs(given, recursive, output)) if folder else []
        root = given if folder else given.parent
        tasks += [Task(source, _target(source, root, output)) for source in sources or [given]]
    return list(dict.fromkeys(tasks))


def run(
    deblurrer: Deblurrer,
    tasks: Iterable[Task],
    *,
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
) -> Iterator[Outcome]:
    """Deblur each photograph and say what became of it; a failure does not stop the rest.

    Args:
        deblurrer: does the work.
        tasks: as `plan` returns them.
        strength: part of the correction to apply, 0 to 1.
        compare: whether photograph and result are written side by side, too.
        overwrite: whether results that are there already are replaced; photographs of the tasks
            never are.

    Raises:
        ModelError, EngineError: the model cannot be used at all.
    """
    deblurrer.load()
    tasks = list(tasks)
    photographs = {_real(task.source): task.source for task in tasks}
    taken: dict[str, Path] = {}
    for task in tasks:
        if is_folder(task.source):
            yield Outcome(task, "failed", _nothing(task.source))
            continue
        paths = (task.target, task.comparison) if compare else (task.target,)
        results = {_real(path): path for path in paths}
        clash = next((result for result in results if result in taken), None)
        if clash is not None:
            yield Outcome(task, "failed", _clash(task.source, taken[clash], results[clash]))
            continue
        taken |= dict.fromkeys(results, task.source)
        replaced = [photographs[result] for result in results if result in photographs]
        if overwrite and replaced:
            yield Outcome(task, "failed", _loss(replaced[0]))
            continue
        yield _outcome(deblurrer, task, strength, compare, overwrite)


def _outcome(
    deblurrer: Deblurrer, task: Task, strength: float, compare: bool, overwrite: bool
) -> Outcome:
    here = exists(task.source) and exists(task.target)
    try:
        if here and not overwrite and not same_file(task.source, task.target):
            if not compare or exists(task.comparison):
                return Outcome(task, "skipped")
            compare_files(task.source, task.target, task.comparison)
            return Outcome(task, "done")
        make_folder(task.target.parent)
        deblurrer.deblur_file(
            task.source,
            task.target,
            left=task.left,
            right=task.right,
            strength=strength,
            comparison=task.comparison if compare else None,
            overwrite=overwrite,
        )
    except IfanError as error:
        return Outcome(task, "failed", error)
    return Outcome(task, "done")


def _photographs(folder: Path, recursive: bool, output: Path | None) -> Iterator[Path]:
    """Yield the photographs of a folder in order, without hidden files and earlier results."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and not (output is not None and same_file(Path(parent, name), output))
        )
        for name in sorted(names):
            path = Path(parent, name)
            if is_picture_name(path) and not _is_result(path):
                yield path


def _is_result(path: Path) -> bool:
    return path.stem.endswith((RESULT_INFIX, COMPARISON_INFIX, MAP_INFIX))


def _real(path: Path) -> str:
    """Return where a path leads; unlike `Path.resolve`, for a loop of links too."""
    return os.path.realpath(path)


def _target(source: Path, root: Path, output: Path | None) -> Path:
    return default_target(source) if output is None else output / source.relative_to(root)


def _is_file(output: Path) -> bool:
    """Whether `-o` means a file: it has a suffix and is no folder."""
    return bool(output.suffix) and not is_folder(output)


def _clash(source: Path, first: Path, result: Path) -> OutputError:
    return OutputError(
        source,
        f"would get the same result file as {first}: {result}",
        "deblur the two into different folders",
    )


def _nothing(folder: Path) -> PictureError:
    remedy = "check the name, or give --recursive to search its sub-folders"
    return PictureError(folder, "holds no photograph that can be read", remedy)


def _loss(photograph: Path) -> OutputError:
    reason = "is one of the photographs, which results never replace"
    return OutputError(photograph, reason, "choose another name or folder for the result")
