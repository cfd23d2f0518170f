"""What a plan costs: sizes of pools, estimates and where they are from, places and time."""

import itertools

import pytest

from bench.config import load_config
from bench.costs.fit import MEMORY, SECONDS, STORAGE, TOUCHED, Rates
from bench.costs.model import GUESS, HERE, REFERENCE, SCALED, Model
from bench.costs.pools import counted, suppose
from bench.costs.predict import plan_works, predict, priced
from bench.costs.samples import Sample
from bench.costs.schedule import Task, schedule
from bench.costs.table import Table
from bench.costs.work import ONE, Made, Work, work_of
from bench.errors import InputError, UsageError
from bench.planning.build import build
from bench.store import Store


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)


def config(**given):
    return load_config(None, {"attackers": ("svm",), "matchers": ("se_resnet",), **given})


# -- places --------------------------------------------------------------------------------------------------


def test_independent_work_is_shared_and_a_chain_is_not():
    alone = {str(i): Task(2.0, 0.0, ()) for i in range(6)}
    assert schedule(alone, 3).elapsed == 4.0
    chain = {str(i): Task(2.0, 0.0, (str(i - 1),)) for i in range(6)}
    assert schedule(chain, 3).elapsed == schedule(chain, 1).elapsed == 12.0
    assert schedule(chain, 3).longest == 12.0


def test_what_the_longest_chain_waits_for_goes_first():
    tasks = {"short": Task(3.0, 0.0, ()), "head": Task(1.0, 0.0, ()), "tail": Task(5.0, 0.0, ("head",))}
    assert schedule(tasks, 1).elapsed == 9.0
    assert schedule(tasks, 2).elapsed == 6.0


def test_an_accelerator_is_one_place_however_many_workers_there_are():
    tasks = {str(i): Task(0.0, 1.0, ()) for i in range(4)} | {"cpu": Task(4.0, 0.0, ())}
    assert schedule(tasks, 8, gpus=1).elapsed == 4.0
    assert schedule(tasks, 8, gpus=2).elapsed == 4.0
    assert schedule(tasks, 1, gpus=1).elapsed == 8.0
    with pytest.raises(ValueError, match="none to run them on"):
        schedule(tasks, 8)


def test_no_order_is_better_than_the_bounds_allow():
    seconds = [1.0, 2.0, 3.0, 4.0, 5.0]
    tasks = {str(i): Task(s, 0.0, ()) for i, s in enumerate(seconds)}
    found = schedule(tasks, 2).elapsed
    halves = (sum(c) for n in range(6) for c in itertools.combinations(seconds, n))
    best = min(max(half, sum(seconds) - half) for half in halves)
    assert best <= found <= 4 / 3 * best


def test_done_work_takes_no_time():
    assert schedule({"a": Task(1.0, 0.0, ("gone",))}, 1).elapsed == 1.0
    assert schedule({}, 4).elapsed == 0.0


# -- sizes ---------------------------------------------------------------------------------------------------


def test_celeba_is_supposed_in_the_proportions_of_its_official_partition():
    whole = counted(suppose(config(dataset="celeba"), 202_599, 10_177))
    assert whole["test"] == Made(19_962, 1_000)
    assert whole["validation"] == Made(19_867, 985)
    assert whole["develop"].images == whole["attack"].images == 81_385
    part = counted(suppose(config(dataset="celeba"), 20_260, 1_018))
    assert part["test"].images == pytest.approx(1_996, abs=1)
    skewed = config(dataset="celeba", dataset_options={"attack_share": 0.25, "limit": 5_000})
    assert counted(suppose(skewed, 202_599, 10_177))["attack"].images == 5_000


@pytest.mark.parametrize(("images", "people"), [(100, 200), (10, 2), (100, 0)])
def test_sizes_that_no_dataset_has_are_refused(images, people):
    with pytest.raises(UsageError, match="--images"):
        suppose(config(dataset="celeba"), images, people)


def test_one_dataset_is_supposed_at_a_time():
    with pytest.raises(UsageError, match="--train-on"):
        suppose(config(dataset="celeba", train_on=("celeba", "lfw")), 202_599, 10_177)


def test_the_embedded_faces_are_counted_as_they_are_drawn():
    pools = counted(build(config(methods=("blur",))).dataset)
    assert pools["test"] == Made(600, 120)
    assert pools["attack"] == Made(3000, 1000)


def test_a_pool_that_nobody_counted_is_told(tmp_path):
    plan = build(config(methods=("blur",), store=tmp_path))
    plan.dataset.id = "unheard_of"  # as of a plug-in, which only its own code can count
    cells = {k: c for k, c in plan.cells.items() if c.stage == "faces"}
    for cell in cells.values():
        cell.params["dataset"] = "unheard_of"
    with pytest.raises(InputError, match="--images"):
        plan_works(plan, Store(tmp_path), set())
    assert priced(plan) is plan


def works_of(**given):
    plan = build(config(**given))
    return plan, plan_works(plan, Store(plan.config.store), set())


def test_the_work_of_a_cell_follows_the_faces(tmp_path):
    options = {"test_people": 30, "test_images": 4, "attack_people": 50, "attack_images": 3}
    plan, works = works_of(methods=("blur",), dataset_options=options, store=tmp_path)
    by_title = {cell.title: works[key] for key, cell in plan.cells.items()}
    pixels = 64 * 64 / 1e6
    assert by_title["protect blur"].terms["megapixels"] == pytest.approx(120 * pixels)
    assert by_title["protect blur"].known == pytest.approx(120 * 64 * 64 * 3 + 120)
    assert by_title["blur match se_resnet"].terms["pairs"] == 2 * 120 * 120 / 2
    assert by_title["train attacker svm@se_resnet"].made.samples == 150
    assert by_title["blur attack se_resnet"].terms["images x samples"] == 120 * 150
    assert by_title["protect blur ATTACK"].terms["megapixels"] == pytest.approx(150 * pixels)


def test_every_planned_cell_has_terms_and_a_component():
    few = ("blur", "san:op", "san_ensemble:best-n=3", "ive", "pfrnet", "mmda", "privacynet:gender")
    plan, works = works_of(methods=few, attackers=("svm", "pixel_kernel", "kernel_ridge"))
    assert works.keys() == plan.cells.keys()
    assert all(work.component and any(work.terms.values()) for work in works.values())


def test_a_stage_that_nobody_described_counts_its_images():
    assert work_of("new_stage", {}, {"faces": Made(7)}).terms == {ONE: 1.0, "images": 7}


# -- where an estimate is from -------------------------------------------------------------------------------


def work(images: int, component: str = "net") -> Work:
    return Work("embed", component, {ONE: 1.0, "images": images}, {ONE: 1.0}, made=Made(images))


def samples(*sizes: int, each: float) -> list[Sample]:
    return [Sample(work(n), each * n, 5000, 0, 600_000_000, "cpu", {}) for n in sizes]


def reference(each: float, most: float = 1000.0) -> Table:
    rates = Rates({"images": each}, {"images": most}, 5, 3, 0.0)
    rest = {
        ("embed", "net", MEMORY): Rates({ONE: 5e8, TOUCHED: 1.0}, {TOUCHED: 1e6}, 5, 3, 0.0),
        ("embed", "net", STORAGE): Rates({ONE: 5e3}, {ONE: 1.0}, 5, 1, 0.0),
    }
    return Table({("embed", "net", SECONDS): rates, ("embed", "", SECONDS): rates, **rest})


def test_what_was_measured_here_goes_before_the_reference():
    model = Model.of(samples(100, 200, 400, each=0.02), reference(0.01), {})
    found = model.seconds(work(800))
    assert (found.value, found.basis) == (pytest.approx(16.0), HERE)
    assert found.beyond == 2


def test_one_size_measured_here_sets_the_pace_of_the_reference():
    model = Model.of(samples(100, 100, each=0.02), reference(0.01), {})
    found = model.seconds(work(800))
    assert (found.value, found.basis) == (pytest.approx(16.0), SCALED)
    assert model.seconds(work(100)).basis == HERE


def test_without_any_cell_it_is_the_reference_and_says_so():
    found = Model.of((), reference(0.01), {}).seconds(work(8000))
    assert (found.value, found.basis, found.beyond) == (pytest.approx(80.0), REFERENCE, 8.0)


def test_another_component_of_a_known_stage_and_an_unknown_stage_are_guesses():
    model = Model.of((), reference(0.01), {"embed": 3.0, "new": 7.0})
    assert model.seconds(work(100, "other")).basis == GUESS
    assert model.seconds(work(100, "other")).value == pytest.approx(1.0)
    unknown = model.seconds(Work("new", "x", {ONE: 1.0}, {ONE: 1.0}))
    assert (unknown.value, unknown.basis) == (7.0, GUESS)


def test_memory_holds_what_a_cell_touches_and_its_matrices():
    model = Model.of((), reference(0.01), {})
    kernel = Work("embed", "net", {ONE: 1.0}, {ONE: 1.0}, held=3e9)
    assert model.memory(kernel, 1e9, 2e9).value == pytest.approx(3e9 + 5e9 + 5e8 + 5e9)


# -- whole plans ---------------------------------------------------------------------------------------------


def test_a_plan_is_priced_in_every_part(tmp_path):
    plan = build(config(methods=("blur",), quick=True, store=tmp_path))
    found = predict(plan, 2)
    assert [line.key for line in found.lines] == list(plan.cells)
    assert all(line.cost.core_seconds.value >= 0 and not line.done for line in found.lines)
    total = sum(line.cost.seconds for line in found.lines)
    assert max(found.ahead.longest, total / 2) <= found.ahead.elapsed <= total
    dear = max(found.lines, key=lambda line: line.cost.seconds)
    assert priced(plan).cells[dear.key].cost == pytest.approx(dear.cost.core_seconds.value)
    assert priced(plan).cells.keys() == plan.cells.keys()


def test_more_data_cost_more_of_everything(tmp_path):
    small = predict(build(config(methods=("blur",), store=tmp_path)), 1)
    options = {"test_people": 480, "attack_people": 4000}
    large = predict(build(config(methods=("blur",), store=tmp_path, dataset_options=options)), 1)
    assert large.ahead.elapsed > 1.5 * small.ahead.elapsed
    for quantity, times in (("storage", 1.2), ("memory", 1.05)):
        sums = [sum(getattr(x.cost, quantity).value for x in found.lines) for found in (small, large)]
        assert sums[1] > times * sums[0]
