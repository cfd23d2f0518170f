"""Timing with a clock that moves only when the work says so."""

import pytest

from bench.inference.clock import DeviceClock, measure
from bench.throughput.anchors import Anchors, measure_anchors


class Work:
    """A call that takes the next of `durations` (the last one for ever), and the clock it is timed with.

    Like a GPU's, its time passes at the next synchronisation, not at the call.
    """

    def __init__(self, *durations: float) -> None:
        self.durations, self.calls, self.pending, self.time = durations, 0, 0.0, 0.0
        self.waits = 0

    def __call__(self) -> None:
        self.pending += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1

    def now(self) -> float:
        return self.time

    def synchronise(self) -> None:
        self.waits += 1
        self.time += self.pending
        self.pending = 0.0


def test_work_that_goes_on_after_the_call_is_waited_for():
    work = Work(0.25)
    timing = measure(work, work, seconds=1, warm_up=1)
    assert timing.seconds == pytest.approx(0.25)
    assert timing.p50 == timing.p95 == pytest.approx(0.25)
    assert work.waits >= 2 * timing.calls


def test_warm_up_does_not_count():
    work = Work(100.0, 100.0, 100.0, 0.25)
    timing = measure(work, work, seconds=1, warm_up=3)
    assert (timing.seconds, timing.low, timing.high, timing.p95) == pytest.approx((0.25,) * 4)


def test_median_and_quartiles_are_over_blocks_and_percentiles_over_single_calls():
    # One warm-up, one to see how long a call is, then blocks of one call each.
    work = Work(9.0, 1.0, 1.0, 2.0, 3.0, 4.0, 100.0)
    timing = measure(work, work, seconds=1000, blocks=5, warm_up=1)
    assert timing.calls == 5
    assert timing.seconds == pytest.approx(3.0)
    assert (timing.low, timing.high) == pytest.approx((2.0, 4.0))
    assert timing.p50 == pytest.approx(3.0)
    assert timing.p95 == pytest.approx(4.0 + 0.8 * 96.0)


def test_short_calls_are_timed_in_blocks_and_one_by_one():
    work = Work(0.001)
    timing = measure(work, work, seconds=0.5, blocks=7, block_seconds=0.05)
    assert timing.calls == 7 * 50 + 50
    assert timing.seconds == pytest.approx(0.001)


def test_a_slow_call_is_still_timed_three_times():
    work = Work(60.0)
    assert measure(work, work, seconds=0.5, warm_up=0).calls == 3


def test_ceilings_are_positive_and_the_floor_is_the_larger_term():
    found = measure_anchors("cpu", DeviceClock("cpu"), side=32, copied=1 << 14, seconds=0.01)
    assert set(found.gemm) == {"fp32", "bf16"}
    assert min(found.gemm.values()) > 0
    assert found.copy > 0
    anchors = Anchors({"fp32": 100.0}, 10.0)
    assert anchors.floor("fp32", 200.0, 10.0) == 2.0
    assert anchors.floor("fp32", 200.0, 50.0) == 5.0
