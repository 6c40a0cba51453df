from __future__ import annotations

import pytest

from ifan.models import importing, save_released_checkpoint, store
from small_models import small_network


@pytest.fixture
def released(tmp_path):
    """A small checkpoint file in the released form."""
    path = tmp_path / "mine.pytorch"
    save_released_checkpoint(path, small_network(shared_filters=True))
    return path


@pytest.fixture
def without(monkeypatch):
    """Let packages look as if they were not installed."""

    def remove(*packages):
        for module in (store, importing):
            monkeypatch.setattr(module, "installed", lambda package: package not in packages)

    return remove
