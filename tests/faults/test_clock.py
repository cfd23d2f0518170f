"""A clock that is wrong, or that jumps, changes no byte."""

from __future__ import annotations

import pytest

from .command import Command, checkout, different, trouble
from .counting import counted

YEAR = 365 * 86_400.0


@pytest.mark.faults
def test_a_clock_years_off_and_jumping_back_changes_nothing(tmp_path):
    code = checkout(tmp_path / "code")
    right = Command(code, tmp_path / "right", tmp_path / "right_out")
    assert right.finish()[0] == 0
    for name, shift, jump in (("years ahead", 9 * YEAR, 0.0), ("back and forth", -3 * YEAR, -YEAR / 5)):
        wrong = Command(code, tmp_path / name, tmp_path / f"{name} out")
        status, said = wrong.finish(FAULT_CLOCK=str(shift), FAULT_CLOCK_JUMP=str(jump))
        assert status == 0, said[-3000:]
        assert different(wrong.results(), right.results()) == []
        assert trouble(wrong) == []
        counted("wrong clock", name, "equal bytes")
    status, said = right.finish(FAULT_CLOCK=str(-20 * YEAR))
    assert "0 cells computed" in said
    assert "report is up to date" in said
    counted("wrong clock", "twenty years back, all done before", "nothing done again")
