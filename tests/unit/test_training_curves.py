"""Loss curves on disk: what the table says, what is drawn, and when nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cells import Cell
from bench.config import load_config
from bench.datasets.synthetic import Synthetic
from bench.engines.outcome import Outcome
from bench.planning.plan import Plan
from bench.report.style import Look
from bench.report.training_curves import Training, curve_table, training_figure, write_training_curves
from bench.run import folder_of
from bench.run_report import training_curves
from bench.store import Artefact, Store

LOOKS = {"san": Look("#009ce4", "o")}
SAN = Training("san", "", {"critic": [-2.0, -1.0, -0.5, -0.25], "pixel": [0.4, 0.2]}, steps=600)


def test_the_table_has_a_row_for_every_mean_at_the_step_where_it_ends(tmp_path: Path) -> None:
    table, picture = write_training_curves(tmp_path, [SAN], LOOKS)
    assert table.read_text() == (
        "step,loss,value\n"
        "150,critic,-2.0\n300,critic,-1.0\n450,critic,-0.5\n600,critic,-0.25\n"
        "300,pixel,0.4\n600,pixel,0.2\n"
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in tmp_path.iterdir()} == {"san.csv", "san.png"}


def test_values_come_back_from_the_table_as_they_were(tmp_path: Path) -> None:
    values = [0.1 + 1e-17 + k / 7 for k in range(48)]
    table, _ = write_training_curves(tmp_path, [Training("san", "", {"loss": values}, 1000)], LOOKS)
    read = pd.read_csv(table)
    assert read["value"].tolist() == values
    assert read["step"].iloc[-1] == 1000
    assert read["step"].is_monotonic_increasing


def test_an_unknown_number_of_steps_is_empty_not_zero(tmp_path: Path) -> None:
    table, _ = write_training_curves(tmp_path, [Training("mine", "", {"loss": [2.0, 1.0]})], LOOKS)
    assert table.read_text() == "step,loss,value\n,loss,2.0\n,loss,1.0\n"


def test_parts_have_files_of_their_own_with_safe_names(tmp_path: Path) -> None:
    trainings = [Training("flowsan", part, {"loss": [1.0, 0.5]}, 10) for part in ("n=3/a", "n=3/b")]
    written = write_training_curves(tmp_path, trainings, LOOKS)
    assert len({p.name for p in written}) == 4
    assert {p.parent for p in written} == {tmp_path}
    assert all(p.is_file() for p in written)


def test_no_curves_no_files(tmp_path: Path) -> None:
    assert write_training_curves(tmp_path, [Training("constant", "", {})], LOOKS) == []
    assert list(tmp_path.iterdir()) == []


def test_files_are_left_alone_while_the_curves_are_the_same(tmp_path: Path) -> None:
    table, picture = write_training_curves(tmp_path, [SAN], LOOKS)
    picture.write_bytes(b"drawn")
    assert write_training_curves(tmp_path, [SAN], LOOKS) == [table, picture]
    assert picture.read_bytes() == b"drawn"
    longer = Training("san", "", {"critic": [1.0, 2.0]}, 600)
    write_training_curves(tmp_path, [longer], LOOKS)
    assert picture.read_bytes() != b"drawn"
    assert "2.0" in table.read_text()


def test_equal_curves_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_training_curves(tmp_path / k, [SAN], LOOKS) for k in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize("count", [1, 4, 6])
def test_one_panel_a_loss_with_its_values(count: int) -> None:
    curves = {f"loss {k}": [float(k), k + 1.0, k + 3.0] for k in range(count)}
    training = Training("san", "", curves, 30)
    figure = training_figure(training, curve_table(training), "#009ce4")
    panels = [a for a in figure.axes if a.axison]
    assert [a.get_title() or a.get_title(loc="left") for a in panels] == list(curves)
    for axes, values in zip(panels, curves.values(), strict=True):
        (line,) = axes.lines
        assert np.asarray(line.get_xdata()).tolist() == [10, 20, 30]
        assert np.asarray(line.get_ydata()).tolist() == values
        assert line.get_color() == "#009ce4"


# -- of a run ----------------------------------------------------------------------------------------


def plan_of(tmp_path: Path, cells: Sequence[Cell]) -> Plan:
    config = load_config(None, {"store": tmp_path / "store", "out": tmp_path / "out"})
    return Plan(config, Synthetic(), {cell.key: cell for cell in cells})


def test_a_run_writes_the_curves_of_its_trainings_and_says_which_have_none(tmp_path: Path) -> None:
    fit = Cell("fit", {"method": "san", "part": "", "settings": {"steps": 600}})
    later = Cell("fit", {"method": "privacynet", "part": "", "settings": {"steps": 9}})
    shipped = Cell("protect", {"method": "baseline_gan", "weights": "ab" * 32})
    plan = plan_of(tmp_path, [fit, later, shipped])
    Store(plan.config.store).save(fit.key, Artefact({}, {"figures": {"curves": SAN.curves}}), {})
    said: list[str] = []
    training_curves(plan, Outcome(done={fit.key: fit.key}), folder_of(plan.config), said.append)
    folder = tmp_path / "out" / "training"
    assert {p.name for p in folder.iterdir()} == {"san.csv", "san.png"}
    assert "600,critic,-0.25" in (folder / "san.csv").read_text()
    assert any("baseline_gan" in line and "no loss curves" in line for line in said)
    assert said[-1] == f"training curves: {folder}"


def test_a_run_without_trainings_leaves_no_folder(tmp_path: Path) -> None:
    fit = Cell("fit", {"method": "constant", "part": "", "settings": {}})
    plan = plan_of(tmp_path, [fit])
    Store(plan.config.store).save(fit.key, Artefact({}, {"figures": {"mean": 0.5}}), {})
    said: list[str] = []
    training_curves(plan, Outcome(done={fit.key: fit.key}), folder_of(plan.config), said.append)
    assert said == []
    assert not (tmp_path / "out").exists()
