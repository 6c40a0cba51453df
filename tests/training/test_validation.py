"""Which pictures a training is watched with, and where they come from."""

from __future__ import annotations

from ifan.datasets.folders import open_folder
from ifan.datasets.shards import shard
from ifan.training.recipe import open_recipe
from ifan.training.validation import validation_pictures


def test_shards_for_validation_are_kept_where_those_for_training_are(pairs, serve, tmp_path, home):
    list(shard(open_folder(pairs, "val", views=False), tmp_path / "served" / "val").make())
    cache = tmp_path / "cache"
    changes = (f"validation.root={serve(tmp_path / 'served')}", f"data.cache={cache}")
    assert len(list(validation_pictures(open_recipe("pairs-only", changes), tmp_path))) == 2
    assert len(list(cache.glob("shards/*.tar"))) == 1
    assert not list(home.iterdir())
