"""Trainings on several machines: here two addresses of one, each with a torchrun of its own."""

from __future__ import annotations

import csv
import socket
import time

import pytest
import torch
from running import children, reached, state, wait_for_update

from ifan.errors import IfanError
from ifan.training.devices import open_fabric


@pytest.fixture
def start_both(start, monkeypatch):
    """Starts the same on two machines; the first one lets them meet, and is waited for."""
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(*changes, nodes, log_roots=("logs", "logs")):
        agents = []
        for number in (2, 1):
            meeting = f"is_host={number % 2},last_call_timeout=3,keep_alive_interval=1"
            torchrun = [
                *(f"--nnodes={nodes}", "--nproc-per-node=1", "--max-restarts=3"),
                *("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"),
                *(f"--rdzv-conf={meeting}", f"--local-addr=127.0.0.{number}"),
            ]
            options = ["--resume", f"--log-root={log_roots[number - 1]}"]
            agents.append(start(*changes, options=options, torchrun=torchrun))
        return agents[::-1]

    return run


def output_of(process):
    output = process.communicate(timeout=240)[0]
    assert process.returncode == 0, output
    return output


def worker_of(agent):
    while agent.poll() is None:
        if children(agent.pid):
            return children(agent.pid)[-1]
        time.sleep(0.1)
    pytest.fail(f"ended before: {agent.communicate()[0]}")


def files(folder):
    """The files of a run; the names of TensorBoard's hold the time and the process."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path.parent / path.name.partition(".tfevents")[0]) for path in paths}


def test_two_nodes_that_lose_a_worker_train_as_one_that_is_not_disturbed(
    start, start_both, tmp_path
):
    changes = ["updates=30", "average=0.9"]
    alone = ["--standalone", "--nproc-per-node=2"]
    output_of(start(*changes, options=["--log-root=one"], torchrun=alone))
    first, second = start_both(*changes, nodes=2, log_roots=("two", "not-shared"))
    one, two = (tmp_path / root / "IFAN_CVPR2021" / "pairs_only" for root in ("one", "two"))
    wait_for_update(two, 6, first)
    worker_of(second).kill()
    output_of(first)
    output_of(second)

    wanted, trained = state(one), state(two)
    for part in ("tasks", "average"):
        for name, weight in wanted[part].items():
            assert torch.equal(weight, trained[part][name]), name
    assert files(one) == files(two)
    assert len(list(two.glob("log/*.tfevents.*"))) == 2, "it was not begun once and gone on with"
    assert not (tmp_path / "not-shared").exists()


def test_a_run_goes_on_when_a_node_is_lost_for_good(start_both, tmp_path):
    folder = tmp_path / "logs" / "IFAN_CVPR2021" / "pairs_only"
    first, second = start_both("updates=30", nodes="1:2")
    worker = worker_of(second)
    wait_for_update(folder, reached(folder) + 3, first)
    second.kill()
    worker.kill()
    output = output_of(first)

    assert output.count("has no run to go on with; one begins") == 1
    with (folder / "log" / "log.csv").open(newline="") as file:
        updates = [int(row["update"]) for row in csv.DictReader(file) if row["seconds"]]
    assert updates == sorted(set(updates))
    assert updates[-1] == state(folder)["update"] == 30


@pytest.mark.parametrize(
    ("started", "said"),
    [
        (
            {"LOCAL_WORLD_SIZE": 2, "GROUP_WORLD_SIZE": 2, "WORLD_SIZE": 3},
            "3 processes on 2 nodes.*the same --nproc-per-node",
        ),
        (
            {"TORCHELASTIC_MAX_RESTARTS": 3, "TORCHELASTIC_USE_AGENT_STORE": True},
            "wait for the lost ones.*TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1",
        ),
    ],
)
def test_what_torchrun_cannot_do_is_refused(started, said, monkeypatch):
    for name, value in started.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(IfanError, match=said):
        open_fabric("fp32", "cpu")
