"""`python -m bench` with auxiliaries of a few steps, for `test_distributed.py` to start under torchrun.

With FAILS in the environment the second process breaks down in the third step of its first training.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import bench.auxiliaries
from bench.cli import main
from bench.training import LossRecord

STEPS = 4


def break_down() -> None:
    add = LossRecord.add

    def failing(self: LossRecord, losses: Mapping[str, Any]) -> None:
        if self.done == 2 and os.environ["RANK"] == "1":
            raise RuntimeError("out of luck")
        add(self, losses)

    LossRecord.add = failing  # type: ignore[method-assign]


if __name__ == "__main__":
    bench.auxiliaries._STEPS = dict.fromkeys((*bench.auxiliaries.NETWORKS, bench.auxiliaries.CASIA), STEPS)
    if "FAILS" in os.environ:
        break_down()
    main()
