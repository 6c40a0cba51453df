"""Which examples make which batch: whole epochs, the same for any number of processes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ifan.errors import PictureError
from ifan.training.batches import Rank, batches, checkpoint_number
from ifan.training.recipe import open_recipe

COUNT = 22


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for kind in ("source", "target"):
        folder = root / "train" / kind
        folder.mkdir(parents=True)
        for number in range(COUNT):
            pixels = random.integers(0, 256, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return root


def recipe(root, *overrides):
    return open_recipe(
        "pairs-only", [f"data.root={root}", "crop=16", "batch=4", "updates=18", *overrides]
    )


def made(recipe, first=0, *, rank=Rank(), workers=0, folder=None):  # noqa: B008
    return list(batches(recipe, first, rank=rank, workers=workers, photographs=folder))


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.names == other.names
        np.testing.assert_array_equal(one.center, other.center)
        np.testing.assert_array_equal(one.target, other.target)


def test_an_epoch_shows_each_example_once_and_its_last_batch_is_smaller(pairs):
    all_batches = made(recipe(pairs))
    for first in (0, 6, 12):
        of_epoch = all_batches[first : first + 6]
        assert [len(batch.names) for batch in of_epoch] == [4, 4, 4, 4, 4, 2]
        assert len({name for batch in of_epoch for name in batch.names}) == COUNT
    assert all_batches[0].names != all_batches[6].names


def test_the_paper_has_epochs_of_44_batches(monkeypatch):
    monkeypatch.setattr("ifan.training.batches.opened", lambda *_: range(350))
    paper = open_recipe("ifan")
    assert checkpoint_number(paper, 44, Rank()) == 1
    assert checkpoint_number(paper, paper.updates, Rank()) == 13_637


def test_batches_are_the_same_from_any_number_of_processes(pairs):
    assert_same(made(recipe(pairs), workers=2), made(recipe(pairs)))


def test_what_is_left_is_the_same_after_a_stop(pairs):
    assert_same(made(recipe(pairs), 7), made(recipe(pairs))[7:])


def test_several_processes_together_see_what_one_sees_with_larger_batches(pairs):
    single = made(recipe(pairs, "batch=8", "updates=9"))
    parts = [made(recipe(pairs, "updates=9"), rank=Rank(number, 2)) for number in range(2)]
    for whole, *halves in zip(single, *parts, strict=True):
        assert sorted(whole.names) == sorted(name for half in halves for name in half.names)
        total = sum(half.center.sum(dtype=np.float64) for half in halves)
        assert whole.center.sum(dtype=np.float64) == pytest.approx(total)


def test_crops_are_of_the_size_that_is_asked_for(pairs):
    batch = made(recipe(pairs))[0]
    assert batch.center.shape == batch.target.shape == (4, 16, 16, 3)
    assert batch.left is None


def test_a_damaged_picture_ends_training_or_is_skipped_and_told(pairs, tmp_path):
    for file in pairs.rglob("*.png"):
        copy = tmp_path / file.relative_to(pairs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    damaged = tmp_path / "train" / "source" / "005.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(PictureError, match=r"005\.png"):
        made(recipe(tmp_path))
    skipped = Counter(
        line for batch in made(recipe(tmp_path, "data.skip_damaged=true")) for line in batch.skipped
    )
    assert list(skipped.values()) == [3]
    assert "005.png" in next(iter(skipped))
