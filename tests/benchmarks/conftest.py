"""The one table that `make bench` ends with: every work beside its peer, measured in this very run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import pytest

_HEADS = ("work", "peer", "ratio", "goal", "met", "note")
_ROWS = pytest.StashKey[list["_Row"]]()


@dataclass(frozen=True)
class _Row:
    work: str
    peer: str
    ratio: str
    goal: str
    met: str
    note: str


Compare = Callable[..., None]


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """`compare(work, peer, ratio, goal, note)` adds a row to the table.

    ratio: how many times faster than the peer, or, with `at_most`, what should not exceed the goal. goal:
    None where there is none. note: the deviation of the outputs, sizes, and what else a reader must know.
    """
    rows = request.config.stash.setdefault(_ROWS, [])

    def add(
        work: str, peer: str, ratio: float, goal: float | None, note: str = "", *, at_most: bool = False
    ) -> None:
        sign = "<=" if at_most else ">="
        met = "" if goal is None else "yes" if (ratio <= goal if at_most else ratio >= goal) else "no"
        wanted = "" if goal is None else f"{sign} {goal:g}"
        rows.append(_Row(work, peer, f"{ratio:.3g}", wanted, met, note))

    return add


@pytest.hookimpl(
    trylast=True
)  # after the figures of pytest-benchmark, so that the table ends what is printed
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    lines = [_HEADS, *(astuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS) - 1)]
    terminalreporter.section("speed, each work beside its peer in this run")
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=False))
        terminalreporter.write_line("  ".join([*padded, line[-1]]).rstrip())
