"""A signal ends the server, and what it has begun."""

import asyncio
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from servers import encoded, events_of, opened, picture, started, with_settings

from ifan.serving.process import WorkerProcess
from ifan.serving.settings import Settings
from processes import Process


def command(*arguments):
    return [sys.executable, "-m", "ifan", "serve", "--port", "0", *arguments]


def first_worker(process):
    """The worker of a server that begins, as soon as it runs its own program.

    Before, it is a copy of the server, which waits until it is more than that: whoever suspends it
    then, suspends the server.
    """
    server = psutil.Process(process.pid)
    while process.poll() is None:
        for child in server.children():
            if child.cmdline() != server.cmdline():
                return child
    pytest.fail(process.stderr.read())


def test_a_signal_while_nothing_is_done_ends_it_well():
    with started([sys.executable, "-m", "ifan", "serve", "--port", "0"]) as server:
        worker = server.worker()
        assert server.stop(signal.SIGTERM) == 0
        assert server.log() == ""
        psutil.wait_procs([worker], timeout=10)
        assert not worker.is_running()


def test_a_signal_while_the_network_is_loaded_ends_it_well():
    with Process(command(), stderr=subprocess.PIPE, text=True) as process:
        worker = first_worker(process)
        worker.suspend()
        process.send_signal(signal.SIGTERM)
        assert (process.wait(60), process.stderr.read()) == (0, "")


def test_a_worker_that_is_closed_before_its_process_is_known_is_ended(monkeypatch):
    start, processes = asyncio.create_subprocess_exec, []

    async def begin():
        worker = WorkerProcess(Settings())

        async def start_and_close(*arguments, **options):
            processes.append(await start(*arguments, **options))
            await worker.close()
            return processes[-1]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_close)
        with pytest.raises(EOFError):
            await worker.start()

    asyncio.run(begin())
    (process,) = processes
    assert process.returncode == -signal.SIGKILL


def test_what_runs_is_finished_and_fetched_and_what_waits_is_told():
    with with_settings() as server, server.client() as client, ThreadPoolExecutor(1) as pool:
        worker = server.worker()
        worker.suspend()
        files = {"image": encoded(picture())}
        job = client.post("/v1/jobs", files=files).headers["location"]
        waiting = pool.submit(client.post, "/v1/deblur", files=files)
        while "ifan_places_taken 2.0" not in client.get("/metrics").text:
            time.sleep(0.02)
        with client.stream("GET", f"{job}/events") as events:
            server.process.send_signal(signal.SIGINT)
            while client.get("/readyz").status_code != 503:
                time.sleep(0.02)
            assert client.post("/v1/deblur", files=files).status_code == 503
            worker.resume()
            assert [state["state"] for state in events_of(events)][-1] == "done"
        assert waiting.result().status_code == 503
        assert waiting.result().json()["detail"] == "the server is stopping"
        assert opened(client.get(f"{job}/result").content).size == (64, 48)
        assert server.process.wait(30) == 0


def test_what_does_not_finish_in_time_is_reported():
    with with_settings(stop_seconds=0.2) as server, server.client() as client:
        server.worker().suspend()
        data = encoded(picture())
        job = client.post("/v1/jobs", files={"image": data}).headers["location"]
        with client.stream("GET", f"{job}/events") as events:
            server.process.send_signal(signal.SIGTERM)
            last = list(events_of(events))[-1]
        assert last["state"] == "failed"
        assert last["problem"]["detail"] == "the server was stopped meanwhile"
        assert server.process.wait(30) == 0
