"""From tasks to what became of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ifan.deblurrer import Deblurrer
from ifan.engines import Array
from ifan.errors import OutputError, PictureError
from ifan.files import (
    exists,
    is_written,
    make_folder,
    remove_leftovers,
    require_free,
    same_file,
)
from ifan.images import (
    FORMATS,
    MAX_PIXELS,
    Photograph,
    Rendition,
    decode_photograph,
    encode_photograph,
    output_format,
    read_photograph,
    require_room_for,
    side_by_side,
    write_photograph,
)
from ifan.worklist.faults import forget_variables, told
from ifan.worklist.naming import name_key
from ifan.worklist.overlap import Steps, one_by_one, overlapped
from ifan.worklist.tasks import STREAM, Outcome, Task

_OTHER_NAME = "choose another name or folder for the result"


def run(
    deblurrer: Deblurrer,
    tasks: Iterable[Task],
    *,
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
    page: int | None = None,
    max_pixels: int = MAX_PIXELS,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Outcome, None, None]:
    """Deblur each photograph and say what became of it; a failure does not stop the rest.

    The network runs in the caller's thread; others read the next photograph and write the last one
    meanwhile, as far as their sizes allow. However a run ends, what is being written is finished.

    Args:
        deblurrer: does the work.
        tasks: as `plan` returns them.
        strength: part of the correction to apply, 0 to 1.
        compare: whether photograph and result are written side by side, too.
        overwrite: whether results that are there already are replaced; photographs of the tasks
            never are.
        page: which one of a TIFF file of several, from 1.
        max_pixels: larger photographs are refused.
        stopped: asked between photographs; once it is true, those that have not been begun are
            left out.

    Yields:
        An outcome for each task, in their order.

    Raises:
        ModelError, EngineError: the model cannot be used at all.
        ValueError: the strength is none.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is not between 0 and 1")
    deblurrer.load()
    tasks = list(tasks)
    work = _Work(deblurrer, tasks, strength, compare, overwrite, page, max_pixels)
    steps = Steps(work.read, work.deblur, work.write, _pixels)
    pieces = map(_Piece, tasks)
    if len(tasks) > 1:
        yield from overlapped(pieces, steps, stopped)
    else:  # nothing to overlap with, and a stream could make a thread wait for ever
        yield from one_by_one(pieces, steps)


@dataclass
class _Piece:
    """A task on its way.

    Attributes:
        task: the task.
        seconds: how long it has been worked on.
        photograph: once it has been read.
        renditions: the photograph and its views as the network is to see them.
        deblurred: what the network made of them.
        sharp: the result, once it is there.
        is_kept: whether the result has been there before, and only the comparison is to be made.
    """

    task: Task
    seconds: float = 0.0
    photograph: Photograph = field(init=False)
    renditions: list[Rendition] = field(default_factory=list)
    deblurred: Array | None = None
    sharp: Photograph = field(init=False)
    is_kept: bool = False

    def forget_pictures(self) -> None:
        """Hold no pictures any more, whoever holds the piece."""
        self.renditions.clear()
        self.deblurred = None
        for name in ("photograph", "sharp"):
            self.__dict__.pop(name, None)


class _Work:
    """The three steps from a task to its outcome; what goes wrong in one is the outcome."""

    def __init__(
        self,
        deblurrer: Deblurrer,
        tasks: list[Task],
        strength: float,
        compare: bool,
        overwrite: bool,
        page: int | None,
        max_pixels: int,
    ) -> None:
        self._deblurrer = deblurrer
        self._strength = strength
        self._compare = compare
        self._overwrite = overwrite
        self._page = page
        self._max_pixels = max_pixels
        self._photographs = {_real(task.source): task.source for task in tasks}
        self._taken: dict[str, Path] = {}
        self._tidied: set[Path] = set()

    def read(self, piece: _Piece) -> Outcome | None:
        """Read the photograph of a task, unless it is known before that it needs no work."""
        return _attempt(self._read, piece)

    def deblur(self, piece: _Piece) -> Outcome | None:
        """Make the result."""
        return _attempt(self._deblur, piece)

    def write(self, piece: _Piece) -> Outcome:
        """Write the result, and the comparison if one is wanted."""
        failure = _attempt(self._write, piece)
        return failure or Outcome(piece.task, "done", seconds=piece.seconds)

    def _read(self, piece: _Piece) -> Outcome | None:
        task = piece.task
        if task.refusal is not None:
            return Outcome(task, "failed", task.refusal)
        self._require_name(task)
        if task.target != STREAM:
            self._tidy(task.target.parent)
        if self._is_done(task):
            return Outcome(task, "skipped")
        piece.photograph = self._photograph(task.source)
        # Another run over the same folder may have been quicker.
        if self._is_done(task):
            return Outcome(task, "skipped")
        piece.is_kept = not self._overwrite and _has_result(task)
        self._require_targets(piece)
        if piece.is_kept:
            piece.sharp = self._result(piece)
            return None
        views = {"left": task.left, "right": task.right}
        sides = {name: self._photograph(path) for name, path in views.items() if path}
        renditions = self._deblurrer.renditions(piece.photograph, self._strength, **sides)
        if self._strength == 0:
            piece.sharp = piece.photograph
        else:
            piece.renditions = renditions
        return None

    def _deblur(self, piece: _Piece) -> None:
        if piece.renditions:
            piece.deblurred = self._deblurrer.infer(piece.renditions)

    def _write(self, piece: _Piece) -> Outcome | None:
        task = piece.task
        if piece.deblurred is not None:
            piece.sharp = piece.renditions[0].corrected(piece.deblurred, self._strength)
        if task.target == STREAM:
            _write_to_standard_output(piece)
            return None
        is_ours = not piece.is_kept and self._store(piece.sharp, task.target)
        if self._compare:
            if not (is_ours or piece.is_kept):
                piece.sharp = self._result(piece)
            both = side_by_side(piece.photograph, piece.sharp)
            is_ours = self._store(both, task.comparison) or is_ours
        return None if is_ours else Outcome(task, "skipped")

    def _store(self, photograph: Photograph, path: Path) -> bool:
        """Write a picture; return False where another run has done so meanwhile."""
        try:
            write_photograph(photograph, path, overwrite=self._overwrite)
        except OutputError:
            if self._overwrite or not is_written(path):
                raise
            return False
        return True

    def _is_done(self, task: Task) -> bool:
        """Whether all that is to be written is there already, and stays."""
        is_there = not self._overwrite and _has_result(task)
        return is_there and (not self._compare or is_written(task.comparison))

    def _photograph(self, path: Path) -> Photograph:
        limits = {"page": self._page, "max_pixels": self._max_pixels}
        if path == STREAM:
            return decode_photograph(_standard_input(), "standard input", **limits)
        return read_photograph(path, **limits)

    def _result(self, piece: _Piece) -> Photograph:
        """Read the result that is there already, and have the photograph coded as that is."""
        target, before = piece.task.target, piece.photograph
        after = read_photograph(target, max_pixels=self._max_pixels)
        if (after.pixels.dtype, after.pixels.ndim) != (before.pixels.dtype, before.pixels.ndim):
            data = encode_photograph(before, output_format(target), target)
            coded = decode_photograph(data, before.path, max_pixels=self._max_pixels)
            piece.photograph = before = coded
        if after.pixels.shape != before.pixels.shape:
            shapes = f"{after.pixels.shape}, {before.pixels.shape}"
            reason = f"is not like {piece.task.source} ({shapes})"
            raise PictureError(target, reason, "make it anew")
        return after

    def _require_name(self, task: Task) -> None:
        """Refuse a task whose results would go where another's go, or replace a photograph."""
        results = {_real(path): path for path in self._results(task)}
        names = {name_key(Path(real)): path for real, path in results.items()}
        clash = next((name for name in names if name in self._taken), None)
        if clash is not None:
            reason = f"would get the same result file as {self._taken[clash]}: {names[clash]}"
            raise OutputError(task.source, reason, "deblur the two into different folders")
        self._taken |= dict.fromkeys(names, task.source)
        replaced = [self._photographs[result] for result in results if result in self._photographs]
        if self._overwrite and replaced:
            reason = "is one of the photographs, which results never replace"
            raise OutputError(replaced[0], reason, _OTHER_NAME)

    def _require_targets(self, piece: _Piece) -> None:
        """Refuse results that could not be written, before the long work."""
        task = piece.task
        results = self._results(task)
        if results:
            make_folder(task.target.parent)
        for path in results:
            is_comparison = path != task.target
            require_room_for(piece.photograph, path, beside_another=is_comparison)
            if any(view and same_file(view, path) for view in (task.source, task.left, task.right)):
                raise OutputError(path, "is the photograph itself", _OTHER_NAME)
            if not (piece.is_kept and path == task.target):
                require_free(path, overwrite=self._overwrite)

    def _results(self, task: Task) -> list[Path]:
        """Return the files that come of a task."""
        if task.target == STREAM:
            return []
        return [task.target, task.comparison] if self._compare else [task.target]

    def _tidy(self, folder: Path) -> None:
        """Remove what killed runs left in a folder, once a run."""
        if folder not in self._tidied:
            self._tidied.add(folder)
            remove_leftovers(folder)


def _attempt(step: Callable[[_Piece], Outcome | None], piece: _Piece) -> Outcome | None:
    """Take a step and count its time; return the outcome if that is the end of the piece."""
    started = time.perf_counter()
    outcome = _step_outcome(step, piece)
    piece.seconds += time.perf_counter() - started
    if outcome is None:
        return None
    forget_variables(outcome.error)
    piece.forget_pictures()
    return outcome._replace(seconds=piece.seconds)


def _step_outcome(step: Callable[[_Piece], Outcome | None], piece: _Piece) -> Outcome | None:
    try:
        return step(piece)
    except Exception as error:  # nobody's long run is to end by one photograph
        return Outcome(piece.task, "failed", told(error, piece.task.source))


def _has_result(task: Task) -> bool:
    """Whether the result of a task is there already, and is not the photograph itself."""
    there = task.target != STREAM and (task.source == STREAM or exists(task.source))
    return there and is_written(task.target) and not same_file(task.source, task.target)


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise PictureError("standard input", reason, "check where it comes from") from error


def _write_to_standard_output(piece: _Piece) -> None:
    result = FORMATS[piece.photograph.format].result
    picture_format = FORMATS[piece.task.format or result]
    data = encode_photograph(piece.sharp, picture_format, "standard output")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise OutputError("standard output", reason, "check where it goes") from error


def _pixels(piece: _Piece) -> int:
    return piece.photograph.height * piece.photograph.width


def _real(path: Path) -> str:
    """Return where a path leads; unlike `Path.resolve`, for a loop of links too."""
    return os.path.realpath(path)
