"""The scheduler over made-up places: order, what is lost, damaged or refused, and what it asks the store."""

import shutil
from collections import deque

import pytest

from bench.cells import Cell
from bench.engines import schedule
from bench.engines.work import Report
from bench.store import Artefact, Store, StoreError


class Scripted:
    """Places that do a cell's work at once, or what a script says of its next attempts by title."""

    def __init__(self, store, size, script=(), rare=0):
        self.store, self.size, self.rare = store, size, rare
        self.script = {title: deque(reports) for title, reports in dict(script).items()}
        self.busy, self.tried, self.closed = {}, [], False
        self.most_at_once = 0

    def need(self, cell):
        return int(cell.stage == "fit") if self.rare else 0

    def free(self, cell):
        numbers = range(self.rare) if self.need(cell) else reversed(range(self.size))
        return next((n for n in numbers if n not in self.busy), None)

    def start(self, place, cell):
        assert place not in self.busy
        self.busy[place] = cell
        self.tried.append(cell.title)
        self.most_at_once = max(self.most_at_once, len(self.busy))

    def wait(self):
        assert self.busy, "waited where nobody works"
        place, cell = next(iter(self.busy.items()))
        said = self.script.get(cell.title)
        report = said.popleft() if said else Report("done", processor=1.0)
        if report.kind != "progress":
            del self.busy[place]
        if report.kind == "done":
            self.store.save(cell.key, Artefact({}, {"title": cell.title}), {})
        if report.kind == "damaged":
            shutil.rmtree(self.store.folder(report.key), ignore_errors=True)
        return [(place, report)]

    def where(self, place):
        return f"machine {place}"

    def close(self):
        self.closed = True


class Plan:
    def __init__(self, folder):
        self.store, self.cells, self.events = Store(folder), {}, []

    def add(self, title, *inputs, tolerated=(), cost=1.0, stage="score"):
        keys = {name: self.cells[name].key for name in inputs}
        others = {name: self.cells[name].key for name in tolerated}
        self.cells[title] = Cell(stage, {"title": title}, keys, others, title, cost)
        return self.cells[title]

    def run(self, size=1, script=(), rare=0):
        self.places = Scripted(self.store, size, script, rare)
        self.outcome = schedule.execute(self.cells.values(), self.store, self.places, self.events.append)
        return self.outcome

    def failures(self):
        return {f.cell.title: f.message for f in self.outcome.failures.values() if not f.blocked}


@pytest.fixture
def plan(tmp_path):
    return Plan(tmp_path)


DIED, GONE = Report("lost", "exit code -9"), Report("lost", "the machine went", of_node=True)


def test_the_longest_work_that_hangs_on_a_cell_decides_the_order(plan):
    plan.add("dear but last", cost=5)
    plan.add("short and first")
    plan.add("its reader", "short and first", cost=7)
    plan.run()
    assert plan.places.tried == ["short and first", "its reader", "dear but last"]
    assert plan.places.closed


def test_rare_places_are_kept_for_the_cells_that_need_them(plan):
    for n in range(4):
        plan.add(f"fit {n}", stage="fit", cost=100)
        plan.add(f"score {n}")
    plan.run(size=3, rare=1)
    assert plan.places.most_at_once == 3
    started = [(e.cell.title[:3], e.worker) for e in plan.events if e.kind == "start"]
    assert {place for stage, place in started if stage == "fit"} == {0}


def test_a_worker_that_dies_costs_one_more_try_a_machine_that_goes_several(plan):
    plan.add("fragile")
    plan.add("hopeless")
    plan.add("moved about")
    plan.add("brings them down")
    script = {
        "fragile": [DIED],
        "hopeless": [DIED] * 9,
        "moved about": [GONE] * 4,
        "brings them down": [GONE] * 9,
    }
    plan.run(script=script)
    assert plan.failures() == {
        "hopeless": "its worker died twice (exit code -9); too little memory?",
        "brings them down": "5 machines went while they worked on it, the last: the machine went",
    }
    tries = {title: plan.places.tried.count(title) for title in plan.cells}
    assert tries == {"fragile": 2, "hopeless": 2, "moved about": 5, "brings them down": 5}


def test_a_damaged_artefact_is_made_again_before_whoever_reads_it(plan):
    plan.add("a")
    plan.add("b", "a")
    plan.add("c", "a")
    told = Report("damaged", "its bytes do not match", key=plan.cells["a"].key)
    plan.run(script={"b": [told]})
    assert not plan.outcome.failures
    tries = {title: plan.places.tried.count(title) for title in plan.cells}
    assert tries == {"a": 2, "b": 2, "c": 1}


def test_two_that_read_one_damaged_artefact_at_a_time_tell_of_one_damage(plan):
    plan.add("a")
    for n in range(8):
        plan.add(f"reader {n}", "a")
    told = Report("damaged", "its bytes do not match", key=plan.cells["a"].key)
    plan.run(size=8, script={f"reader {n}": [told] for n in range(8)})
    assert not plan.outcome.failures
    assert plan.places.tried.count("a") == 2
    assert plan.outcome.done.keys() == {cell.key for cell in plan.cells.values()}


def test_a_disk_that_spoils_all_it_is_given_ends_the_cell_and_not_never(plan):
    plan.add("a")
    plan.add("b", "a")
    told = Report("damaged", "its bytes do not match", key=plan.cells["a"].key)
    plan.run(script={"b": [told] * 99})
    assert plan.failures() == {"b": "its bytes do not match"}
    assert plan.places.tried.count("b") == schedule.MOST_DAMAGES + 1


def test_damage_to_what_no_cell_of_the_plan_makes_ends_too(plan):
    plan.cells["b"] = Cell("score", {}, {"a": "f" * 64}, title="b")
    plan.run(script={"b": [Report("damaged", "gone", key="f" * 64)] * 99})
    assert plan.failures() == {"b": "gone"}


def test_failures_block_readers_at_any_distance_and_spare_the_tolerant(plan):
    plan.add("bad")
    plan.add("reader", "bad")
    plan.add("reader of it", "reader")
    plan.add("tolerant", tolerated=["reader of it"])
    plan.run(script={"bad": [Report("failed", "it does not work", details="Traceback")]})
    kinds = {f.cell.title: f.blocked for f in plan.outcome.failures.values()}
    assert kinds == {"bad": False, "reader": True, "reader of it": True}
    assert plan.outcome.done[plan.cells["tolerant"].key] != plan.cells["tolerant"].key
    assert plan.places.tried == ["bad", "tolerant"]


def test_whoever_watches_hears_where_a_cell_runs_and_how_far_it_is(plan):
    plan.add("a")
    plan.run(size=2, script={"a": [Report("progress", "half", share=0.5), Report("failed", "no")]})
    said = [(e.kind, e.where, e.share) for e in plan.events]
    assert said[:2] == [("start", "machine 1", 0.0), ("progress", "machine 1", 0.5)]


def test_places_are_closed_whatever_happens(plan):
    plan.add("a")
    places = Scripted(plan.store, 1)
    places.wait = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        schedule.execute(plan.cells.values(), plan.store, places, lambda event: None)
    assert places.closed


def test_a_store_that_takes_nothing_ends_the_run(plan):
    plan.add("a")
    with pytest.raises(StoreError, match="no space"):
        plan.run(script={"a": [Report("unwritable", "no space left")]})
    assert plan.places.closed


def test_the_number_of_questions_to_the_store_is_that_of_the_cells(plan, monkeypatch):
    plan.add("0")
    for n in range(1, 60):
        plan.add(str(n), str(n - 1), *([str(n // 2)] if n > 3 else []))
    asked = []
    has = Store.has
    monkeypatch.setattr(Store, "has", lambda self, key: asked.append(key) or has(self, key))
    plan.run(size=4)
    assert len(plan.outcome.done) == 60
    assert len(asked) == 60
