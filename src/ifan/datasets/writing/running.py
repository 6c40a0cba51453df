"""From a folder of photographs to a folder of scenes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from ifan.datasets.writing.layout import CONTACT_SHEET, SETTINGS, Layout
from ifan.datasets.writing.records import Record, SceneRequest, read_record, write_record
from ifan.datasets.writing.sheet import contact_sheet
from ifan.datasets.writing.sources import (
    Finding,
    Shelf,
    Source,
    checksums,
    find_sources,
    judge,
    read_depth,
    read_pixels,
)
from ifan.errors import IfanError, OutputError
from ifan.files import exists, is_folder, is_written, make_folder, remove_leftovers
from ifan.images import write_photograph
from ifan.processes import in_processes, usable_processors

_ON_SHEET = 8
"""How many scenes the contact sheet shows."""

_MOST_BYTES = 2**30
"""How much all processes together keep of photographs, and of depths, that they have read."""

_ELSEWHERE = "give another folder for the scenes"
_SAME_OR_ELSEWHERE = "give the same, or another folder for the scenes"


class Work:
    """The making of a data set: first `judge`, then `make`, each with a list of what is to be done.

    Scenes do not depend on the number of processes. Each file gets its name when it is whole; what
    an earlier run has made of the same settings and photographs stays, and more are added to it if
    more are asked for.

    Args:
        photos: a folder of sharp photographs, searched with those below it.
        out: the folder of the data set; new, empty, or of an earlier run.
        request: what scenes are asked for.
        depths: a folder of depths that are named as their photographs.
        processes: how many share the work; None is one for each processor.
        stopped: asked now and then; once it is true, what is begun is finished, and no more.

    Attributes:
        unjudged: the photographs that `judge` has to look at.

    Raises:
        IfanError: there is nothing to make scenes of, or something is not installed.
        OutputError: the folder is not ours, or an earlier run was asked for something else or for
            more scenes.
    """

    def __init__(
        self,
        photos: Path,
        out: Path,
        request: SceneRequest,
        *,
        depths: Path | None = None,
        processes: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._photos = photos
        self._request = request
        self._processes = processes or usable_processors()
        self._stopped = stopped
        self._record = Record.of(request)
        self._layout = Layout(out)
        self._settings = out / SETTINGS
        _require_ours(out)
        self._sources = find_sources(photos, depths)
        self.unjudged = list(self._sources)
        if exists(self._settings):
            self._record = self._continued(read_record(self._settings))
            self.unjudged = []

    @property
    def missing(self) -> list[int]:
        """The scenes that are not there yet."""
        return [index for index in range(self._request.scenes) if not self._layout.has(index)]

    @property
    def used(self) -> int:
        """How many photographs scenes are made of, once they are judged."""
        return len(self._record.photographs)

    @property
    def left_out(self) -> int:
        """How many photographs are left out, once they are judged."""
        return len(self._record.left_out)

    def judge(self) -> Generator[Finding, None, None]:
        """Look at each photograph, and write down which are used.

        Yields:
            What became of each, in order.

        Raises:
            IfanError: none can be used.
            OutputError: the folder cannot be written to.
        """
        if not self.unjudged:
            return
        findings = []
        for finding in in_processes(judge, self.unjudged, self._processes, self._stopped):
            findings.append(finding)
            yield finding
        if len(findings) < len(self.unjudged):
            return
        self._record = self._record.completed(findings)
        if not self.used:
            reason = f"has no sharp photograph among its {len(findings)} pictures"
            raise IfanError(self._photos, reason, "give photographs that are in focus everywhere")
        self._write_settings()
        self.unjudged = []

    def make(self) -> Generator[int, None, None]:
        """Make the scenes that are not there yet, and a contact sheet of the first.

        Yields:
            The number of each, once its files are there.

        Raises:
            PictureError: a photograph has vanished meanwhile.
            OutputError: a file cannot be written.
        """
        if self.unjudged:  # stopped before
            return
        self._write_settings()
        self._layout.make_folders()
        missing = self.missing
        self._draw_sheet()
        make = partial(_make, self._job())
        for index in in_processes(make, missing, self._processes, self._stopped):
            self._draw_sheet()
            yield index

    def _write_settings(self) -> None:
        """Write down what is made, unless it is the same as before."""
        if exists(self._settings):
            if read_record(self._settings) == self._record:
                return
            # It may show fewer scenes than there will be. What forbids to remove it forbids to
            # write the settings, too, and that is said.
            with suppress(OSError):
                (self._layout.folder / CONTACT_SHEET).unlink(missing_ok=True)
        make_folder(self._layout.folder)
        write_record(self._record, self._settings)

    def _draw_sheet(self) -> None:
        """Draw the contact sheet once its scenes are there, while one may still look and stop."""
        shown = range(min(_ON_SHEET, self._request.scenes))
        path = self._layout.folder / CONTACT_SHEET
        if not is_written(path) and all(map(self._layout.has, shown)):
            write_photograph(contact_sheet(self._layout, shown), path, overwrite=True)

    def _job(self) -> _Job:
        known = {source.name: source for source in self._sources}
        used = [known[entry.name] for entry in self._record.photographs]
        return _Job(
            photographs=tuple(source.photograph for source in used),
            depths=tuple(source.depth for source in used),
            request=self._request,
            folder=self._layout.folder,
            most_bytes=_MOST_BYTES // self._processes,
        )

    def _continued(self, before: Record) -> Record:
        """Return the record of an earlier run, if what is asked for is the same."""
        out = self._layout.folder
        difference = before.difference(self._record)
        if difference is not None:
            raise OutputError(out, f"holds scenes with {difference}", _SAME_OR_ELSEWHERE)
        if before.scenes > self._request.scenes:
            reason = f"is a set of {before.scenes} scenes, more than {self._request.scenes}"
            raise OutputError(out, reason, f"ask for {before.scenes} or more, or {_ELSEWHERE}")
        entries = {entry.name: entry for entry in before.photographs}
        if {*entries, *before.left_out} != {source.name for source in self._sources}:
            raise _other_photographs(out)
        for source in self._sources:
            entry = entries.get(source.name)
            if entry is not None and (entry.sha256, entry.depth_sha256) != checksums(source):
                raise _other_photographs(out, source)
        return before.model_copy(update={"scenes": self._request.scenes})


@dataclass(frozen=True)
class _Job:
    """What a process has to know to make scenes."""

    photographs: tuple[Path, ...]
    depths: tuple[Path | None, ...]
    request: SceneRequest
    folder: Path
    most_bytes: int


def _make(job: _Job, index: int) -> int:
    """Make a scene and write it, in a process of its own."""
    maker = _maker(job)
    maker.layout.write(index, maker.simulator.scene(index), job.request.bits)
    return index


class _Maker:
    """What a process keeps between scenes."""

    def __init__(self, job: _Job) -> None:
        from ifan.datasets.simulated import SceneSimulator

        self.layout = Layout(job.folder)
        self.simulator = SceneSimulator(
            Shelf(job.photographs, read_pixels, job.most_bytes),
            job.request.simulation(),
            depths=Shelf(job.depths, read_depth, job.most_bytes),
            seed=job.request.seed,
        )


_maker = lru_cache(maxsize=1)(_Maker)


def _require_ours(out: Path) -> None:
    """Refuse a folder with something in it that is no data set of ours."""
    if not exists(out) or exists(out / SETTINGS):
        return
    if not is_folder(out):
        raise OutputError(out, "is a file, not a folder", "give the name of a folder")
    remove_leftovers(out)
    if any(out.iterdir()):
        raise OutputError(out, "is not empty, and holds no simulated scenes", _ELSEWHERE)


def _other_photographs(out: Path, source: Source | None = None) -> OutputError:
    which = f", {source.name} for one" if source else ""
    reason = f"holds scenes of other photographs{which}"
    return OutputError(out, reason, _SAME_OR_ELSEWHERE)
