"""Seconds on an accelerator, from rows as `bench throughput` writes them."""

import pytest

from bench.costs.devices import Accelerator
from bench.costs.fit import SECONDS, Rates
from bench.costs.model import GUESS, TABLE, Model
from bench.costs.work import ONE, Work
from bench.throughput.table import Row

KEYS = ("san:op 1", "san:nt 1", "flowsan:n=5 2", "san op 1")


def rates(each: float) -> Rates:
    return Rates({"megapixels": each}, {"megapixels": 1.0}, 5, 3, 0.0)


def accelerator(*rows: Row, exact: bool = True, preset: str = "paper", side: int = 224) -> Accelerator:
    shipped = {("protect", key, SECONDS): rates(1.0 + number) for number, key in enumerate(KEYS)}
    model = Model({}, {**shipped, ("embed", "net", SECONDS): rates(4.0)})
    return Accelerator("GPU", rows, preset=preset, side=side, exact=exact, model=model)


def row(kind: str, name: str, per_second: float, **more: object) -> Row:
    given = {"preset": "paper", "side": 224, "path": "eager", "precision": "fp32", "batch": 16, **more}
    return Row(kind, name, device="cuda", per_second=per_second, **given)


def protect(variant: str = "op", key: str = KEYS[0], images: int = 1000) -> Work:
    network = ("method", "san", variant)
    return Work("protect", key, {ONE: 1.0, "megapixels": 2.0}, {}, passes=images, network=network)


def train(images: int = 800, name: str = "san") -> Work:
    network = ("method", name, "")
    return Work("fit", name, {"megapixels": 2.0}, {}, passes=images, network=network, trains=True)


def seconds(found: Accelerator, work: Work):
    return found.seconds({"cell": work})["cell"]


def test_a_row_of_the_same_output_preset_and_size_is_measured():
    found = seconds(accelerator(row("method", "san", 500, variant="op")), protect())
    assert (found.value, found.basis) == (2.0, TABLE)


def test_a_row_of_another_size_or_preset_is_scaled_and_a_guess():
    rows = (row("method", "san", 500, variant="op"),)
    small = seconds(accelerator(*rows, side=112), protect())
    assert (small.value, small.basis) == (0.5, GUESS)
    assert seconds(accelerator(*rows, preset="quick"), protect()).basis == GUESS


def test_another_output_costs_as_much_more_as_on_a_processor():
    found = seconds(accelerator(row("method", "san", 500, variant="op")), protect("nt", KEYS[1]))
    assert (found.value, found.basis) == (4.0, GUESS)


def test_an_exact_run_does_not_take_a_path_that_deviates_nor_anybody_the_public_style():
    rows = [row("method", "san", 500, variant="op"), row("method", "san", 900, variant="op", path="compiled")]
    assert seconds(accelerator(*rows), protect()).value == 2.0
    assert seconds(accelerator(*rows, exact=False), protect()).value == pytest.approx(1000 / 900)
    steps = row("training", "san", 10), row("training", "san", 90, path="peer")
    assert seconds(accelerator(*steps), train()).value == 800 / 16 / 10


def test_training_without_a_row_costs_passes_as_another_method_s_did():
    both = row("method", "gender_an", 3200, variant="G"), row("training", "gender_an", 20)
    alone = row("method", "san", 1000, variant="op")
    found = seconds(accelerator(*both, alone), train())
    assert (found.value, found.basis) == (pytest.approx(800 / 1000 * 10), GUESS)
    measured = seconds(accelerator(*both, alone), train(name="gender_an"))
    assert (measured.value, measured.basis) == (800 / 16 / 20, TABLE)


def test_what_no_row_is_of_gains_as_much_as_what_rows_are_of():
    other = Work("embed", "net", {"megapixels": 2.0}, {}, passes=10, network=("matcher", "net", ""))
    found = accelerator(row("method", "san", 2000, variant="op"))
    together = found.seconds({"a": protect(), "b": other})
    assert together["a"].value == 0.5  # of 2 s on a core
    assert (together["b"].value, together["b"].basis) == (2.0, GUESS)  # of 8 s


def test_what_never_runs_there_is_left_out():
    match = Work("match", "variant", {"pairs": 1e6}, {})
    assert accelerator(row("method", "san", 2000, variant="op")).seconds({"m": match}) == {}
