"""Runs in processes of their own, as tests see them from outside."""

from __future__ import annotations

import csv
import time

import psutil
import pytest
import torch


def state(folder):
    """What a run has saved last."""
    return torch.load(folder / "checkpoint" / "last.ckpt", weights_only=True)


def reached(folder):
    """The update that a run has saved last, or 0."""
    return state(folder)["update"] if (folder / "checkpoint" / "last.ckpt").exists() else 0


def logged(folder):
    """The last update of which a run's table tells."""
    with (folder / "log" / "log.csv").open() as file:
        return int(list(csv.DictReader(file))[-1]["update"])


def wait_for_weights(folder, process):
    """Wait until a run has kept weights, which it does when it validates."""
    while process.poll() is None:
        if list(folder.glob("checkpoint/*.pytorch")):
            return
        time.sleep(0.02)
    pytest.fail(f"ended before: {process.communicate()[0]}")


def wait_for_update(folder, wanted, process):
    """Wait until a run has saved an update."""
    while process.poll() is None:
        if reached(folder) >= wanted:
            return
        time.sleep(0.1)
    pytest.fail(f"ended before: {process.communicate()[0]}")


def children(pid):
    """The processes that torchrun started."""
    return sorted(psutil.Process(pid).children(), key=lambda child: child.create_time())
