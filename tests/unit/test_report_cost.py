"""Tables of `bench throughput` beside a run: read with care, told apart by machine, never mixed up."""

from __future__ import annotations

import csv
import re
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from report_rows import make_curves, make_provenance, make_rows
from test_report_page import EVIL, Page
from throughput_tables import CEILINGS, CPU, GPU, gpu_rows, measured, san, write_table

from bench.cli import _read_config
from bench.config import RunConfig
from bench.errors import InputError
from bench.inference.environment import environment
from bench.provenance import setting
from bench.report.cost import FIGURES, Costs, Setting, components
from bench.report.cost_tables import read_machines, refuse_measured
from bench.report.curves import all_bands
from bench.report.page import everyone, render_page, write_report
from bench.report.style import looks
from bench.report.tables import leaderboard
from bench.report.throughput_view import machine_views, method_grid
from bench.run import measured_machines
from bench.throughput.table import FAILED, LEFT_OUT, Row

OUTPUTS = [("san", "op"), ("blur", ""), ("big", ""), ("template_noise", ""), ("slow_one", "")]
QUICK = Setting("quick", 64)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "gpu", gpu_rows())


def costs_of(*paths: Path, setting: Setting = QUICK) -> Costs:
    return Costs(read_machines(paths), setting)


# -- reading -----------------------------------------------------------------------------------------


def test_what_the_command_writes_is_read_back_as_it_was(table: Path) -> None:
    (machine,) = read_machines([table])
    assert [m.row for m in machine.measured] == gpu_rows()
    assert machine.label == "A made-up GPU"
    assert dict(machine.facts) == {k: str(v) for k, v in GPU.items()}
    assert [dict(c) for c in machine.ceilings] == [{"fp32": 1.0, "bf16": 8.0, "copy": 50.0}]


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("per_second", "fast", "line 3, column per_second: 'fast' is no number"),
        ("per_second", "", "line 3, column per_second: None is no number above 0"),
        ("per_second", "-1", "line 3, column per_second: -1.0 is no number above 0"),
        ("batch", "1.5", "line 3, column batch: '1.5' is no whole number"),
        ("replayed", "yes", "line 3, column replayed: 'yes' is no True or False"),
        ("status", "fine", "line 3, column status: 'fine' is none of ok, failed"),
        ("name", "", "line 3, column name: it is empty"),
        ("deviation", "nan", "line 3, column deviation: nan is no figure"),
        ("gemm_bf16_tflops", "0", "line 3, column gemm_bf16_tflops: '0' is no number above 0"),
    ],
)
def test_a_bad_cell_is_named_by_file_line_and_column(table: Path, column: str, text: str, said: str) -> None:
    with table.open() as file:
        rows = list(csv.DictReader(file))
    rows[1][column] = text
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=re.escape(str(table)) + ".*" + re.escape(said)):
        read_machines([table])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the columns kind"),
        ("a,b\n1,2\n", "lacks the columns kind, name, path"),
        (
            "kind,name,path,precision,batch,device,status,per_second\n",
            "lacks the columns accelerator or processor",
        ),
        ("kind,name,path,precision,batch,device,status,per_second,processor\n", "no rows"),
        (
            "kind,name,path,precision,batch,device,status,per_second,processor\nmethod,a\n",
            "line 2: not as many",
        ),
        ("machine,kind,name,path,precision,batch,device,status,per_second,processor\n", "joined table"),
        ("kind,kind,name,path,precision,batch,device,status,per_second,processor\n", "columns kind twice"),
        ('kind,name,path,precision,batch,device,status,per_second,processor\n"a', "unexpected end of data"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_machines([path])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read --throughput .*nowhere\.csv"):
        read_machines([tmp_path / "nowhere.csv"])


def test_a_table_from_before_a_column_came_is_read(table: Path) -> None:
    frame = pd.read_csv(table, dtype=str, keep_default_na=False).drop(columns=["share_floor", "weights"])
    frame.to_csv(table, index=False)
    (machine,) = read_machines([table])
    assert {m.row.weights for m in machine.measured} == {""}


def test_folders_of_the_machine_do_not_come_along(tmp_path: Path) -> None:
    lost = san("flat", 1.0, status=FAILED, reason="OSError: /home/somebody/weights/net.onnx is damaged")
    (machine,) = read_machines([write_table(tmp_path, [lost])])
    assert machine.measured[0].row.reason == "OSError: net.onnx is damaged"


# -- machines ----------------------------------------------------------------------------------------


def test_tables_of_one_machine_are_joined_and_what_one_left_out_another_gives(
    tmp_path: Path, table: Path
) -> None:
    late = san("compiled", 300.0, speedup=15.0)
    more = write_table(tmp_path / "more", [late], ceilings={**CEILINGS, "gemm_bf16_tflops": "9"})
    (machine,) = read_machines([table, more])
    rows = [m.row for m in machine.measured]
    assert late in rows
    assert not [r for r in rows if r.status == LEFT_OUT]
    assert [dict(c)["bf16"] for c in machine.ceilings] == [8.0, 9.0]
    (best,) = [c for c in components(machine) if c.row.name == "san"]
    assert best.row == late


def test_one_measurement_twice_is_refused(tmp_path: Path, table: Path) -> None:
    again = write_table(tmp_path / "again", [san("eager", 50.0)])
    with pytest.raises(
        InputError, match=r"method san, eager fp32 x16, was measured twice on A made-up GPU.*line 3"
    ):
        read_machines([table, again])


def test_machines_never_share_a_column(tmp_path: Path, table: Path) -> None:
    on_cpu = write_table(tmp_path / "cpu", [san("eager", 5.0, device="cpu")], CPU)
    newer = write_table(tmp_path / "newer", [san("eager", 60.0)], {**GPU, "torch": "2.1"})
    board = pd.DataFrame({"method": ["san"], "variant": ["op"]})
    found = costs_of(table, on_cpu, newer).with_columns(board)
    speeds = {c.partition("@")[2]: found[c][0] for c in found if c.startswith("images_per_second@")}
    assert speeds == {
        "A made-up GPU (torch 2.0)": 100.0,
        "A made-up CPU": 5.0,
        "A made-up GPU (torch 2.1)": 60.0,
    }
    assert len(found.columns) == 2 + 3 * len(FIGURES)


# -- the leaderboard ---------------------------------------------------------------------------------


def test_the_fastest_valid_path_is_the_figure(table: Path) -> None:
    placed = costs_of(table).placed(OUTPUTS)["A made-up GPU"]
    assert set(placed) == {"san:op", "blur"}
    assert placed["san:op"].row.path == "flat", "the faster `aligned` deviates"
    assert placed["san:op"].peer is not None
    assert placed["san:op"].peer.row.per_second == 20.0


@pytest.mark.parametrize(
    ("setting", "outputs", "said"),
    [
        (Setting("paper", 64), OUTPUTS, "measured at preset quick and 64 px, here preset paper and 64 px"),
        (Setting("quick", 128), OUTPUTS, "measured at preset quick and 64 px, here preset quick and 128 px"),
        (Setting("quick", 64, {"san": 32}), OUTPUTS, "measured at preset quick and 64 px, here .* 32 px"),
        (Setting("quick", 224, {"san": 64}), OUTPUTS, "works here at 64 px of 224, and resizes"),
        (Setting("quick", 64, {}, {"san": ["width"]}), OUTPUTS, "this run sets width otherwise"),
        (QUICK, [("san", "nt")], "no such output"),
        (QUICK, [], "no such output"),
    ],
)
def test_figures_of_another_network_stay_beside_and_say_why(
    table: Path, setting: Setting, outputs: list[tuple[str, str]], said: str
) -> None:
    costs = costs_of(table, setting=setting)
    assert re.search(said, costs.beside(san("flat", 1.0), outputs))
    assert "san:op" not in costs.placed(outputs).get("A made-up GPU", {})


def test_templates_and_shortened_work_are_no_figures_of_a_run(table: Path) -> None:
    costs = costs_of(table)
    by_name = {c.row.name: c.row for c in components(costs.machines[0])}
    assert "length differs" in costs.beside(by_name["template_noise"], OUTPUTS)
    assert costs.beside(by_name["slow_one"], OUTPUTS) == "measured with iterations=20 of 200"


# -- the page ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    found = make_rows(3, attackers=1, attributes=1, matchers=1)
    return found[found["method"].isin(["san", "blur", "original"])]


@pytest.fixture(scope="module")
def text(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(rows, costs_of(write_table(tmp_path_factory.mktemp("gpu"), gpu_rows())))


def page_of(rows: pd.DataFrame, costs: Costs | None) -> str:
    curves = make_curves(3, matchers=1).head(0)
    table = looks(*everyone(rows, curves))
    return render_page(leaderboard(rows), rows, all_bands(curves), None, make_provenance(), table, costs)


def section(text: str) -> str:
    (found,) = re.findall(r'<section id="throughput".*?(?=<section id="methods")', text, re.DOTALL)
    return found


def test_the_page_without_tables_says_nothing_of_throughput(rows: pd.DataFrame) -> None:
    text = page_of(rows, None)
    assert 'id="throughput"' not in text
    assert "throughput.csv" not in text


def test_a_machine_has_its_facts_ceilings_tables_and_what_is_missing(text: str) -> None:
    page = Page(section(text))
    for said in (
        *(
            "A made-up GPU",
            "tf32 convolutions on",
            "matrix product fp32 1 TFLOP/s, bf16 8 TFLOP/s; copy 50 GB/s",
        ),
        *("In the leaderboard, since preset, size and options agree: san:op, blur.", "Training", "Metrics"),
        *("images · preset quick · 64 px · untrained weights", "steps · preset quick", "on the processor"),
        *("measured at preset paper and 224 px, here preset quick and 64 px", "iterations=20 of 200"),
        *(
            "unavailable: it runs on the processor",
            "failed: does not compute the same",
            "left out: the time was",
        ),
    ):
        assert said in page.text, said
    names = {t["data-name"] for t in page.all("table")}
    assert names == {f"A made-up GPU {kind}" for kind in ("Methods", "Matchers", "Metrics", "Training")}
    for area in (a for _, a in page.elements if "scroll" in a.get("class", "").split()):
        assert area["tabindex"] == "0"
        assert area["aria-label"]


def test_marks_of_the_roofline_lead_to_rows_and_wear_the_colour_of_their_method(text: str) -> None:
    page = Page(text)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    marks = [a for a in page.all("a") if a.get("href", "").startswith("#c0-")]
    assert {m["href"][1:] for m in marks} <= set(ids)
    (known, *_) = [m for m in marks if m["aria-label"].startswith("san:op")]
    assert known["aria-label"].startswith(
        "san:op, flat bf16 x16: 0.2 TFLOP/s at 20 FLOP a byte, 0.25 of the fp32"
    )
    assert known["aria-label"].endswith("papers' style 0.04 TFLOP/s")
    (own,) = [a["class"].split()[-1] for a in page.all("section") if a.get("id") == "m-san"]
    assert own in known["class"].split()
    (other, *_) = [m for m in marks if m["aria-label"].startswith("arcface")]
    assert "plain" in other["class"].split()


def test_a_mark_lies_where_its_figures_are(table: Path) -> None:
    (view,) = machine_views(costs_of(table), OUTPUTS, {})
    chart = view.charts[0].wide
    (fast,) = [m for m in chart.marks if m.says.startswith("san:op")]
    (slow,) = [m for m in chart.marks if m.says.startswith("big")]
    # A decade is as long everywhere, and what is five times as fast lies log10(5) of it higher.
    first, second, *_ = chart.frame.y_ticks
    decades = 1 if float(second.text) / float(first.text) < 11 else 2
    decade = (first.at - second.at) / decades
    assert fast.peer_y - fast.y == pytest.approx(decade * 0.69897, abs=0.2)
    assert slow.y - fast.y == pytest.approx(decade * 0.52288, abs=0.2)
    for mark in chart.marks:
        assert chart.frame.left <= mark.x <= chart.frame.right
        assert chart.frame.top <= mark.y <= chart.frame.bottom


def test_rows_stand_under_the_ceilings_of_their_own_run_alone(tmp_path: Path, table: Path) -> None:
    other = dict.fromkeys(CEILINGS, "77")
    more = write_table(tmp_path / "more", [measured("arcface", "flat", 9.0, kind="matcher")], ceilings=other)
    (view,) = machine_views(costs_of(table, more), OUTPUTS, {})
    texts = {c.title: [roof.text for roof in c.wide.roofs] for c in view.charts}
    assert texts["Methods"] == ["fp32: 1"]
    assert texts["Matchers"] == ["fp32: 77", "fp32: 1"]
    assert len(view.ceilings) == 2


def test_the_leaderboard_shows_the_costs_with_their_machine(text: str) -> None:
    page = Page(text)
    heads = page.text[
        page.text.index("Rank Method") : page.text.index("Flags", page.text.index("Rank Method"))
    ]
    assert "images/s, A made-up GPU" in heads
    assert "100 flat bf16 x16" in page.text
    assert "images_per_second@A made-up GPU" in page.text, "in the definitions"


def test_a_method_shows_every_path_of_its_own(table: Path) -> None:
    grid = method_grid(costs_of(table), "san", OUTPUTS)
    assert grid is not None
    ((heading, members),) = [g for g in grid.groups if "untrained" in g[0]]
    assert heading == "A made-up GPU · san:op · images · preset quick · 64 px · untrained weights"
    heads = [r.head for r in members]
    assert heads == [
        "flat, bf16, batch 16",
        "eager, fp32, batch 16",
        "peer, fp32, batch 1",
        "aligned, fp32, batch 16",
    ]
    assert [r.total for r in members] == [True, False, False, False]
    assert "does not compute the same" in members[-1].cells[0]
    assert method_grid(costs_of(table), "unheard_of", OUTPUTS) is None


def test_nothing_placed_is_said(rows: pd.DataFrame, table: Path) -> None:
    text = Page(page_of(rows, costs_of(table, setting=Setting("paper", 224)))).text
    assert "None of these figures is in the leaderboard" in text
    assert "images/s, A made-up GPU" not in text


def test_names_in_a_table_are_text(rows: pd.DataFrame, tmp_path: Path) -> None:
    texts = dict.fromkeys(
        ("name", "variant", "path", "precision", "preset", "item", "weights", "reason"), EVIL
    )
    evil = replace(measured("x", "eager", 3.0), **texts, deviation=1.0, deviation_unit=EVIL, unit=EVIL)
    lost = replace(evil, status=FAILED, settings=EVIL)
    own = replace(san("flat", 9.0), settings=EVIL, weights=EVIL)
    facts = {"processor": EVIL, EVIL: EVIL}
    path = write_table(tmp_path, [evil, lost, own, replace(evil, kind=EVIL)], facts)
    text = page_of(rows, costs_of(path))
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "<script>alert" not in text
    assert page.text.replace(" ", "").count(EVIL.replace(" ", "")) > 20


# -- files -------------------------------------------------------------------------------------------


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take seconds and know nothing of throughput."""
    monkeypatch.setattr("bench.report.plots.figures", lambda *_: iter(()))


def report(folder: Path, rows: pd.DataFrame, costs: Costs | None) -> None:
    curves = make_curves(3, matchers=1).head(0)
    write_report(folder, rows=rows, curves=curves, samples=None, provenance={}, costs=costs)


@pytest.mark.usefixtures("no_figures")
def test_the_folder_has_the_joined_table_and_the_leaderboard_its_columns(
    rows: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    report(tmp_path / "out", rows, costs_of(table))
    joined = pd.read_csv(tmp_path / "out" / "throughput.csv")
    assert list(joined.columns[:4]) == ["machine", "table", "beside", "kind"]
    assert len(joined) == len(gpu_rows())
    assert {*(f.name for f in fields(Row)), *GPU, *CEILINGS} <= set(joined.columns)
    board = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    mine = board[(board["method"] == "san") & (board["variant"] == "op")]
    assert set(mine["images_per_second@A made-up GPU"]) == {100.0}
    assert set(mine["path@A made-up GPU"]) == {"flat bf16 x16"}
    assert board.loc[board["variant"] == "nt", "speedup@A made-up GPU"].isna().all()
    report(tmp_path / "out", rows, None)
    assert not (tmp_path / "out" / "throughput.csv").exists()


def test_a_measured_table_is_never_replaced(rows: pd.DataFrame, table: Path) -> None:
    before = table.read_bytes()
    with pytest.raises(InputError, match="write the report elsewhere"):
        report(table.parent, rows, costs_of(table))
    with pytest.raises(InputError, match="--out"):
        refuse_measured(table.parent)
    assert table.read_bytes() == before


# -- the run -----------------------------------------------------------------------------------------


def test_a_run_reads_its_tables_before_it_does_anything(table: Path, tmp_path: Path) -> None:
    config = RunConfig(throughput=(table,), out=tmp_path / "out")
    said: list[str] = []
    (machine,) = measured_machines(config, [config], said.append)
    assert (machine.label, said) == ("A made-up GPU", [])
    here = config.model_copy(update={"out": table.parent})
    with pytest.raises(InputError, match="--out"):
        measured_machines(here, [here], said.append)


def test_a_table_that_nobody_named_is_pointed_out_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    assert measured_machines(RunConfig(), [RunConfig()], said.append) == ()
    assert said == []
    path = write_table(tmp_path / "runs" / "throughput", gpu_rows())
    assert measured_machines(RunConfig(), [RunConfig()], said.append) == ()
    assert said == [f"note: {path.relative_to(tmp_path)} is not in the report; "
                    f"--throughput {path.relative_to(tmp_path)} puts it there"]  # fmt: skip


def test_a_run_knows_at_what_size_and_with_which_options_its_methods_work() -> None:
    config = RunConfig(options={"mmda": {"size": 32, "dimensions": 50}, "san": {}})
    subjects = [SimpleNamespace(method=name) for name in ("blur", "mmda", "san")]
    plan: Any = SimpleNamespace(config=config, subjects=subjects, dataset=SimpleNamespace(size=64))
    assert setting(plan) == Setting("quick", 64, {"mmda": 32, "san": 64}, {"mmda": ["dimensions"]})


def test_names_of_tables_may_hold_commas() -> None:
    paths = [Path("one,two.csv"), Path("three.csv")]
    assert _read_config({"throughput": paths}).throughput == tuple(paths)


# -- the published tables ----------------------------------------------------------------------------

RESULTS = Path(__file__).parents[2] / "results" / "throughput"


def dictionary() -> dict[str, str]:
    """Column -> unit, as the README lists them."""
    lines = (RESULTS / "README.md").read_text("utf-8").splitlines()
    found = [re.fullmatch(r"\| `(\w+)` \|([^|]*)\| [^|]+ \|", line) for line in lines]
    return {m[1]: m[2].strip() for m in found if m}


def test_every_column_is_in_the_dictionary_of_the_published_tables() -> None:
    known: list[Any] = [*(f.name for f in fields(Row)), *environment("cpu")]
    known += [f"gemm_{unit}_tflops" for unit in ("fp32", "tf32", "bf16")] + ["copy_gb_per_second"]
    assert list(dictionary()) == known


def test_every_published_table_can_be_reported() -> None:
    published = sorted(RESULTS.glob("*.csv"))
    assert published
    units = dictionary()
    for path in published:
        with path.open() as file:
            assert set(next(csv.reader(file))) <= set(units)
        (machine,) = read_machines([path])
        assert components(machine)
