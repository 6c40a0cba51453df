import functools
import gc
import http.server
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from layouts import picture, same, save_dpdd

from ifan.datasets.folders import open_folder
from ifan.datasets.opening import open_examples
from ifan.datasets.packing import pack
from ifan.datasets.shards import ShardExamples, shard
from ifan.errors import DownloadError, IfanError, PictureError

TWO_EXAMPLES = 16_000
"""Bytes after which a shard of the examples here has two of them."""


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return save_dpdd(tmp_path_factory.mktemp("dpdd"), count=6, height=24, width=28)


@pytest.fixture
def originals(root):
    return open_folder(root, "train", views=True)


@pytest.fixture
def shards(originals, tmp_path):
    """The folder of three shards of two examples each."""
    list(shard(originals, tmp_path / "set" / "train", part_bytes=TWO_EXAMPLES).make())
    return tmp_path / "set" / "train"


@pytest.fixture
def server(tmp_path):
    """Serves the folder over HTTP; knows what was asked for, and answers some of it falsely."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path.rsplit("/", 1)[-1])
            super().do_GET()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=tmp_path / "set")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()


def cached(folder):
    return sum(path.stat().st_size for path in (folder / "shards").iterdir())


def test_shards_in_a_folder_are_read_in_any_order(shards, originals):
    examples = open_examples(shards.parent, "train", views=True)
    assert isinstance(examples, ShardExamples)
    assert len(examples) == 6
    assert examples.blocks == [range(2), range(2, 4), range(4, 6)]
    assert all(same(examples[number], originals[number]) for number in (5, 0, 3, 3, 1))
    assert examples[0].name == originals[0].name


def test_16_bits_are_kept(tmp_path):
    save_dpdd(tmp_path, dtype=np.uint16)
    originals = open_folder(tmp_path, "train", views=False, bits=16)
    list(shard(originals, tmp_path / "set").make())
    sixteen, eight = (
        ShardExamples(str(tmp_path / "set"), views=False, bits=bits) for bits in (16, 8)
    )
    assert same(sixteen[2], originals[2])
    np.testing.assert_array_equal(eight[0].center, picture(0, dtype=np.uint16) >> 8)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them_by_itself(shards, originals):
    from webdataset import WebDataset

    addresses = sorted(map(str, shards.glob("*.tar")))
    samples = list(WebDataset(addresses, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in samples] == [f"{number:08d}" for number in range(6)]
    assert {"center.png", "target.png", "left.png", "right.png"} <= set(samples[0])
    gc.collect()  # it leaves files open


def test_the_same_pictures_make_the_same_shards(shards, originals, tmp_path):
    list(shard(originals, tmp_path / "again", part_bytes=TWO_EXAMPLES).make())
    for path in shards.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_shards_are_fetched_once_when_they_are_needed(shards, originals, server, tmp_path):
    address, asked = server
    examples = open_examples(address, "train", views=True, cache=tmp_path / "cache")
    assert asked == ["index.json"]
    examples = pickle.loads(pickle.dumps(examples))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(examples.__getitem__, (0, 1, 1, 0, 5)))
    assert [example.name for example in found] == [
        originals[number].name for number in (0, 1, 1, 0, 5)
    ]
    assert same(found[0], originals[0])
    assert sorted(asked[1:]) == ["00000.tar", "00002.tar"]


def test_the_cache_does_not_grow_beyond_its_size(shards, originals, server, tmp_path):
    address, asked = server
    largest = max(path.stat().st_size for path in shards.glob("*.tar"))
    cache = tmp_path / "cache"
    examples = ShardExamples(
        f"{address}/train", views=True, cache=cache, cache_gigabytes=2.5 * largest / 1e9
    )
    for number in (0, 2, 0, 4, 0, 2):
        time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
        assert same(examples[number], originals[number])
        assert cached(cache) <= 2.5 * largest
    # The one that was not used for longest went.
    assert asked[1:] == ["00000.tar", "00001.tar", "00002.tar", "00001.tar"]


def test_a_cache_that_is_too_small_is_refused(shards, server, tmp_path):
    examples = ShardExamples(f"{server[0]}/train", views=True, cache_gigabytes=1e-6)
    with pytest.raises(DownloadError, match=r"00000.tar: has .*more than the cache.*larger cache"):
        examples[0]


def test_without_a_cache_folder_that_of_the_system_is_taken(shards, server, home):
    ShardExamples(f"{server[0]}/train", views=True)[0]
    assert [path.suffix for path in (home / "shards").iterdir()] == [".tar"]


def test_what_cannot_be_fetched_is_named(shards, server):
    examples = ShardExamples(f"{server[0]}/train", views=True)
    (shards / "00001.tar").unlink()
    with pytest.raises(DownloadError, match=r"train/00001.tar: cannot be fetched \(the server do"):
        examples[2]
    with pytest.raises(DownloadError, match=r"val/index.json: cannot be fetched"):
        open_examples(server[0], "val", views=True)
    with pytest.raises(DownloadError, match=r"cannot be fetched \(.*no gopen handler"):
        open_examples("carrier-pigeon://here", "train", views=True)


def test_packed_pictures_cannot_be_fetched(originals, server, tmp_path):
    list(pack(originals, tmp_path / "set" / "train").make())
    with pytest.raises(IfanError, match=r"train: is packed, not shards; see --shards"):
        open_examples(server[0], "train", views=True)


def test_what_comes_in_another_size_is_not_kept(shards, originals, server, tmp_path):
    examples = ShardExamples(f"{server[0]}/train", views=True, cache=tmp_path / "cache")
    path = shards / "00000.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DownloadError, match="another size than the index says"):
        examples[0]
    path.write_bytes(whole)
    assert same(examples[0], originals[0])


def test_a_damaged_picture_is_named_and_the_others_are_read(shards, originals):
    path = shards / "00000.tar"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 200] ^= 0xFF
    path.write_bytes(data)
    examples = ShardExamples(str(shards), views=True)
    with pytest.raises(PictureError, match=r"00000.tar/00000000.center.png: is damaged"):
        examples[0]
    assert same(examples[1], originals[1])


def test_a_shard_that_is_missing_is_found_before_training(shards):
    (shards / "00001.tar").unlink()
    with pytest.raises(IfanError, match=r"00001.tar: is not there as it was written"):
        ShardExamples(str(shards), views=True)


def test_archives_of_a_set_that_was_prepared_anew_are_fetched_anew(
    shards, originals, server, tmp_path
):
    cache = tmp_path / "cache"
    examples = open_examples(server[0], "train", views=True, cache=cache)
    assert same(examples[0], originals[0])
    for archive in (cache / "shards").glob("*.tar"):
        archive.write_bytes(b"of the set as it was before")
    again = open_examples(server[0], "train", views=True, cache=cache)
    assert same(again[0], originals[0])
