"""Storage and memory of a run that is made, beside what was foretold from smaller ones. Time, which other
work on the machine would spoil, is in `tests/benchmarks/test_cost_model.py`."""

import pytest

from bench.config import load_config
from bench.costs.predict import predict
from bench.costs.samples import samples_of
from bench.planning.build import build
from bench.run import execute

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHARED = {
    "preset": "check",
    "methods": ("blur", "grey"),
    "matchers": ("se_resnet",),
    "attackers": ("svm", "knn"),
    "attributes": ("gender", "smiling"),
    "threats": ("folded",),
    "resamples": 100,
    "quality_images": 0,
    "workers": 1,
}


def plan_of(people, store):
    options = {"attack_people": 2 * people, "test_people": people}
    return build(load_config(None, {**SHARED, "store": store, "dataset_options": options}))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A store with the cells of two small runs."""
    store = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BENCH_WEIGHTS", raising=False)
        plan, more = plan_of(12, store), plan_of(20, store)
        plan.cells.update(more.cells)  # by one worker, whose start is most of the time
        assert not execute(plan, lambda line: None).failures
    return store


def test_storage_is_exact_and_memory_near(learned, tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    plan = plan_of(44, tmp_path)
    foretold = predict(plan, 1, samples=samples_of(learned))
    assert not any(line.done for line in foretold.lines)
    assert not execute(plan, lambda line: None).failures
    taken = samples_of(tmp_path)
    assert len(taken) == len(foretold.lines)
    stored = sum(line.cost.storage.value for line in foretold.lines)
    assert stored == pytest.approx(sum(sample.stored for sample in taken), rel=0.03)
    peak = max(line.cost.memory.value for line in foretold.lines)
    assert peak == pytest.approx(max(sample.peak for sample in taken), rel=0.3)
    after = predict(plan, 1)
    assert all(line.done for line in after.lines)
    assert after.ahead.elapsed == 0
    kept = sum(line.cost.storage.value for line in after.lines)
    assert kept == sum(sample.stored for sample in taken)
