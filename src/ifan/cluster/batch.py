"""A batch from its beginning to its manifest: what the driver does."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifan.cluster import pipeline
from ifan.cluster.journal import Journal
from ifan.cluster.listing import photographs, pixels_of
from ifan.cluster.manifest import (
    FAILURES,
    MANIFEST,
    Record,
    add_to,
    are_alike,
    completed,
    latest,
    records_in,
    settings_in,
    writer_to,
)
from ifan.cluster.pipeline import Finished, Workers
from ifan.cluster.worker import Order
from ifan.errors import IfanError, OutputError

_PART_RECORDS = 2000
_PART_SECONDS = 60.0
"""When what has been done is written down: as soon as it is so much, or so long ago."""

_ROUNDS = 3
"""How often the folder is gone through, should parcels get lost on the way."""


@dataclass
class Tally:
    """How far a batch has come.

    Attributes:
        counts: photographs of this run, by what became of them: `done`, `skipped`, `failed`.
        kept: photographs that a run before had done.
        pixels: of those that this run has done.
        found: photographs that there are, as far as they have been counted.
        is_counted: whether that is all.
        share: how much of the work is done, 0 to 1, by the sizes of the files; 0 until all are
            counted.
        speed: megapixels per second since the first photograph was done.
        seconds_left: None as long as it cannot be told.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("done", "skipped", "failed"), 0)
    )
    kept: int = 0
    pixels: int = 0
    found: int = 0
    is_counted: bool = False
    share: float = 0.0
    speed: float = 0.0
    seconds_left: float | None = None


class Batch:
    """Deblurs all photographs of a folder into another one.

    Whatever ends it, the same batch begun again goes on where it was.

    Args:
        order: what is to be done.

    Raises:
        IfanError: the folders do not go together, or hold what they should not.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._journal = Journal(order.target)
        self._settings: Mapping[str, Any] = completed(
            {
                "source": order.source.place,
                "model": order.model,
                "strength": order.strength,
                **order.settings,
            }
        )
        self._require_folders()
        self._require_settings()
        self.tally = Tally()
        self._began: float | None = None  # when the first photograph was, in seconds since 1970
        self._expected = 0.0  # pixels of all photographs, by the sizes of their files
        self._behind = 0.0  # those that this run has behind it
        self._spared = 0.0  # those of photographs that are kept
        self._earlier: set[str] | None = None  # parts of the journal that other runs wrote
        self._noted: list[Record] = []
        self._noted_parcels: list[str] = []
        self._noted_at = time.monotonic()

    def run(
        self, workers: Workers, stopped: Callable[[], bool] = lambda: False
    ) -> Generator[list[Record], None, None]:
        """Deblur, and yield what became of some photographs as soon as it is known.

        Args:
            workers: who does it, on the cluster that Ray is connected to.
            stopped: asked now and then; once it is true, the batch ends. Nothing is lost: what is
                being worked on is done again by the next run.

        Raises:
            IfanError: a file cannot be read or written, or the cluster loses parcels.
        """
        with self._order.target.held():
            yield from self._run(workers, stopped)

    def _run(
        self, workers: Workers, stopped: Callable[[], bool]
    ) -> Generator[list[Record], None, None]:
        self._journal.begin(self._settings, anew=self._order.overwrite)
        counting = threading.Event()
        thread = threading.Thread(target=self._count, args=(counting,), daemon=True)
        thread.start()
        try:
            for _ in range(_ROUNDS):
                numbers: set[int] = set()
                yield from self._go_through(numbers, workers, stopped)
                if stopped():
                    return
                if len(numbers) == max(numbers, default=-1) + 1:
                    self._finish()
                    return
        finally:
            counting.set()
        reason = f"lost parcels on their way, {_ROUNDS} times"
        raise IfanError("cluster", reason, "give the same command again: it goes on")

    def _go_through(
        self, numbers: set[int], workers: Workers, stopped: Callable[[], bool]
    ) -> Iterator[list[Record]]:
        """Go through the folder once; add the numbers of parcels that came back to a set."""
        order = self._order._replace(threads=_threads(workers.cpus))
        begun = self._recover()
        parts = self._journal.parts()
        if self._earlier is None:
            self._earlier = set(parts)
        with closing(pipeline.finished(order, self._settings, parts, begun, workers)) as parcels:
            for parcel in parcels:
                numbers.add(parcel.number)
                self._note(parcel)
                yield parcel.records
                if stopped():
                    break
        self._write_down()

    def _require_folders(self) -> None:
        source, target = self._order.source, self._order.target
        if target.below(source) == ".":
            reason = "is the folder of the photographs"
            raise OutputError(target.address, reason, "give another folder for the results")
        if source.below(target) is not None:
            reason = f"has the photographs in it ({source.address})"
            raise OutputError(target.address, reason, "give a folder beside them, or in theirs")
        if next(photographs(source, target, _ignore), None) is None:
            reason = "holds no photograph that can be read"
            raise IfanError(source.address, reason, "check the name")

    def _require_settings(self) -> None:
        """Refuse to mix results of different settings in one folder."""
        target = self._order.target
        unfinished = self._journal.settings()
        before = unfinished or settings_in(target, MANIFEST)
        if before is None and target.entry(FAILURES) is not None:
            remedy = "move it away, or give another folder"
            raise OutputError(target.name(FAILURES), "is of no batch", remedy)
        if before is None or self._order.overwrite:
            return
        if are_alike(before, self._settings):
            place = (unfinished or self._settings).get("source", "another folder")
            if place != self._settings["source"]:
                reason = f"has an unfinished batch in it, of {place}"
                raise OutputError(
                    target.address, reason, "finish that first, or give another folder"
                )
            return
        names = sorted((before.keys() | self._settings.keys()) - {"source"})
        other = [name for name in names if before.get(name) != self._settings.get(name)]
        said = ", ".join(f"{name} {before.get(name)}" for name in other)
        remedy = "give another folder, or --overwrite to make all anew"
        raise OutputError(target.address, f"holds results of other settings ({said})", remedy)

    def _recover(self) -> frozenset[str]:
        """Gather what killed workers have written down; return targets that they may have begun."""
        begun = set(self._journal.begun())
        for progress in self._journal.unfinished():
            self._noted += progress.records.values()
            self._noted_parcels.append(progress.parcel.name)
            mine = {picture.target for picture in progress.parcel.pictures}
            begun |= mine.difference(progress.foreign)
            # Of these it is known how large they are.
            begun -= {record.target for record in progress.records.values() if record.target_bytes}
        # Before the parcels, which say so, are forgotten: this run may be killed, too.
        self._journal.note_begun(begun)
        self._write_down()
        return frozenset(begun)

    def _note(self, parcel: Finished) -> None:
        tally = self.tally
        for record in parcel.records:
            tally.counts[record.status] += 1
            tally.pixels += record.pixels if record.status == "done" else 0
        tally.kept += parcel.kept
        self._spared += parcel.kept_pixels
        self._behind += parcel.pixels
        begun = [r.finished - (r.seconds or 0) for r in parcel.records if r.finished is not None]
        if self._began is None and begun:
            self._began = min(begun)
        self._estimate()
        self._noted += parcel.records
        self._noted_parcels += [parcel.parcel] if parcel.parcel else []
        is_due = time.monotonic() - self._noted_at > _PART_SECONDS
        if len(self._noted) >= _PART_RECORDS or is_due:
            self._write_down()

    def _estimate(self) -> None:
        tally = self.tally
        seconds = max(time.time() - self._began, 1e-3) if self._began else 0.0
        if seconds:
            tally.speed = tally.pixels / 1e6 / seconds
        if tally.is_counted:
            past = self._behind + self._spared
            all_ = max(self._expected, past, 1.0)
            tally.share = past / all_
            if seconds and self._behind:
                tally.seconds_left = (all_ - past) * seconds / self._behind

    def _write_down(self) -> None:
        """Add what has been done to the journal, and forget the parcels that it was in."""
        if self._noted:
            self._journal.add_part(self._noted, self._settings)
        for parcel in self._noted_parcels:
            self._journal.forget(parcel)
        self._noted, self._noted_parcels = [], []
        self._noted_at = time.monotonic()

    def _count(self, enough: threading.Event) -> None:
        """Count the photographs, so that the time left can be told."""
        try:
            for entry in photographs(self._order.source, self._order.target, _ignore):
                if enough.is_set():
                    return
                self.tally.found += 1
                self._expected += pixels_of(entry.path, entry.size)
        except Exception:  # who lists for the workers will hear of it, too
            return
        self.tally.is_counted = True

    def _finish(self) -> None:
        """Write the manifest and the list of failures, and remove the journal.

        What has failed, or was skipped, each run tries again: where this one has not, it is gone,
        or cannot be seen. That it has a result is not forgotten.
        """
        target = self._order.target
        last = iter(latest(batch for batch, _ in self._all_records()))
        with tempfile.TemporaryDirectory() as folder:
            manifest, failures = Path(folder, MANIFEST), Path(folder, FAILURES)
            with writer_to(manifest, self._settings) as writer, failures.open("w") as lines:
                for batch, is_earlier in self._all_records():
                    kept = list(itertools.compress(batch, itertools.islice(last, len(batch))))
                    if is_earlier:
                        kept = [record for record in kept if record.target_bytes is not None]
                    add_to(writer, kept)
                    failed = [r for r in kept if r.status == "failed" and not is_earlier]
                    lines.writelines(map(_line, failed))
            target.put(manifest, MANIFEST)
            target.write(FAILURES, failures.read_bytes())
        self._journal.end()

    def _all_records(self) -> Iterator[tuple[list[Record], bool]]:
        """Yield records of earlier runs, then of this one, and whether they are earlier."""
        target = self._order.target
        # Of other settings, it is from before an --overwrite that was stopped.
        is_alike = are_alike(settings_in(target, MANIFEST), self._settings)
        if is_alike and not self._journal.is_anew():
            for batch in records_in(target, MANIFEST):
                yield batch, True
        for part in self._journal.parts():
            is_earlier = part in (self._earlier or ())
            for batch in self._journal.records([part]):
                yield batch, is_earlier


def _ignore(folder: str, reason: str) -> None:
    """Do nothing: who lists for the workers tells of it."""


def _threads(cpus: float) -> int | None:
    """Return how many threads a worker has, None for as many as it likes."""
    return max(1, int(cpus)) if cpus else None


def _line(record: Record) -> str:
    said = {"source": record.source, "reason": record.reason, "remedy": record.remedy}
    return json.dumps(said) + "\n"
