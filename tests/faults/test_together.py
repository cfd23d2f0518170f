"""Several commands on one store at a time."""

from __future__ import annotations

import os
import signal
import time

import pytest

from .command import SMALL, Command, checkout, different, trouble
from .counting import counted

OTHER = tuple("original,pixelate" if word == "original,constant,blur" else word for word in SMALL)
"""Another command, which needs much of what the first needs."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Both commands, each by itself: their code and the results by arguments."""
    folder = tmp_path_factory.mktemp("alone")
    code = checkout(folder / "code")
    results = {}
    for arguments in (SMALL, OTHER):
        command = Command(code, folder / "store", folder / str(len(results)), arguments)
        status, said = command.finish()
        assert status == 0, said[-3000:]
        results[arguments] = command.results()
    return code, results


def _together(commands, folder, meanwhile=lambda processes: None):
    processes = [c.start(folder / f"{number}.log") for number, c in enumerate(commands)]
    meanwhile(processes)
    return [process.wait(timeout=3000) for process in processes]


@pytest.mark.faults
def test_the_same_command_twice(alone, tmp_path):
    code, results = alone
    twins = [Command(code, tmp_path / "store", tmp_path / "out")] * 2
    assert _together(twins, tmp_path) == [0, 0]
    assert different(twins[0].results(), results[SMALL]) == []
    assert trouble(twins[0]) == []
    said = [(tmp_path / f"{number}.log").read_text() for number in (0, 1)]
    assert "damaged" not in "".join(said)
    counted("two commands on one store", "the same twice, one report", "equal bytes")


@pytest.mark.faults
def test_two_commands_that_share_cells_and_one_that_is_killed(alone, tmp_path):
    code, results = alone
    first = Command(code, tmp_path / "store", tmp_path / "first", SMALL)
    second = Command(code, tmp_path / "store", tmp_path / "second", OTHER)
    third = Command(code, tmp_path / "store", tmp_path / "third", SMALL)

    def kill_the_third(processes):
        while not any((tmp_path / "store" / "cells").glob("*/*")):
            assert processes[2].poll() is None
            time.sleep(0.05)
        os.killpg(processes[2].pid, signal.SIGKILL)

    assert _together([first, second, third], tmp_path, kill_the_third) == [0, 0, -signal.SIGKILL]
    assert different(first.results(), results[SMALL]) == []
    assert different(second.results(), results[OTHER]) == []
    assert third.finish()[0] == 0
    assert different(third.results(), results[SMALL]) == []
    assert trouble(first) == []
    counted("two commands on one store", "two that share cells, and one killed beside them", "equal bytes")
