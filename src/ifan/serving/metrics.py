"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from ifan.serving.process import WorkerProcess

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """Counts, of this server alone.

    Attributes:
        requests: answered, by method, route and status.
        request_seconds: from the first byte of a request to the last of its answer, by route.
        orders: carried out, by task and outcome: "done", or the kind of the problem.
        stage_seconds: of the work, by stage.
        places: taken.
        jobs: that are known: queued, running, or kept.
        worker_starts: of the process that has the network.
        worker_memory: of that process, in bytes.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "ifan_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "ifan_request_seconds",
            "From the first byte of a request to the last of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.orders = Counter(
            "ifan_orders", "Work on pictures", ["task", "outcome"], registry=registry
        )
        self.stage_seconds = Histogram(
            "ifan_stage_seconds",
            "Stages of the work on a picture",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.places = Gauge("ifan_places_taken", "Requests in the house", registry=registry)
        self.jobs = Gauge("ifan_jobs", "Jobs that are known", registry=registry)
        self.worker_starts = Gauge(
            "ifan_worker_starts", "Starts of the worker's process", registry=registry
        )
        self.worker_memory = Gauge(
            "ifan_worker_resident_bytes", "Memory of the worker's process", registry=registry
        )

    def text(self, worker: WorkerProcess) -> bytes:
        """Return all in Prometheus' text format, with what the worker is at now."""
        self.worker_starts.set(worker.starts)
        self.worker_memory.set(worker.resident_bytes())
        return generate_latest(self._registry)
