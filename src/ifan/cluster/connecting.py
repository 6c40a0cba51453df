"""The cluster that a batch runs on."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Both are read when Ray is imported. What it writes past our lines is of no use to a user.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray

from ifan.cluster.pipeline import Workers
from ifan.errors import IfanError

_STORE_BYTES = 200_000_000
"""For what goes from process to process of a cluster of our own: lists of names, and the model."""

_ANSWER_SECONDS = 10

_MOST_CPUS = 2
"""Processors of a worker, where nothing else is said. With more, each of them does less."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster.

    Args:
        address: of a cluster, as `ray.init` takes it; None: that of `$RAY_ADDRESS`, or else one is
            started on this machine.

    Raises:
        IfanError: there is no such cluster.
    """
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Set where a job was given to a cluster; one that merely runs on this machine is left alone.
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None:
        _require_answer(address)
    own: dict[str, Any] = {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
    try:
        with _without_ramblings():
            ray.init(
                # None would join any cluster that runs on this machine, whoever's it is.
                "local" if address is None else address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(own if address is None else {}),
            )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = f"is no Ray cluster that answers ({error})"
        raise IfanError(address or "Ray", reason, "check the address: ray status") from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address that Ray would try for minutes, or could do nothing with."""
    if address.startswith("ray://"):
        reason = "is for Ray's client, through which Ray Data does not run"
        remedy = (
            "give --address auto on a node, or, with ray[default]: "
            "ray job submit -- ifan batch ... --address auto"
        )
        raise IfanError(address, reason, remedy)
    host, _, port = address.rpartition(":")
    if not port.isdecimal():  # `auto`, or a name that Ray knows
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        reason = f"does not answer ({error.strerror or error})"
        raise IfanError(address, reason, "check the address, and that Ray runs there") from error


@contextmanager
def _without_ramblings() -> Iterator[None]:
    """Drop what Ray's own processes write on the terminal; what goes wrong is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def workers_for(
    count: int | None = None, cpus: float | None = None, gpus: float | None = None
) -> Workers:
    """Return a pool of workers for the cluster.

    Args:
        count: workers, None for as many as there is room for, now and later.
        cpus: processors of each; None: those of a node, shared out so that none has more than 2; 1
            beside a GPU.
        gpus: GPUs of each; None: 1 if the cluster has any, else none.

    Raises:
        IfanError: no node has room for a worker, or workers need nothing.
    """
    nodes = [node["Resources"] for node in _nodes() if node["Alive"]]
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    if cpus is None:
        cpus = 1.0 if gpus else _share(int(max(node.get("CPU", 0) for node in nodes)))
    if not cpus and not gpus:
        reason = "are given neither processors nor GPUs"
        raise IfanError("workers", reason, "give --cpus-per-worker or --gpus-per-worker")
    room = sum(_room(node, cpus, gpus) for node in nodes)
    if not room:
        reason = f"has no node with {cpus:g} CPUs and {gpus:g} GPUs for a worker"
        raise IfanError("cluster", reason, "give smaller --cpus-per-worker and --gpus-per-worker")
    return Workers(min(count or room, room), count, cpus, gpus)


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _share(cpus: int) -> float:
    """Return how many processors a worker has, so that none of a node is left over."""
    workers = -(-cpus // _MOST_CPUS)
    return float(max(1, cpus // max(1, workers)))


def _room(node: dict[str, float], cpus: float, gpus: float) -> int:
    by_cpus = int(node.get("CPU", 0) // cpus) if cpus else 10**6
    by_gpus = int(node.get("GPU", 0) // gpus) if gpus else 10**6
    return min(by_cpus, by_gpus)
