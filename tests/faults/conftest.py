"""Ends every run of these tests with a table of the faults that were tried and what came of them."""

from __future__ import annotations

from typing import Any

import pytest

from .command import Command, checkout
from .counting import Counted, lines, take

_PROPERTY = "fault"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, dict[str, bytes]]:
    """A command that has run, its results by path."""
    folder = tmp_path_factory.mktemp("finished")
    command = Command(checkout(folder), folder / "store", folder / "out")
    status, said = command.finish()
    assert status == 0, said[-3000:]
    return command, command.results()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    # As properties of the test the counts reach the process that prints, whichever process ran the test.
    item.user_properties.extend((_PROPERTY, (f.kind, f.name, f.outcome)) for f in take())


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for name in ("passed", "failed", "error") for r in terminalreporter.stats.get(name, [])]
    properties = [p for r in reports for p in getattr(r, "user_properties", ()) if p[0] == _PROPERTY]
    faults = list(dict.fromkeys(Counted(*values) for _, values in properties))
    if not faults:
        return
    terminalreporter.section("faults: what was done to the program, how often, and what came of it")
    for line in lines(faults):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"{len(faults)} faults in all")
