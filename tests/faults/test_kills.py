"""Random kills; in the end the results are an unbroken run's, byte by byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .command import EMBEDDED, SMALL, Command, checkout
from .counting import counted
from .kills import Series

KILLS = int(os.environ.get("FAULT_KILLS", "200"))
SEED = int(os.environ.get("FAULT_SEED", "0"))


def _series(folder: Path, arguments: tuple[str, ...], kills: int) -> None:
    code = checkout(folder / "code")
    unbroken = Command(code, folder / "unbroken" / "store", folder / "unbroken" / "out", arguments)
    status, said = unbroken.finish()
    assert status == 0, said[-3000:]
    broken = Command(code, folder / "store", folder / "out", arguments)
    series = Series(broken, unbroken.results(), SEED, folder, lambda line: print(line, flush=True))
    try:
        series.run(kills)
    finally:
        for number, kill in enumerate(series.kills):
            counted(f"kill of {kill.victim}, {arguments[1]}", str(number), kill.stage)
    counted("results compared after kills", arguments[1], f"equal {series.finished} times")
    if series.orphans:
        counted("seconds until all workers had ended", arguments[1], f"at most {max(series.orphans):.2f}")


@pytest.mark.slow
def test_a_few_kills_of_a_small_run(tmp_path):
    _series(tmp_path, SMALL, 6)


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
def test_many_kills_of_the_embedded_run(tmp_path):
    _series(tmp_path, EMBEDDED, KILLS)
