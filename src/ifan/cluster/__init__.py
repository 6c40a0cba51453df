"""Archives of photographs, on one machine or many, with Ray."""

from ifan.cluster.batch import Batch, Tally
from ifan.cluster.connecting import connected, workers_for
from ifan.cluster.manifest import FAILURES, MANIFEST, Record
from ifan.cluster.pipeline import Workers
from ifan.cluster.storage import open_storage
from ifan.cluster.worker import Order, order_for

__all__ = [
    "FAILURES",
    "MANIFEST",
    "Batch",
    "Order",
    "Record",
    "Tally",
    "Workers",
    "connected",
    "open_storage",
    "order_for",
    "workers_for",
]
