import json
import os
from pathlib import Path

import pytest

from ifan.errors import OutputError, PictureError
from ifan.worklist import Outcome, Report, Task

DONE = Outcome(Task(Path("a.png"), Path("out/a.png")), "done", seconds=1.23456)
FAILED = Outcome(
    Task(Path("b.png"), Path("out/b.png")),
    "failed",
    PictureError("b.png", 'is "no"\npicture', "give one"),
    0.5,
)


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_says_what_became_of_a_photograph(tmp_path):
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        report.add(DONE)
        # It is in the file at once.
        assert lines_of(path) == [
            {
                "source": "a.png",
                "target": "out/a.png",
                "status": "done",
                "seconds": 1.235,
                "error": None,
                "reason": None,
                "remedy": None,
            }
        ]
        report.add(FAILED)
    assert lines_of(path)[1] == {
        "source": "b.png",
        "target": "out/b.png",
        "status": "failed",
        "seconds": 0.5,
        "error": "PictureError",
        "reason": 'is "no"\npicture',
        "remedy": "give one",
    }


def test_a_report_that_is_there_is_added_to(tmp_path):
    path = tmp_path / "report.jsonl"
    for outcome in (DONE, FAILED):
        with Report(path) as report:
            report.add(outcome)
    assert [line["source"] for line in lines_of(path)] == ["a.png", "b.png"]


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "report.jsonl"
    path.write_bytes(b'{"source": "c.p')
    with Report(path) as report:
        report.add(DONE)
        report.add(FAILED)
    first, *others = path.read_bytes().splitlines()
    assert first == b'{"source": "c.p'
    assert [json.loads(line)["source"] for line in others] == ["a.png", "b.png"]


@pytest.mark.parametrize("name", [b"gr\xfc\xdfe.png", "grüße \n\u2028.png".encode()])
def test_any_name_comes_back(tmp_path, name):
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        report.add(Outcome(Task(Path(os.fsdecode(name)), Path("a.png")), "done"))
    (line,) = lines_of(path)
    assert os.fsencode(line["source"]) == name


def test_what_was_refused_has_no_target(tmp_path):
    error = PictureError("none*", "matches no photograph", "check the pattern")
    with Report(tmp_path / "report.jsonl") as report:
        report.add(Outcome(Task(Path("none*"), Path("x"), refusal=error), "failed", error))
    (line,) = lines_of(tmp_path / "report.jsonl")
    assert (line["target"], line["reason"]) == (None, "matches no photograph")


def test_a_photograph_is_no_report(tmp_path):
    photograph = tmp_path / "photo.jpg"
    photograph.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(OutputError, match="is there and is no report; give another name"):
        Report(photograph)
    assert photograph.read_bytes() == b"\xff\xd8\xff"


@pytest.mark.parametrize("name", ["none/report.jsonl", ".", "x" * 300])
def test_a_report_that_cannot_be_written(tmp_path, name):
    with pytest.raises(OutputError, match=r"cannot be written \(.*\); check its folder"):
        Report(tmp_path / name)


def test_lines_may_go_into_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with Report(path) as report:
        report.add(DONE)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert json.loads(os.read(reading, 10_000))["source"] == "a.png"
        os.close(reading)
