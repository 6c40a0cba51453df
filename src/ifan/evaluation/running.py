"""From a method and a data set to scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ifan.datasets.folders import Role, require_one_size
from ifan.datasets.testing import TestSet
from ifan.errors import EngineError, IfanError, OutputError
from ifan.evaluation.lpips import Lpips
from ifan.evaluation.methods import Made, Method
from ifan.evaluation.metrics import Picture, Scores, mae, psnr, ssim
from ifan.evaluation.protocol import (
    Protocol,
    Values,
    cropped,
    finished,
    fitted_size,
    read_picture,
    require_size,
)
from ifan.evaluation.records import Record, add_record, plain_text, read_records, stamp_of
from ifan.evaluation.tree import ResultFolder, write_scores
from ifan.files import is_written
from ifan.worklist.faults import told
from ifan.worklist.overlap import Steps, one_by_one, overlapped


@dataclass
class _Piece:
    """A picture on its way.

    Attributes:
        number: from 1.
        files: of the data set, by what they show.
        file: that holds its result already; None if it is to be made.
        views: what the network is to see, once it has been read.
        center: the center view as it lies in the file.
        target: the sharp counterpart, if there is one.
        made: the result, once it is there.
    """

    number: int
    files: Mapping[Role, Path]
    file: Path | None
    views: dict[Role, Values] = field(default_factory=dict)
    center: Values | None = None
    target: Values | None = None
    made: Made | None = None

    def forget_pictures(self) -> None:
        """Let go of what takes memory."""
        self.views, self.center, self.target, self.made = {}, None, None, None


class Evaluation:
    """The scores of one method over a data set; what has been scored before is not done again.

    Args:
        method: what is evaluated.
        test_set: on what.
        protocol: how.
        log_root: where results go, see `ifan.evaluation.tree`.
        again: whether all is done anew.
        alone: whether nothing is done beside the network, so that times are its own; pictures that
            were scored beside others are done anew.

    Attributes:
        records: what became of each picture, by number, as far as it has come.
        settings: what the scores depend on.
        results: the folder of all results of the method.
        run_folder: that of this run.

    Raises:
        IfanError: the method has not as many results as there are pictures, or a folder cannot be
            made.
    """

    def __init__(
        self,
        method: Method,
        test_set: TestSet,
        protocol: Protocol,
        log_root: Path,
        *,
        again: bool = False,
        alone: bool = False,
    ) -> None:
        self.method = method
        self.alone = alone
        self.test_set = test_set
        self.protocol = protocol
        self.settings = {
            "data": plain_text(test_set.name),
            "folder": plain_text(test_set.folder.resolve()),
            "protocol": asdict(protocol),
            **method.identity(),
        }
        self._files = method.files(test_set)
        _require_apart(log_root, test_set)
        self.results = ResultFolder(log_root, method)
        self.run_folder = self.results.open_run(test_set.name, self.settings, again=again)
        self.records = {
            number: record
            for number, record in read_records(self.run_folder.records).items()
            if self._still_holds(number, record)
        }

    @property
    def missing(self) -> list[int]:
        """The numbers of the pictures that have not been scored."""
        return [n for n in range(1, len(self.test_set.files) + 1) if n not in self.records]

    @property
    def in_order(self) -> list[Record]:
        """What became of the pictures, as far as it has come, in their order."""
        return [self.records[number] for number in sorted(self.records)]

    def run(self, *, stopped: Callable[[], bool] = lambda: False) -> Generator[Record, None, None]:
        """Score what is missing; a picture that fails does not stop the rest.

        The network runs in the caller's thread; others read the next picture, and score and write
        the last one meanwhile.

        Args:
            stopped: asked between pictures; once it is true, no more are begun.

        Yields:
            What became of each picture.

        Raises:
            OutputError: nothing can be written any more.
        """
        missing = self.missing
        self.results.keep_checkpoint()
        self.run_folder.write_names(self.test_set)
        if self.method.checkpoint is not None:
            self.run_folder.prepare()
        work = _Work(self)
        steps = Steps(work.read, work.make, work.score, _pixels)
        pieces = (_Piece(n, self.test_set.files[n - 1], self._files[n - 1]) for n in missing)
        outcomes = one_by_one(pieces, steps) if self.alone else overlapped(pieces, steps, stopped)
        for record in outcomes:
            add_record(self.run_folder.records, record)
            self.records[record.number] = record
            yield record
            if stopped():
                return

    def score_files(self, suffix: str) -> tuple[Path, Path]:
        """Return where scores go: where the paper's code has them, and into the run's folder.

        Args:
            suffix: with its dot.
        """
        latest = self.results.score_file(self.test_set.name, suffix)
        return latest, self.run_folder.score_file(suffix)

    def write_scores(self) -> Path | None:
        """Write the score file of the paper's code, unless pictures are missing.

        Returns:
            The file where the paper's code has it; None if it was not written.

        Raises:
            OutputError: it cannot be written.
        """
        if self.missing:  # the means would be taken for those of the set
            return None
        count, name = len(self.test_set.files), self.results.checkpoint_name
        paths = self.score_files(".txt")
        for path in paths:
            write_scores(path, self.method.mode, name, self.in_order, count)
        return paths[0]

    def stamp(self, number: int) -> tuple[tuple[str, int, int], ...]:
        """Return what tells whether the files of a picture are the same as they were."""
        result = self._files[number - 1]
        files = [*self.test_set.files[number - 1].values(), *([result] if result else [])]
        return stamp_of(files)

    def result_file(self, number: int) -> Path:
        """Return the file of a result."""
        return self._files[number - 1] or self._output(number)

    def _still_holds(self, number: int, record: Record) -> bool:
        is_one = 1 <= number <= len(self.test_set.files) and record.error is None
        if not is_one or record.stamp != self.stamp(number):
            return False
        if self.alone and record.seconds is not None and not record.alone:
            return False
        return self.method.checkpoint is None or is_written(self._output(number))

    def _output(self, number: int) -> Path:
        return self.run_folder.picture("output", number, len(self.test_set.files))


class _Work:
    """The steps of a picture; they return nothing, or a record if that is its end."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._protocol = evaluation.protocol
        self._method = evaluation.method
        released = evaluation.test_set.released
        self._turns = 1 if released and released.rotated else 0
        self._lpips = Lpips() if evaluation.test_set.has_targets else None

    def read(self, piece: _Piece) -> Record | None:
        return self._attempt(self._read, piece)

    def make(self, piece: _Piece) -> Record | None:
        return self._attempt(self._make, piece)

    def score(self, piece: _Piece) -> Record:
        failed = self._attempt(self._score, piece)
        assert failed is not None  # noqa: S101 (for mypy: the last step returns a record)
        return failed

    def _read(self, piece: _Piece) -> None:
        pictures = {
            role: read_picture(path, self._method.bits, self._protocol)
            for role, path in piece.files.items()
        }
        require_one_size(piece.files, pictures)
        center = pictures["center"]
        size = fitted_size(center.shape[0], center.shape[1], self._protocol)
        require_size(piece.files["center"], size, scored="target" in pictures)
        pictures = {role: cropped(values, size) for role, values in pictures.items()}
        piece.target = pictures.pop("target", None)
        piece.center = pictures["center"]
        piece.views = {role: np.rot90(view, self._turns) for role, view in pictures.items()}

    def _make(self, piece: _Piece) -> None:
        piece.made = self._method.make(piece.views, piece.files["center"], piece.file)

    def _score(self, piece: _Piece) -> Record:
        evaluation = self._evaluation
        assert piece.made is not None and piece.center is not None  # noqa: S101, PT018 (for mypy)
        result = np.rot90(piece.made.result, -self._turns)
        scores = before = None
        if piece.target is not None:
            pictures = (finished(result, self._protocol), piece.center)
            try:
                scores, before = self._scores(piece.target, pictures)
            except EngineError as error:
                path = piece.files["center"]
                raise EngineError(path, error.reason, error.remedy) from error
        saved = piece.file
        if self._method.checkpoint is not None:
            saved = self._save(piece, result)
        return Record(
            number=piece.number,
            name=plain_text(piece.files["center"].stem),
            stamp=evaluation.stamp(piece.number),
            result=plain_text(saved) if saved else None,
            scores=scores,
            before=before,
            seconds=piece.made.seconds,
            alone=evaluation.alone,
        )

    def _scores(self, target: Picture, pictures: tuple[Picture, ...]) -> list[Scores]:
        assert self._lpips is not None  # noqa: S101 (for mypy: there are targets)
        window = self._protocol.window
        distances = self._lpips(target, pictures)
        return [
            Scores(
                psnr=psnr(picture, target),
                ssim=ssim(picture, target, window),
                mae=mae(picture, target),
                lpips=distance,
            )
            for picture, distance in zip(pictures, distances, strict=True)
        ]

    def _save(self, piece: _Piece, result: Values) -> Path:
        folder, count = self._evaluation.run_folder, len(self._evaluation.test_set.files)
        bits = self._method.bits
        folder.save("input", piece.number, count, piece.views["center"], bits)
        return folder.save("output", piece.number, count, result, bits)

    def _attempt(self, step: Callable[[_Piece], Record | None], piece: _Piece) -> Record | None:
        """Take a step; nobody's long evaluation is to end by one picture."""
        try:
            record = step(piece)
        except Exception as error:
            record = self._failure(piece, told(error, piece.files["center"]))
        if record is not None:
            piece.forget_pictures()
        return record

    def _failure(self, piece: _Piece, error: IfanError) -> Record:
        return Record(
            number=piece.number,
            name=plain_text(piece.files["center"].stem),
            stamp=self._evaluation.stamp(piece.number),
            error=plain_text(str(error)),
        )


def _require_apart(log_root: Path, test_set: TestSet) -> None:
    """Refuse results among the pictures: the next run would take them for some of these."""
    if log_root.resolve().is_relative_to(test_set.center.resolve()):
        reason = f"is among the pictures of {test_set.center}"
        raise OutputError(log_root, reason, "give a --log-root elsewhere")


def _pixels(piece: _Piece) -> int:
    center = piece.views["center"]
    return int(center.shape[0] * center.shape[1])
