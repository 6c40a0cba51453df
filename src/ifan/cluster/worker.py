"""What a worker does: photographs in, results out, each written down."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from threading import Lock
from typing import Any, NamedTuple

from ifan import __version__
from ifan.cluster.journal import Journal, Progress
from ifan.cluster.listing import Parcel, Picture
from ifan.cluster.manifest import Record
from ifan.cluster.shipping import files_of, unpacked
from ifan.cluster.storage import Storage, said_by
from ifan.deblurrer import Deblurrer
from ifan.engines import Array
from ifan.errors import EngineError, IfanError, ModelError, PictureError
from ifan.images import (
    LONGEST_SIGNATURE,
    MAX_PIXELS,
    Photograph,
    Rendition,
    decode_photograph,
    encode_photograph,
    output_format,
    require_picture,
    require_room_for,
)
from ifan.worklist.faults import forget_variables, told
from ifan.worklist.overlap import Steps, one_by_one, overlapped

MOST_DEATHS = 2
"""How often a worker may end while it is at a photograph alone before that one is given up."""

_LARGE_BYTES = 100_000_000
"""A file as large as this is looked at before it is read whole; in a store that costs a request."""

# What `ifan deblur` is told, as one says it of a batch.
_WORDS = {
    "choose one by --page": "choose one by ifan deblur --page",
    "write a .png or .tif (--format png)": "deblur it by ifan deblur --format png",
    "write a .png or .tif": "deblur it by ifan deblur --format png",
}


class Order(NamedTuple):
    """What all workers are to do, and with what.

    Attributes:
        source: where the photographs are.
        target: where the results go.
        version: of the program.
        model: what the manifest calls the model.
        files: of the model, by their names.
        settings: arguments of `Deblurrer` on which the results depend.
        threads: that the network may take on a CPU.
        memory: as for `Deblurrer`.
        strength: part of the correction to apply, 0 to 1.
        max_pixels: larger photographs are refused.
        overwrite: whether all is made anew, and files that no batch has made are replaced.
    """

    source: Storage
    target: Storage
    version: str
    model: str
    files: Mapping[str, bytes]
    settings: Mapping[str, Any]
    threads: int | None
    memory: float | None
    strength: float
    max_pixels: int
    overwrite: bool


def order_for(
    deblurrer: Deblurrer,
    source: Storage,
    target: Storage,
    *,
    settings: Mapping[str, Any],
    memory: float | None = None,
    strength: float = 1.0,
    max_pixels: int | None = None,
    overwrite: bool = False,
) -> Order:
    """Return what workers are to do.

    Args:
        deblurrer: has the model.
        source: as for `Order`.
        target: as for `Order`.
        settings: as for `Order`; those of the deblurrer.
        memory: as for `Order`.
        strength: as for `Order`.
        max_pixels: as for `Order`; None for 500 megapixels.
        overwrite: as for `Order`.

    Raises:
        ModelError: the weights cannot be read, or not without PyTorch; or the model is one for
            dual-pixel views.
    """
    if deblurrer.dual_pixel:
        remedy = "choose a model for single photographs: ifan models list"
        raise ModelError(deblurrer.model.name, "needs dual-pixel views", remedy)
    return Order(
        source=source,
        target=target,
        version=__version__,
        model=f"{deblurrer.model.name}@{deblurrer.model.sha256[:12]}",
        files=files_of(deblurrer.model),
        settings=settings,
        threads=None,
        memory=memory,
        strength=strength,
        max_pixels=max_pixels or MAX_PIXELS,
        overwrite=overwrite,
    )


class Worker:
    """Deblurs parcels of photographs, with a network that is loaded once.

    Args:
        order: what is to be done.

    Raises:
        IfanError: the model or the engine cannot be used, or the program is another version here.
    """

    def __init__(self, order: Order) -> None:
        if order.version != __version__:
            reason = f"is version {__version__} on this node, {order.version} where it was started"
            raise EngineError("ifan", reason, "install the same version on all nodes")
        self._order = order
        self._journal = Journal(order.target)
        self._deblurrer = Deblurrer(
            unpacked(order.files), threads=order.threads, memory=order.memory, **order.settings
        )
        self._deblurrer.load()
        self._tidied: set[str] = set()
        self._noting = Lock()

    def deblur(self, parcel: Parcel) -> list[Record]:
        """Deblur the photographs of a parcel that have not been yet; return what became of all.

        If a worker was killed in the middle of it, those that remain are taken one at a time: of
        one that ends its worker again and again it is then known which one it is.
        """
        progress = self._journal.progress(parcel) or self._fresh(parcel)
        self._give_up_the_deadly(progress)
        progress.attempts += 1
        self._journal.note(progress)
        left = [picture for picture in parcel.pictures if picture.source not in progress.records]
        pieces = [_Piece(picture, progress) for picture in left]
        steps = Steps(self._read, self._work, self._write, _pixels)
        if progress.attempts == 1:
            _go_through(overlapped(iter(pieces), steps, lambda: False))
        else:
            for piece in pieces:
                progress.trying = piece.picture.source
                self._journal.note(progress)
                _go_through(one_by_one([piece], steps))
        return [progress.records[picture.source] for picture in parcel.pictures]

    def _fresh(self, parcel: Parcel) -> Progress:
        if self._order.overwrite:
            return Progress(parcel, foreign=[])
        new = [picture.target for picture in parcel.pictures if not picture.is_begun]
        return Progress(parcel, [path for path in new if self._order.target.entry(path)])

    def _give_up_the_deadly(self, progress: Progress) -> None:
        """Count the end of the worker before; fail the photograph that has ended too many."""
        source, progress.trying = progress.trying, None
        if source is None or source in progress.records:
            return
        progress.deaths[source] = progress.deaths.get(source, 0) + 1
        if progress.deaths[source] >= MOST_DEATHS:
            picture = next(p for p in progress.parcel.pictures if p.source == source)
            reason = f"ended the process that worked on it, {MOST_DEATHS} times alone"
            error = PictureError(self._name(picture), reason, "look at the file, and at the memory")
            self._finish(_Piece(picture, progress), error)

    def _read(self, piece: _Piece) -> Record | None:
        return self._attempt(piece, self._read_photograph)

    def _work(self, piece: _Piece) -> Record | None:
        return self._attempt(piece, self._deblur)

    def _write(self, piece: _Piece) -> Record:
        return self._attempt(piece, self._write_result) or self._finish(piece)

    def _read_photograph(self, piece: _Piece) -> None:
        picture, order = piece.picture, self._order
        if order.target.leads_to(picture.target, order.source, picture.source):
            link = order.target.name(picture.target)
            reason = f"has no place for its result: {link} leads to a photograph by a link"
            raise _LinkError(self._name(picture), reason, "remove that link")
        if picture.target in piece.progress.foreign:
            reason = f"has no place for its result: {order.target.name(picture.target)} exists"
            raise _ForeignFileError(self._name(picture), reason, "--overwrite replaces it")
        name = self._name(picture)
        data = self._content(picture)
        piece.photograph = decode_photograph(data, name, max_pixels=order.max_pixels)
        piece.width, piece.height = piece.photograph.width, piece.photograph.height
        require_room_for(piece.photograph, order.target.name(picture.target))
        if order.strength > 0:
            piece.renditions = self._deblurrer.renditions(piece.photograph, order.strength)

    def _content(self, picture: Picture) -> bytes:
        """Return what is in the file of a photograph, which may be none."""
        source, name = self._order.source, self._name(picture)
        try:
            if picture.size >= _LARGE_BYTES:
                with source.open(picture.source) as file:
                    require_picture(file.read(LONGEST_SIGNATURE), name)
            return source.read(picture.source)
        except (PictureError, MemoryError):
            raise
        except Exception as error:  # each store's package has errors of its own
            raise PictureError(
                name, f"cannot be read ({said_by(error)})", "see that it is there, and run again"
            ) from error

    def _deblur(self, piece: _Piece) -> None:
        if piece.renditions:
            piece.deblurred = self._deblurrer.infer(piece.renditions)

    def _write_result(self, piece: _Piece) -> None:
        order, path = self._order, piece.picture.target
        sharp = piece.photograph
        if piece.deblurred is not None:
            sharp = piece.renditions[0].corrected(piece.deblurred, order.strength)
        name = order.target.name(path)
        data = encode_photograph(sharp, output_format(name), name)
        self._tidy(os.fspath(PurePosixPath(path).parent))
        order.target.write(path, data)
        piece.target_bytes, piece.sha256 = len(data), hashlib.sha256(data).hexdigest()

    def _tidy(self, folder: str) -> None:
        """Remove what killed workers have left in a folder, once."""
        if folder not in self._tidied:
            self._tidied.add(folder)
            self._order.target.tidy(folder)

    def _attempt(self, piece: _Piece, step: Callable[[_Piece], None]) -> Record | None:
        """Take a step and count its time; return a record if it fails."""
        started = time.perf_counter()
        try:
            step(piece)
        except Exception as error:  # nobody's long run is to end by one photograph
            forget_variables(error)
            piece.forget_pictures()
            return self._finish(piece, told(error, self._name(piece.picture)))
        finally:
            piece.seconds += time.perf_counter() - started
        return None

    def _finish(self, piece: _Piece, error: IfanError | None = None) -> Record:
        """Write down what became of a photograph, in whatever thread that is known."""
        piece.forget_pictures()
        record = self._record(piece, error)
        with self._noting:
            piece.progress.records[record.source] = record
            piece.progress.trying = None
            self._journal.note(piece.progress)
        return record

    def _record(self, piece: _Piece, error: IfanError | None) -> Record:
        picture, size = piece.picture, piece.target_bytes
        if error and not isinstance(error, _ForeignFileError | _LinkError):
            size = self._size_of_result(picture)
        status = (
            "skipped" if isinstance(error, _ForeignFileError) else "failed" if error else "done"
        )
        return Record(
            source=picture.source,
            target=picture.target,
            status=status,  # type: ignore[arg-type]
            width=piece.width,
            height=piece.height,
            source_bytes=picture.size,
            source_stamp=picture.stamp,
            target_bytes=size,
            sha256=piece.sha256,
            seconds=round(piece.seconds, 4),
            model=self._order.model,
            finished=time.time(),
            reason=error.reason if error else None,
            remedy=_remedy(error) if error else None,
            folder=self._order.source.place,
        )

    def _size_of_result(self, picture: Picture) -> int | None:
        """Return how large the result of an earlier state of a photograph is, if there is one."""
        try:
            there = self._order.target.entry(picture.target)
        except Exception:  # the store that does not answer may be what the photograph failed of
            return None
        return there.size if there else None

    def _name(self, picture: Picture) -> str:
        return self._order.source.name(picture.source)


class _ForeignFileError(IfanError):
    """A file that no batch has made has the name of a result."""


class _LinkError(IfanError):
    """The name of a result leads to a photograph of the archive."""


@dataclass
class _Piece:
    """A photograph on its way, in a parcel that has come so far."""

    picture: Picture
    progress: Progress
    seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    photograph: Photograph = field(init=False)
    renditions: list[Rendition] = field(default_factory=list)
    deblurred: Array | None = None
    target_bytes: int | None = None
    sha256: str | None = None

    def forget_pictures(self) -> None:
        """Hold no pictures any more, whoever holds the piece."""
        self.renditions.clear()
        self.deblurred = None
        self.__dict__.pop("photograph", None)


def _remedy(error: IfanError) -> str:
    """Return a remedy that there is for a photograph of a batch."""
    remedy = error.remedy
    for spoken, meant in _WORDS.items():
        remedy = remedy.replace(spoken, meant)
    return remedy


def _go_through(records: Iterable[Record]) -> None:
    for _ in records:
        pass  # each has been written down


def _pixels(piece: _Piece) -> int:
    return (piece.width or 0) * (piece.height or 0)
