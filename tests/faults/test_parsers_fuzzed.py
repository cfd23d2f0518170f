"""Spoilt files of every kind: parsers read or refuse them by name; they never crash and never hang."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .counting import counted
from .mutation import KINDS, TOKENS, Harm, spoilt
from .parsers import PARSERS, read_spoilt

HARMS = st.lists(
    st.builds(
        Harm,
        st.integers(0, len(KINDS) - 1),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 2000),
        st.integers(0, len(TOKENS) - 1),
    ),
    min_size=1,
    max_size=5,
)
_FEW, _MANY = 15, 100
_MOST_MEMORY = 1_500_000
"""Kilobytes that all parsers together may take more than before, whatever a file announces."""


def _fuzz(name: str, root: Path, examples: int) -> None:
    parser = PARSERS[name]
    examples = min(examples, 1 + examples // 50) if parser.dear else examples
    parser.make(root)
    valid = (root / parser.file).read_bytes()
    assert read_spoilt(parser, root, valid) == "read"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(HARMS)
    def check(harms: list[Harm]) -> None:
        outcomes.append(read_spoilt(parser, root, spoilt(valid, harms)))

    run: Callable[[], None] = check
    run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_MEMORY
    counted("spoilt file", name, "read or refused")


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_or_refuses(name: str, tmp_path: Path, no_weights: None) -> None:
    _fuzz(name, tmp_path, _FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_or_refuses_many(name: str, tmp_path: Path, no_weights: None) -> None:
    _fuzz(name, tmp_path, _MANY)
