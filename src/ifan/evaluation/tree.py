"""The files of an evaluation, where users of the paper's code expect them.

LOG_ROOT/IFAN_CVPR2021/<mode>/result/quanti_quali/<checkpoint>/
    <checkpoint file>            a copy
    score_<data>.txt             a line for each picture, the means in the last
    score_<data>.csv .json .html the same, with more
    <data>/<YYYY_MM_DD_HHMM>/    a run
        input/{png,jpg}/NN.*     what the network saw
        output/{png,jpg}/NN.*    what it gave
        names.csv                the files that NN stands for
        settings.json            what the scores depend on
        scores.jsonl             a line for each picture, as it comes
        score.txt .csv .json .html   of this run; those above are of the last one that ended
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ifan.datasets.testing import TestSet
from ifan.errors import in_one_line
from ifan.evaluation.methods import Method
from ifan.evaluation.protocol import Values
from ifan.evaluation.records import Record, mean_seconds, means
from ifan.files import exists, make_folder, remove_leftovers, write_atomically
from ifan.images import Metadata, Photograph, write_photograph
from ifan.images.photograph import Pixels
from ifan.logs import mode_folder

_SETTINGS = "settings.json"


class ResultFolder:
    """The folder of the results of one method.

    Args:
        log_root: of all projects.
        method: the method.
    """

    def __init__(self, log_root: Path, method: Method) -> None:
        self._method = method
        checkpoint = method.checkpoint
        # A file that is called as all models of its kind are gets the name of its model.
        self.checkpoint_name = method.label
        if checkpoint is not None:
            self.checkpoint_name = f"{method.label}{checkpoint.suffix}"
        folder = mode_folder(log_root, method.mode) / "result" / "quanti_quali"
        self.path = folder / method.label

    def score_file(self, data: str, suffix: str) -> Path:
        """Return the file of the scores over a data set.

        Args:
            data: name of the set.
            suffix: with its dot.
        """
        return self.path / f"score_{data}{suffix}"

    def keep_checkpoint(self) -> None:
        """Copy the weights, unless a copy is there.

        Raises:
            OutputError: that cannot be done.
        """
        source = self._method.checkpoint
        if source is None:
            return
        copy = self.path / self.checkpoint_name
        make_folder(self.path)
        if not exists(copy) or copy.read_bytes() != source.read_bytes():
            write_atomically(copy, source.read_bytes(), overwrite=True)

    def open_run(self, data: str, settings: Mapping[str, object], *, again: bool) -> RunFolder:
        """Return the folder of the last run with these settings, or a new one.

        Args:
            data: name of the set.
            settings: all that scores depend on.
            again: whether it is a new one in any case.

        Raises:
            OutputError: it cannot be made.
        """
        wanted = json.loads(json.dumps(settings))
        runs = self.path / data
        earlier = sorted(runs.glob(f"*/{_SETTINGS}"), reverse=True)
        if not again:
            for path in earlier:
                if _read_json(path) == wanted:
                    return RunFolder(path.parent)
        name = datetime.now().astimezone().strftime("%Y_%m_%d_%H%M")
        folder = runs / name
        count = 1
        while exists(folder):
            count += 1
            folder = runs / f"{name}_{count}"
        make_folder(folder)
        text = json.dumps(settings, indent=1, ensure_ascii=False)
        write_atomically(folder / _SETTINGS, text.encode())
        return RunFolder(folder)


class RunFolder:
    """The folder of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "scores.jsonl"

    def score_file(self, suffix: str) -> Path:
        """Return the file of the scores of this run.

        Args:
            suffix: with its dot.
        """
        return self.path / f"score{suffix}"

    def picture(self, what: str, number: int, count: int, kind: str = "png") -> Path:
        """Return the file of a picture.

        Args:
            what: `input` or `output`.
            number: of the picture, from 1.
            count: how many pictures there are.
            kind: `png` or `jpg`.
        """
        return self.path / what / kind / f"{numbered(number, count)}.{kind}"

    def prepare(self) -> None:
        """Make the folders of pictures, and remove what killed runs left there.

        Raises:
            OutputError: that cannot be done.
        """
        for what in ("input", "output"):
            for kind in ("png", "jpg"):
                make_folder(self.path / what / kind)
                remove_leftovers(self.path / what / kind)

    def save(self, what: str, number: int, count: int, values: Values, bits: int) -> Path:
        """Write a picture as PNG, of 8 or 16 bits, and as JPEG.

        Returns:
            The PNG file.

        Raises:
            OutputError: it cannot be written.
        """
        clipped = np.clip(values, 0, 1)
        path = self.picture(what, number, count)
        jpeg = self.picture(what, number, count, "jpg")
        kinds: dict[Path, type[np.uint8 | np.uint16]]
        kinds = {path: np.uint16 if bits == 16 else np.uint8, jpeg: np.uint8}
        for target, kind in kinds.items():
            pixels: Pixels = np.rint(clipped * np.iinfo(kind).max).astype(kind)
            photograph = Photograph(pixels, None, "PNG", Metadata(), target)
            write_photograph(photograph, target, overwrite=True)
        return path

    def write_names(self, test_set: TestSet) -> None:
        """Write which files each number stands for.

        Raises:
            OutputError: it cannot be written.
        """
        roles = list(test_set.files[0])
        count = len(test_set.files)
        rows = [
            [numbered(number, count), *(str(files[role]) for role in roles)]
            for number, files in enumerate(test_set.files, start=1)
        ]
        write_table(self.path / "names.csv", ["number", *roles], rows)


def write_scores(
    path: Path, mode: str, checkpoint: str, records: Sequence[Record], count: int
) -> None:
    """Write the score file of the paper's code.

    Args:
        path: the file; one that is there is replaced.
        mode: name of the model.
        checkpoint: name of the file of its weights.
        records: what became of each picture.
        count: how many pictures there are.

    Raises:
        OutputError: it cannot be written.
    """
    lines = [score_line(mode, record, count) for record in records]
    lines.append(total_line(checkpoint, records))
    write_atomically(path, ("\n".join(lines) + "\n").encode(), overwrite=True)


def score_line(mode: str, record: Record, count: int) -> str:
    """Return the line of a picture, as the paper's code writes it."""
    number = f"{numbered(record.number, count)}/{numbered(count, count)}"
    start = in_one_line(f"[EVAL {mode}][{number}] {record.name}")
    if record.error is not None:
        return f"{start} FAILED: {record.error}"
    scores = _named(record.scores.model_dump() if record.scores else {}, ", ")
    return " ".join(filter(None, (start, scores, _time(record.seconds))))


def total_line(checkpoint: str, records: Sequence[Record]) -> str:
    """Return the line of the means, as the paper's code writes it; it says so if one failed."""
    scores, seconds = _named(means(records) or {}, " "), _time(mean_seconds(records))
    failed = sum(record.error is not None for record in records)
    without = f"without {failed} that failed" if failed else ""
    return " ".join(filter(None, (in_one_line(f"[TOTAL {checkpoint}]"), scores, seconds, without)))


def numbered(number: int, count: int) -> str:
    """Return a number with as many digits as the count of all has, at least two."""
    return f"{number:0{max(2, len(str(count)))}d}"


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"), overwrite=True)


def _named(scores: Mapping[str, float], between: str) -> str:
    return between.join(f"{name.upper()}: {value:.5f}" for name, value in scores.items())


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"({seconds:.5f}sec)"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
