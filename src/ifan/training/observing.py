"""What one sees of a training: lines, a table, pictures, and what other programs draw of them."""

from __future__ import annotations

import csv
import io
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ifan.errors import IfanError, OutputError
from ifan.files import is_written, make_folder, write_atomically
from ifan.images import Metadata, Photograph, write_photograph
from ifan.logs import PROJECT
from ifan.training.recipe import Recipe
from ifan.training.validation import Judged, band_gains

Kind = Literal["training", "validation"]

SAMPLES = ("input", "output", "target", "warped", "reblurred")
"""What a sample shows, from left to right."""

NAMED_DAMAGE = 5
"""So many damaged pictures are named; those that follow are only counted."""

KEPT_SAMPLES = 5
"""The samples of so many validations are kept as files."""

_GAP_PX = 4


class Observer:
    """Is told what happens in a training, says how it goes, and hands on what is to be kept.

    Every so many updates there is a row of numbers: means over the updates since the one before.

    Args:
        log: folder for the table and for what TensorBoard draws.
        updates: how many there will be.
        say: prints a line.
        samples: folder for pictures; None keeps none as files.
        show: draws, after each update, its number and what is said of it; for a terminal. Without,
            there is a line for each row.
        every: updates between rows.
        wandb: send all to Weights & Biases, too, as a run of this recipe.
    """

    def __init__(
        self,
        log: Path,
        updates: int,
        say: Callable[[str], None],
        *,
        samples: Path | None = None,
        show: Callable[[int, str], None] | None = None,
        every: int = 50,
        wandb: Recipe | None = None,
    ) -> None:
        self._log = log
        self._updates = updates
        self._say = say
        self._samples = samples
        self._show = show
        self._every = every
        self._wandb = wandb
        self._keepers: list[Keeper] = []
        self._damaged = 0
        self._since_row: list[dict[str, float]] = []
        self._shown = ""
        self._first = 0
        self._began = self._mark = time.monotonic()

    def begun(self, update: int) -> None:
        """Open what is kept; training begins, or goes on after an update.

        Raises:
            IfanError: it cannot be written to, or Weights & Biases cannot be used.
        """
        self._keepers.append(Table(self._log / "log.csv", update))
        if self._samples is not None:
            self._keepers.append(SampleFiles(self._samples, update))
        self._keepers.append(TensorBoard(self._log, update))
        if self._wandb is not None:
            self._keepers.append(WeightsAndBiases(self._log, self._wandb, update))
        self._first = update
        self._began = self._mark = time.monotonic()

    def updated(
        self, update: int, losses: Mapping[str, float], norm: float, learning_rate: float
    ) -> None:
        """Say and keep how an update of the weights went.

        Args:
            update: its number, from 1.
            losses: by the names of their tasks, without weights.
            norm: of the gradients, before they were clipped.
            learning_rate: of this update.
        """
        now = time.monotonic()
        others = {"gradient_norm": norm, "learning_rate": learning_rate}
        self._since_row.append({**losses, **others, "seconds": now - self._mark})
        if update % self._every == 0:
            self._end_row(update)
            if self._show is None:
                self._say(f"update {update}: {self._shown}, {self._left(update)} left")
        if self._show is not None:
            self._show(update, self._shown or _in_words(_means(self._since_row)))
        self._mark = time.monotonic()

    def skipped(self, line: str) -> None:
        """Warn of a damaged picture that was left out, or only count it after the first few."""
        self._damaged += 1
        if self._damaged <= NAMED_DAMAGE:
            self._say(f"left out: {line}")
        if self._damaged == NAMED_DAMAGE:
            self._say("damaged pictures that follow are only counted")

    def sampled(
        self, update: int, number: int, pictures: Mapping[str, npt.NDArray[np.float32]]
    ) -> None:
        """Keep what came of a validation picture, side by side.

        Args:
            update: after which.
            number: of the validation picture.
            pictures: HxWx3 in [0, 1], those of `SAMPLES` that there are; some at 1/8 size.
        """
        joined = in_a_row([pictures[name] for name in SAMPLES if name in pictures])
        for keeper in self._keepers:
            keeper.picture(update, number, joined)

    def validated(self, update: int, judged: Sequence[Judged]) -> None:
        """Say and keep how good the network is, on the mean of the validation pictures."""
        mean = {
            name: float(np.mean([getattr(one, name) for one in judged]))
            for name in ("psnr", "ssim", "input_psnr")
        }
        bands = band_gains(judged)
        self._keep("validation", update, {**mean, **bands})
        gain = mean["psnr"] - mean["input_psnr"]
        parts = [f"PSNR {mean['psnr']:.3f} dB ({gain:+.3f})", f"SSIM {mean['ssim']:.4f}"]
        parts += [f"{name} {value:+.2f}" for name, value in bands.items()]
        self._say(f"validation after update {update}: {', '.join(parts)}")
        self._mark = time.monotonic()

    def saved(self, update: int) -> None:
        """End the row: training that goes on from what was saved begins with a new one."""
        self._end_row(update)
        self._mark = time.monotonic()

    def close(self) -> None:
        """Say how many damaged pictures there were, and close what is open."""
        if self._damaged:
            self._say(f"damaged pictures were left out {self._damaged} times")
        for keeper in self._keepers:
            keeper.close()
        self._keepers.clear()

    def _end_row(self, update: int) -> None:
        if not self._since_row:
            return
        means = _means(self._since_row)
        self._shown = _in_words(means)
        damaged = {"damaged": self._damaged} if self._damaged else {}
        self._keep("training", update, {**means, **damaged})
        self._since_row.clear()

    def _keep(self, kind: Kind, update: int, values: Mapping[str, float]) -> None:
        for keeper in self._keepers:
            keeper.values(kind, update, values)

    def _left(self, update: int) -> str:
        """Return how long the rest will take, validation and all, if it goes on like this."""
        seconds = (time.monotonic() - self._began) / (update - self._first)
        minutes = round(seconds * (self._updates - update) / 60)
        return f"{minutes // 60} h {minutes % 60:02} min"


class Keeper:
    """Base of what keeps numbers and pictures; this one keeps neither."""

    def values(self, kind: Kind, update: int, values: Mapping[str, float]) -> None:
        """Keep numbers by their names."""

    def picture(self, update: int, number: int, picture: npt.NDArray[np.uint8]) -> None:
        """Keep a picture, HxWx3, with that number among those of the same update."""

    def close(self) -> None:
        """Make sure that all is kept."""


class Table(Keeper):
    """A CSV file: a row for the numbers of one kind after an update, its columns their names.

    Names that were not there before get new columns. A row is on its way to the disk at once.

    Args:
        path: the file. If it is there, it is gone on with.
        update: rows of later updates are cut off.

    Raises:
        IfanError: the file is no such table, or cannot be written.
    """

    def __init__(self, path: Path, update: int) -> None:
        self._path = path
        self._columns = ["update"]
        rows = _rows_of(path)
        if rows:
            self._columns = list(rows[0])
        self._write([row for row in rows if int(row["update"]) <= update])

    def values(self, kind: Kind, update: int, values: Mapping[str, float]) -> None:  # noqa: ARG002
        """Add a row, see `Keeper.values`."""
        new = [name for name in values if name not in self._columns]
        if new:
            rows = _rows_of(self._path)
            self._columns += new
            self._write(rows)
        row = {"update": str(update)} | {name: f"{value:.7g}" for name, value in values.items()}
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._text([row]))
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise OutputError(self._path, reason, "make room, and go on with --resume") from error

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        header = dict(zip(self._columns, self._columns, strict=True))
        write_atomically(self._path, self._text([header, *rows]).encode(), overwrite=True)

    def _text(self, rows: Sequence[Mapping[str, str]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table; a last line that a power cut left incomplete is not taken."""
    if not is_written(path):
        return []
    try:
        text = path.read_text("utf-8")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        if all(None not in row and str(row["update"]).isdecimal() for row in rows):
            return rows
        reason = "is not the table of a run"
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        reason = f"is not the table of a run ({error})"
    raise IfanError(path, reason, "move it elsewhere")


class SampleFiles(Keeper):
    """Pictures as JPEGs, `<update>_<number>.jpg`; only those of the last few updates stay.

    Args:
        folder: where they go.
        update: those of later updates are removed.

    Raises:
        OutputError: there can be no such folder.
    """

    def __init__(self, folder: Path, update: int) -> None:
        make_folder(folder)
        self._folder = folder
        self._remove(lambda other: other > update)

    def picture(self, update: int, number: int, picture: npt.NDArray[np.uint8]) -> None:
        """Write a file, see `Keeper.picture`."""
        path = self._folder / f"{update:07}_{number}.jpg"
        write_photograph(Photograph(picture, None, "JPEG", Metadata(), path), path, overwrite=True)
        kept = sorted(set(self._files().values()))[-KEPT_SAMPLES:]
        self._remove(lambda other: other not in kept)

    def _files(self) -> dict[Path, int]:
        """Return our files, and the update of each."""
        paths = list(self._folder.glob("*.jpg"))
        named = [(path, re.fullmatch(r"(\d{7,})_\d+", path.stem)) for path in paths]
        return {path: int(match[1]) for path, match in named if match}

    def _remove(self, is_wanted_no_more: Callable[[int], bool]) -> None:
        for path, update in self._files().items():
            if is_wanted_no_more(update):
                path.unlink(missing_ok=True)


class TensorBoard(Keeper):
    """Events for TensorBoard.

    Args:
        folder: where they go, a file for each time that training was begun or gone on with.
        update: what was told of later updates before is not drawn any more.
    """

    def __init__(self, folder: Path, update: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=update + 1 if update else None)

    def values(self, kind: Kind, update: int, values: Mapping[str, float]) -> None:
        """Add points to curves, see `Keeper.values`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, update)
        self._writer.flush()

    def picture(self, update: int, number: int, picture: npt.NDArray[np.uint8]) -> None:
        """Add a picture, see `Keeper.picture`."""
        self._writer.add_image(f"sample/{number}", picture, update, dataformats="HWC")

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()


class WeightsAndBiases(Keeper):
    """A run at Weights & Biases, which is gone on with when training is.

    Args:
        folder: where its own files go, and what it is known by there.
        recipe: is shown with the run.
        update: training goes on after it.

    Raises:
        IfanError: the package is not installed, or nobody is logged in.
    """

    def __init__(self, folder: Path, recipe: Recipe, update: int) -> None:
        try:
            import wandb  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            remedy = 'install it: pip install "ifan[wandb]"'
            raise IfanError("Weights & Biases", "is not installed", remedy) from error
        known_by = folder / "wandb.txt"
        if not (update and is_written(known_by)):
            write_atomically(known_by, secrets.token_hex(8).encode(), overwrite=True)
        try:
            self._run: Any = wandb.init(
                project=PROJECT,
                name=recipe.mode,
                id=known_by.read_text().strip(),
                resume="allow",
                dir=folder,
                config=recipe.model_dump(mode="json"),
                settings=wandb.Settings(silent=True),
            )
        except wandb.Error as error:
            reason = f"cannot be used ({error})"
            remedy = "run wandb login, or set WANDB_MODE=offline"
            raise IfanError("Weights & Biases", reason, remedy) from error
        self._image = wandb.Image
        # Its own count of steps cannot go back to where a run is gone on with.
        self._run.define_metric("*", step_metric="update")

    def values(self, kind: Kind, update: int, values: Mapping[str, float]) -> None:
        """Send numbers, see `Keeper.values`."""
        named = {f"{kind}/{name}": value for name, value in values.items()}
        self._run.log({"update": update, **named})

    def picture(self, update: int, number: int, picture: npt.NDArray[np.uint8]) -> None:
        """Send a picture, see `Keeper.picture`."""
        self._run.log({"update": update, f"sample/{number}": self._image(picture)})

    def close(self) -> None:
        """Send what is not sent yet."""
        self._run.finish()


def in_a_row(pictures: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.uint8]:
    """Put pictures beside each other, with grey between them.

    Args:
        pictures: HxWx3 in [0, 1]. Smaller ones, of whole parts of the first one's size, are
            enlarged to it, their pixels becoming squares.

    Returns:
        HxWx3, 8 bits.
    """
    height = pictures[0].shape[0]
    gap = np.full((height, _GAP_PX, 3), 0.5, np.float32)
    parts = []
    for picture in pictures:
        factor = height // picture.shape[0]
        parts += [gap, picture.repeat(factor, axis=0).repeat(factor, axis=1)]
    row: npt.NDArray[np.uint8] = np.rint(np.concatenate(parts[1:], axis=1) * 255).astype(np.uint8)
    return row


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _in_words(means: Mapping[str, float]) -> str:
    """Name the losses and the speed."""
    others = ("gradient_norm", "learning_rate", "seconds")
    parts = [f"{name} {value:.5f}" for name, value in means.items() if name not in others]
    return ", ".join([*parts, f"{1 / max(means['seconds'], 1e-9):.3g} updates/s"])
