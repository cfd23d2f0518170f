"""What every fault did, noted by the tests and printed as one table when they end (see `conftest`)."""

from __future__ import annotations

from dataclasses import dataclass

LOST = "WRONG"
"""The outcome of a fault that lost or changed something without a word: none may have it."""


@dataclass(frozen=True)
class Counted:
    """One fault. kind: what sort of harm; name: what exactly, one fault once; outcome: what came of it."""

    kind: str
    name: str
    outcome: str


_noted: list[Counted] = []


def counted(kind: str, name: str, outcome: str) -> None:
    """Note one fault: `counted("bad input", "labels with two equal rows", "refused")`.

    outcome: one or two words that many faults share, as `refused`, `repaired`, `skipped`, `finished`; the
    table has a line for each kind and says how often each outcome came. Call it inside the test.
    """
    _noted.append(Counted(kind, name, outcome))


def take() -> list[Counted]:
    """What was noted since the last call."""
    taken = list(_noted)
    _noted.clear()
    return taken


def lines(faults: list[Counted]) -> list[str]:
    """One line a kind: how many different faults, and how many of each outcome."""
    width = max((len(fault.kind) for fault in faults), default=0)
    table = []
    for kind in dict.fromkeys(fault.kind for fault in faults):
        of_kind = dict.fromkeys(fault for fault in faults if fault.kind == kind)
        outcomes = sorted({fault.outcome for fault in of_kind})
        counts = {o: sum(fault.outcome == o for fault in of_kind) for o in outcomes}
        said = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        table.append(f"{kind.ljust(width)}  {len(of_kind):5}  {said}")
    return table
