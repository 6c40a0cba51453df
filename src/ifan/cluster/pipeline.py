"""The batch on Ray Data: a lister, and a pool of workers that grows and shrinks with the cluster.

    lister (one task, beside the driver) -> parcels -> workers (actors) -> records -> driver

Whatever Ray starts anew after a fault does the same again: the lister leaves out what was done when
the batch began, and a worker goes on where the journal says that a parcel is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray
from ray.data import ActorPoolStrategy, Datasource, ReadTask
from ray.data.block import BlockMetadata

from ifan.cluster.journal import Journal
from ifan.cluster.listing import Parcel, Picture, parcels, pictures
from ifan.cluster.manifest import MANIFEST, Done, Record, are_alike, records_in, settings_in
from ifan.cluster.worker import Order, Worker
from ifan.errors import IfanError

_AHEAD = 2048
"""Parcels that the lister may be ahead of the workers: as many as a large cluster works on."""

_LOOK_UP_SECONDS = 0.2


class Workers(NamedTuple):
    """The pool.

    Attributes:
        first: how many there are to be at first.
        most: to how many the pool may grow; None: as many as the cluster has room for.
        cpus: processors that each takes.
        gpus: the same.
    """

    first: int
    most: int | None
    cpus: float
    gpus: float


class Finished(NamedTuple):
    """A parcel that is done.

    Attributes:
        number: among the parcels, from 0; those of the last one is the number of all.
        parcel: its name; empty for the last one, which holds nothing.
        pixels: how many it may have held, by the sizes of the files.
        records: what became of its photographs, and of folders that could not be listed.
        kept: how many photographs the lister has left out before it, as they were done already.
        kept_pixels: how many these may have.
    """

    number: int
    parcel: str
    pixels: float
    records: list[Record]
    kept: int
    kept_pixels: float


def finished(
    order: Order,
    settings: Mapping[str, Any],
    parts: list[str],
    begun: frozenset[str],
    workers: Workers,
) -> Generator[Finished, None, None]:
    """Deblur all photographs that have not been yet, on the cluster that Ray is connected to.

    Args:
        order: what is to be done.
        settings: what the results are made with.
        parts: of the journal, when the batch began.
        begun: targets that a killed batch may have written.
        workers: the pool.

    Raises:
        IfanError: what a worker or the lister could not go on after, or Ray itself.
    """
    gate: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Gate).remote()
    lister = _Lister(order, settings, parts, begun, gate)
    listed = ray.data.read_datasource(
        lister,
        override_num_blocks=1,
        # It hardly computes, and must not wait for a processor that a worker has.
        num_cpus=0,
        # Where it can get lost only together with the driver.
        label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
    )
    shared = ray.put(order)
    done = listed.map_batches(
        _RayWorker,
        batch_size=1,
        # In a list, Ray hands it on as it is.
        fn_constructor_args=([shared],),
        compute=ActorPoolStrategy(
            min_size=1,
            initial_size=workers.first,
            max_size=workers.most,
            # One that waits, so that the worker need not.
            max_tasks_in_flight_per_actor=2,
        ),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
    )
    _set_up(done.context)
    batches: Any = done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    count = 0
    with _explained(), closing(iter(batches)) as tables:
        for table in tables:
            for row in table.to_pylist():
                count += 1
                gate.let_in.remote(count + _AHEAD)
                records = [Record(*each) for each in json.loads(row.pop("records"))]
                yield Finished(records=records, **row)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise the error of ours that Ray has wrapped into its own, or say what it says."""
    try:
        yield
    except IfanError:
        raise
    except Exception as error:
        causes = list(_causes(error))
        ours = next((cause for cause in causes if isinstance(cause, IfanError)), None)
        if ours is not None:
            raise type(ours)(ours.subject, ours.reason, ours.remedy) from error
        said = str(causes[-1]).strip().splitlines()
        reason = f"ended the batch ({type(causes[-1]).__name__}: {said[-1] if said else ''})"
        raise IfanError("cluster", reason, "give the same command again: it goes on") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _set_up(context: ray.data.DataContext) -> None:
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Each parcel by itself, as soon as it is listed, and as soon as it is done.
    context.target_max_block_size = 1
    context.target_min_block_size = 0


class _Gate:
    """Keeps the lister from running ahead further than memory should have to hold."""

    def __init__(self) -> None:
        self._open_to = _AHEAD

    def let_in(self, number: int) -> None:
        """Let parcels in up to a number."""
        self._open_to = max(self._open_to, number)

    def open_to(self) -> int:
        """Return the number of the last parcel that may come in."""
        return self._open_to


class _Lister(Datasource):
    """Lists the photographs that have to be deblurred, in parcels, as a source of Ray Data."""

    def __init__(
        self,
        order: Order,
        settings: Mapping[str, Any],
        parts: list[str],
        begun: frozenset[str],
        gate: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._source, self._target = order.source, order.target
        self._overwrite = order.overwrite
        self._settings = settings
        self._parts = parts
        self._begun = begun
        self._gate = gate

    def estimate_inmemory_data_size(self) -> int | None:
        """Say that it is unknown."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Return the one task that lists, whatever the parallelism."""
        del parallelism, data_context
        unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)
        return [ReadTask(self._rows, unknown, per_task_row_limit=per_task_row_limit)]

    def _rows(self) -> Iterator[pa.Table]:
        """Yield the parcels, each with how many photographs before it needed no work any more."""
        kept: list[float] = []
        missed: list[Record] = []
        number = 0
        for number, parcel in enumerate(parcels(self._undone(kept, missed)), start=1):
            self._wait_for(number)
            yield _row(number - 1, parcel.to_json(), kept, missed)
            kept.clear()
            missed.clear()
        yield _row(number, "", kept, missed)

    def _undone(self, kept: list[float], missed: list[Record]) -> Iterator[Picture]:
        """Yield the photographs that need work.

        Args:
            kept: the pixels of each of the others are added.
            missed: a record of each folder that cannot be listed is added.
        """

        def miss(folder: str, reason: str) -> None:
            missed.append(
                Record(
                    f"{folder}/",
                    "",
                    "failed",
                    reason=f"cannot be listed ({reason})",
                    remedy="check who may read it, and run again",
                    folder=self._source.place,
                )
            )

        done, elsewhere = self._done(is_here=True), self._done(is_here=False)
        for picture in pictures(self._source, self._target, miss):
            size, is_current = done.size(picture), done.is_current(picture)
            # One that is here as it was there was moved. Another one of that name is of another
            # camera, perhaps, so that what has the name of its result is not its own.
            if size is None and elsewhere.is_current(picture):
                size, is_current = elsewhere.size(picture), True
            there = None if size is None else self._target.entry(picture.target)
            # A result of another size is not what a batch has made: somebody has worked on it.
            is_ours = size is not None and (there is None or there.size == size)
            if is_ours and there is not None and is_current:
                kept.append(picture.pixels)
            else:
                yield picture._replace(is_begun=is_ours or picture.target in self._begun)

    def _done(self, *, is_here: bool) -> Done:
        """Return what has been done of the photographs of this folder, or of those of others."""
        return Done(
            [record for record in records if (record.folder == self._source.place) == is_here]
            for records in self._records()
        )

    def _records(self) -> Iterator[list[Record]]:
        """Yield the records of earlier runs."""
        if self._overwrite:
            return
        journal = Journal(self._target)
        before = settings_in(self._target, MANIFEST)
        is_same = are_alike(before, self._settings) and not journal.is_anew()
        for records in records_in(self._target, MANIFEST):
            # What an --overwrite that was stopped has not reached yet is ours, but is old.
            yield records if is_same else [r._replace(source_stamp=None) for r in records]
        yield from journal.records(self._parts)

    def _wait_for(self, number: int) -> None:
        while number > ray.get(self._gate.open_to.remote()):
            time.sleep(_LOOK_UP_SECONDS)


def _row(number: int, parcel: str, kept: list[float], missed: list[Record]) -> pa.Table:
    row = {"number": number, "parcel": parcel, "kept": len(kept), "kept_pixels": float(sum(kept))}
    return pa.Table.from_pylist([row | {"records": json.dumps(missed)}])


class _RayWorker:
    """A worker as Ray Data wants it."""

    def __init__(self, order: list[Any]) -> None:
        self._worker = Worker(ray.get(order[0]))

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
        """Deblur the one parcel of a batch."""
        row = {name: column.tolist()[0] for name, column in batch.items()}
        row["pixels"] = 0.0
        if row["parcel"]:
            parcel = Parcel.from_json(row["parcel"])
            records = json.dumps([*json.loads(row["records"]), *self._worker.deblur(parcel)])
            row |= {"parcel": parcel.name, "records": records, "pixels": parcel.pixels}
        return {name: [value] for name, value in row.items()}
