from __future__ import annotations

import itertools

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifan.cluster.listing import Picture
from ifan.cluster.manifest import Done, Record, latest, records_in, settings_in, table_of
from ifan.cluster.storage import open_storage
from ifan.errors import OutputError

RECORDS = st.builds(
    Record,
    source=st.sampled_from("abcdef"),
    target=st.just("t"),
    status=st.sampled_from(["done", "failed", "skipped"]),
    source_bytes=st.just(1),
    source_stamp=st.sampled_from(["1", "2", "", None]),
    target_bytes=st.integers(0, 2**40),
    folder=st.sampled_from(["/one", "/two"]),
)
BATCHES = st.lists(st.lists(RECORDS, max_size=4), max_size=6)


@given(BATCHES)
def test_what_is_done_is_what_the_last_record_of_a_photograph_says(batches):
    last = {record.source: record for record in itertools.chain(*batches)}
    done = Done(batches)
    for source, stamp in itertools.product("abcdefg", ("1", "2", "")):
        record = last.get(source)
        is_done = record is not None and record.status == "done"
        picture = Picture(source, source, 1, stamp)
        # What failed may have the result of an earlier state.
        has_result = record is not None and record.status != "skipped"
        assert done.size(picture) == (record.target_bytes if has_result else None)
        assert done.is_current(picture) == (is_done and record.source_stamp == stamp)


@given(BATCHES)
def test_the_manifest_keeps_the_last_record_of_each_photograph_of_each_folder(batches):
    records = list(itertools.chain(*batches))
    kept = list(itertools.compress(records, latest(batches)))
    last = {(record.folder, record.source): record for record in records}
    assert len(kept) == len(last)
    assert all(record is last[record.folder, record.source] for record in kept)


def test_records_come_back_from_a_file_with_what_they_were_made_with(tmp_path):
    storage = open_storage(str(tmp_path))
    records = [
        Record("a/1.jpg", "a/1.jpg", "done", 30, 20, 5, "s", 7, "0" * 64, 0.5, "m", 1.5),
        Record("b\udcff.jpg", "b.jpg", "failed", reason="is broken", remedy="mend it"),
    ]
    storage.write("m.parquet", table_of(records, {"strength": 0.5, "passes": 2}))
    (back,) = records_in(storage, "m.parquet")
    assert back == [records[0], records[1]._replace(source=r"b\udcff.jpg")]
    assert settings_in(storage, "m.parquet") == {"strength": 0.5, "passes": 2}
    assert pq.read_table(tmp_path / "m.parquet").column_names == list(Record._fields)


def test_a_file_of_something_else_is_no_manifest(tmp_path):
    storage = open_storage(str(tmp_path))
    storage.write("m.parquet", b"PAR1 nonsense PAR1")
    with pytest.raises(OutputError, match="is no manifest"):
        list(records_in(storage, "m.parquet"))
    assert settings_in(storage, "none.parquet") is None
