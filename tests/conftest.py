"""One thread a process: two torch threads on a busy machine can be many times slower than one."""

import os

import pytest

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without pretrained files."""
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
