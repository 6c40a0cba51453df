"""Work that one asks for, watches, and whose result one fetches later."""

import asyncio
import time
from contextlib import ExitStack

import pytest
from servers import KEYS, encoded, events_of, opened, picture, with_settings

from ifan.serving import process
from ifan.serving.app import House
from ifan.serving.orders import Order, Spool
from ifan.serving.parameters import DeblurParameters
from ifan.serving.settings import Settings


@pytest.fixture(scope="module")
def photo():
    return encoded(picture(), "JPEG", quality=90)


def begun(client, photo, **fields):
    answer = client.post("/v1/jobs", files={"image": ("a.jpg", photo)}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.headers["location"]


def states_of(client, job):
    with client.stream("GET", f"{job}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        return [event["state"] for event in events_of(events)]


def test_a_job_tells_how_it_is_going_and_keeps_its_result_until_it_is_deleted(client, photo):
    job = begun(client, photo, strength="0.5")
    states = states_of(client, job)
    assert states[-1] == "done"
    assert [state for state in ("reading", "deblurring", "writing") if state in states] == [
        state for state in states if state not in ("queued", "done")
    ]
    assert client.get(job).json()["progress"] == 1
    direct = client.post("/v1/deblur", files={"image": photo}, data={"strength": "0.5"})
    for _ in range(2):
        result = client.get(f"{job}/result")
        assert result.content == direct.content
        assert "a.deblurred.jpg" in result.headers["content-disposition"]
    assert states_of(client, job) == ["done"]
    assert client.delete(job).status_code == 204
    for path in (job, f"{job}/events", f"{job}/result"):
        assert client.get(path).status_code == 404


def test_a_job_that_fails_says_why(client):
    job = begun(client, encoded(picture(), "JPEG")[:-300])
    assert states_of(client, job)[-1] == "failed"
    assert client.get(job).json()["problem"]["status"] == 422
    refusal = client.get(f"{job}/result")
    assert refusal.status_code == 409
    assert refusal.json()["detail"] == "the job is failed"


def test_a_job_that_waits_says_how_many_are_before_it_and_can_be_ended(server, client, photo):
    server.worker().suspend()
    jobs = [begun(client, photo), begun(client, photo)]
    with client.stream("GET", f"{jobs[1]}/events") as stream:
        events = events_of(stream)
        first = next(events)
        assert (first["state"], first["before"]) == ("queued", 1)
        assert client.get(f"{jobs[1]}/result").status_code == 409
        assert client.delete(jobs[1]).status_code == 204
        assert [event["state"] for event in events] == ["cancelled"]
    server.worker().resume()
    assert states_of(client, jobs[0])[-1] == "done"
    client.delete(jobs[0])


def test_a_job_that_runs_long_is_ended_at_once_and_the_next_one_is_done(server, client, photo):
    worker = server.worker()
    worker.suspend()
    assert client.delete(begun(client, photo)).status_code == 204
    assert opened(client.post("/v1/deblur", files={"image": photo}).content).size == (64, 48)
    assert not worker.is_running()


def test_results_are_kept_for_a_limited_time_and_not_without_number(guest, photo):
    job = begun(guest, photo)
    assert states_of(guest, job)[-1] == "done"
    refusal = guest.post("/v1/jobs", files={"image": photo})
    assert refusal.status_code == 429
    assert int(refusal.headers["retry-after"]) > 0
    time.sleep(1.6)
    assert guest.get(f"{job}/result").status_code == 404
    assert states_of(guest, begun(guest, photo))[-1] == "done"
    time.sleep(1.6)


def test_results_are_not_kept_without_a_limit_to_their_bytes(photo):
    with with_settings(kept_bytes=500) as server, server.client() as client:
        job = begun(client, photo)
        assert states_of(client, job)[-1] == "done"
        refusal = client.post("/v1/jobs", files={"image": photo})
        assert refusal.status_code == 429
        assert refusal.json()["detail"].startswith("results wait to be fetched: 1, of ")
        assert client.delete(job).status_code == 204
        assert states_of(client, begun(client, photo))[-1] == "done"


def test_jobs_belong_to_who_has_begun_them(strict, photo):
    with ExitStack() as stack:
        clients = [stack.enter_context(strict.client(headers={"X-API-Key": key})) for key in KEYS]
        job = begun(clients[0], photo)
        assert clients[1].get(job).status_code == 404
        assert clients[1].delete(job).status_code == 404
        assert states_of(clients[0], job)[-1] == "done"
        assert clients[0].delete(job).status_code == 204


# A worker that says what is in FILE to its first order, and answers all after it, of any worker.
CONFUSED = """
import functools, json, pathlib, sys

tell = functools.partial(print, flush=True)
sys.stdin.readline()
tell('{"ready": {}}')
first = pathlib.Path(FILE)
while line := sys.stdin.readline():
    sys.stdin.read(sum(filter(None, json.loads(line)["sizes"])))
    tell('{"stage": "reading"}')
    if first.exists():
        said = first.read_text()
        first.unlink()
        tell(said)
    tell('{"result": {"format": "PNG", "size": 3}}')
    tell("new", end="")
"""


@pytest.mark.parametrize(
    "said",
    [
        "no message",
        '{"oops": 1}',
        '{"stage": "dancing"}',
        '{"refused": {"kind": "dull", "detail": "", "remedy": ""}}',
        '{"result": {"format": "PNG", "size": "large"}}',
    ],
)
def test_a_worker_that_makes_no_sense_is_replaced_and_its_job_has_failed(
    monkeypatch, tmp_path, said
):
    (tmp_path / "said").write_text(said)
    program = CONFUSED.replace("FILE", repr(str(tmp_path / "said")))
    monkeypatch.setattr(process, "_PROGRAM", program)

    async def two_jobs():
        house = House(Settings(picture_seconds=30))
        await house.desk.worker.require()
        try:
            confused, next_one = begun_in(house), begun_in(house)
            await asyncio.wait({confused.task, next_one.task})
            assert confused.describe().state == "failed"
            assert next_one.describe().state == "done"
            with next_one.fetched().data.reading() as pieces:
                assert b"".join(pieces) == b"new"
            house.jobs.forget(next_one)
        finally:
            await house.desk.worker.close()

    asyncio.run(two_jobs())


def test_a_job_of_which_nobody_thought_has_failed_and_is_forgotten(monkeypatch):
    async def accident(order, tell):
        raise RuntimeError

    async def one_job():
        house = House(Settings(result_seconds=0.1))
        monkeypatch.setattr(house.desk, "carry_out", accident)
        job = begun_in(house)
        assert [event.state async for event in job.watch() if event][-1] == "failed"
        assert job.describe().problem.status == 500
        while house.metrics.jobs._value.get():
            await asyncio.sleep(0.02)

    asyncio.run(one_job())


def begun_in(house):
    photo = Spool()
    photo.write(b"photo")
    with ExitStack() as place:
        place.enter_context(house.desk.place())
        order = Order("deblur", {"image": photo}, DeblurParameters())
        return house.jobs.start(order, "somebody", place.pop_all())
