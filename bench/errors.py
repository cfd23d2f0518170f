"""What can go wrong, said so that a user can act on it.

Every message answers three questions: what happened, where (file, method, sample), and what to do.
The command line prints the message alone; `-v` adds the traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST, _MOST = 120, 1000


class BenchError(Exception):
    """Base of every error that the harness raises on purpose."""


class InputError(BenchError):
    """A file, a label or an array that was handed in is not usable."""


class UsageError(BenchError):
    """A name, option or configuration key that does not exist or does not fit (exit status 2)."""


class MetricError(BenchError):
    """A metric is undefined on the data at hand (one class, too few pairs, no margin over chance)."""


class ContractError(BenchError):
    """A component broke the contract of its base class."""


class Unavailable(BenchError):
    """A component cannot run here, and `remedy` is the one line that would make it run."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}; {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """A `UsageError` that names the nearest known names, or all of them when none is near."""
    # What is unknown may be from a file of any size, and telling long texts apart takes long.
    name, names = name[:_LONGEST], sorted(n for n in known if len(n) <= _LONGEST)[:_MOST]
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
    return UsageError(f"unknown {kind} '{name}'; {hint}")
