import logging
import sys
from pathlib import Path

import pytest
from sets import save_all, save_dpdd

from ifan.commands import program
from ifan.datasets.testing import open_test_set
from ifan.evaluation.methods import FolderMethod
from ifan.evaluation.protocol import Protocol
from ifan.evaluation.running import Evaluation

PAPER = Protocol()


@pytest.fixture(scope="session")
def all_sets(tmp_path_factory):
    """The root of a copy of each known set."""
    return save_all(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def dpdd(tmp_path):
    """The root of a copy of DPDD that a test may change."""
    return save_dpdd(tmp_path / "sets")


@pytest.fixture
def ifan(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger("ifan").handlers)

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["ifan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            program.run()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == status, said
        return said

    yield run
    logging.getLogger("ifan").handlers[:] = handlers


@pytest.fixture
def score(tmp_path):
    """Scores the pictures of a folder over a data set; gives the evaluation, done."""

    def run(folder, root, data="DPDD", protocol=PAPER, **options):
        test_set = open_test_set(data, root, views=False)
        method = FolderMethod(Path(folder), protocol)
        evaluation = Evaluation(method, test_set, protocol, tmp_path / "logs", **options)
        evaluation.done = list(evaluation.run())
        return evaluation

    return run
