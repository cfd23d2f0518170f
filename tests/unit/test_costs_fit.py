"""Rates fitted to what cells took, by a clock that is made up."""

import pytest

from bench.costs.fit import MEMORY, SECONDS, STORAGE, TOUCHED, Rates, fit_rates, fitted, fitted_peak
from bench.costs.samples import Sample
from bench.costs.table import Table, read_table, shipped_table, write_table
from bench.costs.work import ONE, Made, Work
from bench.errors import InputError


def test_a_law_of_two_terms_is_found_and_carried_beyond():
    sizes = (100, 200, 400, 800)
    terms = [{ONE: 1.0, "images": n, "pairs": n * n} for n in sizes]
    rates = fitted(terms, [2 + 0.01 * n + 1e-5 * n * n for n in sizes], SECONDS)
    large = {ONE: 1.0, "images": 8000, "pairs": 8000**2}
    assert rates.at(large) == pytest.approx(2 + 80 + 640, rel=1e-3)
    assert rates.error < 1e-6
    assert rates.beyond(large) == pytest.approx(100)
    assert rates.beyond(terms[1]) == 1


def test_no_coefficient_is_below_nothing():
    terms = [{ONE: 1.0, "images": n} for n in (100, 200, 400)]
    rates = fitted(terms, [3.0, 2.0, 1.0], SECONDS)
    assert all(c >= 0 for c in rates.coefficients.values())


def test_cells_of_one_size_are_taken_to_grow_with_the_fastest_term():
    terms = [{ONE: 1.0, "samples": 600, "samples^2": 600**2}] * 3
    rates = fitted(terms, [1.0, 1.1, 0.9], SECONDS)
    assert rates.at({ONE: 1.0, "samples": 1200, "samples^2": 1200**2}) == pytest.approx(4.0)
    assert rates.sizes == 1


def test_what_is_all_alike_does_not_bend_the_rest():
    """An output of equal images is embedded once, whatever its number."""
    terms = [{ONE: 1.0, "images": n} for n in (100, 200, 400, 100, 200, 400, 400)]
    rates = fitted(terms, [1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 0.01], SECONDS)
    assert rates.at({ONE: 1.0, "images": 1000}) == pytest.approx(10, rel=0.01)


def test_the_sum_of_what_was_fitted_is_met():
    terms = [{ONE: 1.0, "images": n} for n in (10, 20, 40, 80)]
    took = [1.0, 2.5, 3.5, 8.5]
    rates = fitted(terms, took, SECONDS)
    assert sum(rates.at(t) for t in terms) == pytest.approx(sum(took))


def test_peaks_are_met_from_above_and_grow_by_copies_at_most():
    terms = [{ONE: 1.0, TOUCHED: n * 1e6} for n in (1, 10, 20, 40) for _ in range(5)]
    kept = [0, 40e6, 0, 80e6, 20e6] * 4
    values = [500e6 + 2 * t[TOUCHED] + more for t, more in zip(terms, kept, strict=True)]
    rates = fitted_peak(terms, values)
    assert all(rates.at(t) > 0.95 * v for t, v in zip(terms, values, strict=True))
    assert rates.at({ONE: 1.0, TOUCHED: 1e9}) == pytest.approx(2.6e9, rel=0.2)
    steep = fitted_peak(terms, [500e6 + 90 * t[TOUCHED] for t in terms])
    assert steep.coefficients[TOUCHED] == 4


def sample(images: int, seconds: float, *, cold: bool = False, device: str = "cpu") -> Sample:
    work = Work("embed", "net", {ONE: 1.0, "images": images}, {ONE: 1.0, "images": images}, made=Made(images))
    return Sample(work, seconds, 1000 + 2048 * images, 10_000 * images, 600_000_000, device, {}, cold)


def test_time_on_a_gpu_and_time_spent_on_imports_are_left_out():
    warm = [sample(100, 1.0), sample(200, 2.0), sample(400, 4.0)]
    odd = [sample(100, 9.0, cold=True), sample(400, 0.1, device="cuda")]
    rates = fit_rates([*warm, *odd])["embed", "net", SECONDS]
    assert rates.at({ONE: 1.0, "images": 1000}) == pytest.approx(10.0)
    assert fit_rates([sample(100, 9.0, cold=True)])["embed", "net", SECONDS].at({"images": 100}) == 9.0


def test_storage_is_exact_where_cells_grow_with_their_images():
    rates = fit_rates([sample(100, 1.0), sample(200, 2.0)])["embed", "net", STORAGE]
    assert rates.at({ONE: 1.0, "images": 5000}) == pytest.approx(1000 + 2048 * 5000, rel=1e-6)


def test_a_table_comes_back_as_it_was_written(tmp_path):
    rates = fit_rates([sample(100, 1.0), sample(200, 2.5), sample(400, 4.5)])
    none = {("oracle", "", SECONDS): Rates({}, {"images": 10.0}, 1, 1, 0.0)}
    path = write_table(
        tmp_path / "rates.csv", Table({**rates, **none}, "a, machine", "torch 1", "2026-01-02")
    )
    again = read_table(path)
    assert (again.machine, again.versions, again.date) == ("a, machine", "torch 1", "2026-01-02")
    assert again.rates.keys() == {*rates, ("oracle", "", SECONDS)}
    for key, found in rates.items():
        assert dict(again.rates[key].coefficients) == pytest.approx(dict(found.coefficients), rel=1e-5)
        assert (again.rates[key].cells, again.rates[key].sizes) == (found.cells, found.sizes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("seconds", "secs"), "column quantity"),
        (lambda text: text.replace("stage,component", "stage,part"), "no table of rates"),
        (lambda text: text.replace("embed,net,seconds,images,", "embed,net,seconds,images,-"), "coefficient"),
        (lambda text: text + "embed,net\n", "not as many cells"),
        (lambda text: "", "no table of rates"),
    ],
)
def test_what_is_no_table_is_refused_by_name_and_place(tmp_path, change, told):
    path = write_table(tmp_path / "rates.csv", Table(fit_rates([sample(100, 1.0), sample(200, 2.0)])))
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=rf"rates\.csv.*{told}"):
        read_table(path)


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(InputError, match="--rates"):
        read_table(tmp_path / "none.csv")


def test_the_table_that_ships_tells_its_machine_and_knows_every_stage_of_a_run():
    table = shipped_table()
    assert table.machine
    assert table.date
    assert "torch" in table.versions
    stages = {"faces", "protect", "embed", "attacker_fit", "attack", "match", "quality", "score", "fit"}
    for quantity in (SECONDS, MEMORY, STORAGE):
        assert stages <= {stage for stage, _, q in table.rates if q == quantity}
