"""The folder of a report: what is in it, the same twice, and nothing in the data can hurt a reader."""

from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_rows import (
    make_beside,
    make_claims,
    make_curves,
    make_provenance,
    make_rows,
    make_samples,
    make_searches,
    with_rungs,
)

from bench.errors import InputError
from bench.report.curves import all_bands
from bench.report.page import everyone, render_page, write_report
from bench.report.sections import sections
from bench.report.style import looks
from bench.report.tables import leaderboard
from bench.results import UNDEFINED, Row, to_frame

COUNT = 6
VOID = {"meta", "link", "img", "input", "wbr", "br"}


class Page(HTMLParser):
    """Elements with their attributes and own text, checking that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.raw = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw += data
        else:
            self.texts.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in wanted.items())]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(rows: pd.DataFrame, curves: pd.DataFrame, samples: Any = None, provenance: Any = None) -> str:
    return render_page(
        leaderboard(rows),
        rows,
        all_bands(curves),
        samples,
        make_provenance() if provenance is None else provenance,
        looks(*everyone(rows, curves)),
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows(COUNT, attackers=3, attributes=3, matchers=2)


@pytest.fixture(scope="module")
def curves() -> pd.DataFrame:
    return make_curves(COUNT, matchers=2)


@pytest.fixture(scope="module")
def text(rows: pd.DataFrame, curves: pd.DataFrame) -> str:
    return page_of(rows, curves, make_samples(COUNT, size=16))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# -- the folder --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few() -> pd.DataFrame:
    return make_rows(3, attackers=2, attributes=1, matchers=1)


@pytest.fixture(scope="module")
def few_curves() -> pd.DataFrame:
    return make_curves(3, matchers=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_folder_is_complete_and_the_same_for_the_same_rows_in_any_order(
    few: pd.DataFrame, few_curves: pd.DataFrame, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"samples": make_samples(3, size=16), "provenance": make_provenance()}
    written = write_report(tmp_path / "a", rows=few, curves=few_curves, **given)
    mixed, mixed_curves = few.sample(frac=1, random_state=1), few_curves.sample(frac=1, random_state=2)
    write_report(tmp_path / "b", rows=mixed, curves=mixed_curves, **given)
    first = contents(tmp_path / "a")
    assert {"leaderboard.csv", "rows.parquet", "rows.csv", "curves.csv", "index.html"} <= set(first)
    assert sorted(str(p.relative_to(tmp_path / "a")) for p in written) == sorted(first)
    assert contents(tmp_path / "b") == first
    back = pd.read_parquet(tmp_path / "a" / "rows.parquet")
    assert len(back) == len(few)
    assert back["value"].sum() == pytest.approx(few["value"].sum())
    exact = pd.read_csv(tmp_path / "a" / "rows.csv")
    np.testing.assert_array_equal(exact["value"], back["value"])


def test_the_leaderboard_file_does_not_know_how_fast_the_machine_was(
    few: pd.DataFrame, few_curves: pd.DataFrame, tmp_path: Path
) -> None:
    slower = few.assign(value=few["value"].where(few["metric"] != "images_per_second", few["value"] / 7))
    for name, table in (("a", few), ("b", slower)):
        write_report(tmp_path / name, rows=table, curves=few_curves.head(0), samples=None, provenance={})
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert a["leaderboard.csv"] == b["leaderboard.csv"]
    assert a["rows.csv"] != b["rows.csv"]
    assert b"images_per_second" not in a["leaderboard.csv"].splitlines()[0]


def test_figures_of_an_earlier_report_do_not_stay(
    rows: pd.DataFrame, curves: pd.DataFrame, tmp_path: Path
) -> None:
    mine = tmp_path / "plots" / "my_own.png"
    mine.parent.mkdir()
    for name in ("plane_gone.png", "roc_gone.svg"):
        (tmp_path / "plots" / name).write_bytes(b"old")
    mine.write_bytes(b"mine")
    write_report(tmp_path, rows=to_frame([]), curves=curves.head(0), samples=None, provenance={})
    assert [p.name for p in (tmp_path / "plots").iterdir()] == ["my_own.png"]


def test_a_run_of_which_nothing_is_left_still_gets_a_page(curves: pd.DataFrame, tmp_path: Path) -> None:
    lost = Row("gan", "", "method", "faces", "", None, status="failed", reason="no memory")
    write_report(tmp_path, rows=to_frame([lost]), curves=curves.head(0), samples=None, provenance={})
    text = Page((tmp_path / "index.html").read_text("utf-8")).text
    assert "Nothing was compared" in text
    assert "no memory" in text


def test_searches_and_claims_stand_beside_the_page_and_go_with_it(
    few: pd.DataFrame, few_curves: pd.DataFrame, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"rows": few, "curves": few_curves, "samples": None, "provenance": {}}
    searches = make_searches(3, matchers=1)
    write_report(tmp_path, **given, searches=searches, claims=make_claims(), beside=make_beside())
    assert len(pd.read_csv(tmp_path / "cmc.csv")) == len(searches)
    assert list(pd.read_csv(tmp_path / "claims.csv")["answer"]) == ["held", "not held", "cannot tell"]
    assert (tmp_path / "plots" / "cmc_original-protected.svg").is_file()
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert {"claims", "beside", "curves"} <= {a.get("id") for a in page.all("section")}
    assert "1 held, 1 not held, 1 cannot be told" in page.text[: page.text.index("Privacy against utility")]
    write_report(tmp_path, **given)
    assert not (tmp_path / "cmc.csv").exists()
    assert not (tmp_path / "plots" / "cmc_original-protected.svg").exists()
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert not {"claims", "beside"} & {a.get("id") for a in page.all("section")}


def test_faces_of_people_go_into_the_page_alone_and_it_says_so(
    few: pd.DataFrame, few_curves: pd.DataFrame, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"rows": few, "curves": few_curves, "provenance": {}, "private": True}
    write_report(tmp_path, **given, samples=make_samples(3, size=16))
    assert not (tmp_path / "plots" / "samples.png").exists()
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert page.all("img")
    assert "photographs of real people. It is not to be published" in page.text
    assert page.all("meta", name="robots")[0]["content"] == "noindex,noarchive"
    write_report(tmp_path, **given, samples=None)
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert page.all("img") == []
    assert "real people" not in page.text


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"san:op": np.zeros((2, 8, 8, 3), np.float32)}, "must be uint8"),
        ({"a": np.zeros((2, 8, 8, 3), np.uint8), "b": np.zeros((1, 8, 8, 3), np.uint8)}, "differ in number"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    rows: pd.DataFrame, curves: pd.DataFrame, tmp_path: Path, samples: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_report(tmp_path, rows=rows, curves=curves, samples=samples, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_rows_without_the_columns_of_the_schema_are_refused(curves: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks method"):
        write_report(tmp_path, rows=pd.DataFrame(), curves=curves, samples=None, provenance={})


# -- safety ------------------------------------------------------------------------------------------


def test_the_page_asks_nothing_of_the_network(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            link = attributes.get(name)
            assert link is None or link.startswith(("#", "data:")), (tag, link)
        assert tag not in ("iframe", "object", "embed", "base")
    assert "@import" not in page.raw
    assert "url(" not in page.raw
    assert "fetch(" not in page.raw


def test_only_this_very_script_and_style_may_run(page: Page, text: str) -> None:
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for _, attributes in page.elements:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


EVIL = "<script>alert('1')</script>\"'&ü漢"


def evil_page() -> str:
    rows = make_rows(5, attackers=2, attributes=2, matchers=1)
    for column in ("dataset", "variant", "component", "attribute"):
        known = rows[column].fillna("").isin(["made-up faces", "op", "knn@se_resnet", "race"])
        rows[column] = rows[column].mask(known, EVIL)
    rows["method"] = rows["method"].replace("san", EVIL)
    rows["flags"] = rows["flags"].mask(rows["flags"] == "weak_attacker", EVIL.replace(" ", ""))
    lost = Row(
        "x",
        EVIL,
        "method",
        EVIL,
        "leak",
        None,
        attribute="gender",
        role="obfuscated",
        threat="static",
        component_kind="attacker",
        component=EVIL,
        status=UNDEFINED,
        reason=EVIL,
    )
    read = replace(lost, metric="auc", value=0.5, status="ok", reported=0.4)
    rows = pd.concat([rows, to_frame([lost, read, replace(lost, status="failed")])], ignore_index=True)
    curves = make_curves(3, matchers=1)
    for column, old in (("method", "san"), ("matcher", "se_resnet")):
        curves[column] = curves[column].replace(old, EVIL)
    notice = {"kind": EVIL, "name": EVIL, "reason": EVIL, "remedy": EVIL}
    provenance = {"dataset": EVIL, "command": EVIL, "versions": {EVIL: [EVIL, None]}, "flags": {EVIL: EVIL}}
    samples = {f"{EVIL}:op": make_samples(3, size=8)["original"]}
    return page_of(rows, curves, samples, provenance | {"unavailable": [notice], EVIL: {EVIL: EVIL}})


def test_names_from_data_are_text_wherever_they_appear() -> None:
    text = evil_page()
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "alert" not in page.raw
    assert "<script>alert" not in text
    plain = page.text.replace(" ", "")
    assert plain.count(EVIL.replace(" ", "")) > 40
    assert any(EVIL in a.get("aria-label", "") for _, a in page.elements)
    assert EVIL in [a.get("title") for a in page.all("abbr")]
    assert EVIL in [a.get("title") for a in page.all("span")]
    assert EVIL in [o["value"] for o in page.all("option")]


# -- structure ---------------------------------------------------------------------------------------


def test_ids_are_unique_and_every_link_inside_the_page_leads_somewhere(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert max(ids.values()) == 1
    for _, attributes in page.elements:
        link = attributes.get("href", "")
        if link.startswith("#"):
            assert link[1:] in ids, link
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_every_line_is_a_row_and_every_complete_one_a_point_that_links_to_it(
    page: Page, rows: pd.DataFrame
) -> None:
    board = leaderboard(rows)
    lines = [a for a in page.all("tr") if a.get("id", "").startswith("l")]
    assert {a["id"] for a in lines} == {f"l{i}" for i in board.index}
    complete = {f"#l{i}" for i in board.index[board[["leak", "tmr"]].notna().all(axis=1)]}
    points = Counter(a["href"] for a in page.all("a") if "pt" in a.get("class", "").split())
    assert set(points) == complete
    assert set(points.values()) == {2}, "one on the wide plane and one on the narrow"
    fronts = {a["id"] for a in lines if "front" in a["class"].split()}
    assert fronts == {f"l{i}" for i in board.index[board["pareto"]]}


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("main")
    assert page.all("a", **{"class": "skip"})[0]["href"] == "#leaderboard"
    for image in page.all("img"):
        assert image["alt"]
        assert image["width"]
        assert image["height"]
    for heading in page.all("th"):
        assert heading.get("scope") in ("col", "row", "rowgroup")
    for chart in page.all("svg"):
        assert "aria-label" in chart or chart.get("aria-hidden") == "true"
    for link in page.all("a"):
        assert "tabindex" not in link
    for area in (a for _, a in page.elements if "scroll" in a.get("class", "").split()):
        assert area["tabindex"] == "0"
        assert area["aria-label"]


def test_the_verdict_names_front_flags_failures_and_remedies(page: Page, rows: pd.DataFrame) -> None:
    board = leaderboard(rows)
    front = board[board["pareto"] & (board["role"] == "method")]
    verdict = page.text[page.text.index("Verdict") : page.text.index("Privacy against utility")]
    for row in front.itertuples():
        assert f"{row.leak:.3f}" in verdict
    for said in (
        "learned on original faces only",
        "training diverged at step 1200",
        "python -m bench weights fetch mobilefacenet_y1",
        "Ends of the scale",
    ):
        assert said in verdict


def test_each_method_shows_its_attackers_matchers_kept_attributes_quality_and_faces(page: Page) -> None:
    for name in ("Quality and cost", "Attackers", "Matchers", "Attributes that should survive"):
        assert [t for t in page.all("table") if t.get("data-name") == f"privacynet {name}"], name
    alts = {i["alt"] for i in page.all("img")}
    assert {"sample faces, san:op", "sample faces, original"} <= alts
    assert "paper: 0.239" in page.text


def test_rungs_of_the_ladder_can_be_chosen_where_there_are_several(
    rows: pd.DataFrame, curves: pd.DataFrame, page: Page
) -> None:
    assert not [a for a in page.all("select") if "data-threat" in a]
    several = with_rungs(rows)
    page = Page(page_of(several, curves))
    assert [a for a in page.all("select") if "data-threat" in a]
    assert {"", "static", "folded", "aware"} <= {o["value"] for o in page.all("option")}
    board = leaderboard(several)
    told = {a["id"]: a["data-leaks"] for a in page.all("tr") if "data-leaks" in a}
    assert set(told) == {f"l{i}" for i in board.index[board["leak"].notna()]}
    for i, line in board[board["leak"].notna()].iterrows():
        found = {part.split()[0]: float(part.split()[1]) for part in told[f"l{i}"].split(";")}
        assert found == pytest.approx({r: line[f"leak_{r}"] for r in ("static", "folded", "aware")}, rel=1e-3)


def test_what_has_one_remedy_is_said_once(rows: pd.DataFrame, curves: pd.DataFrame) -> None:
    lost = [{"kind": "quality", "name": n, "reason": "no weights", "remedy": "get them"} for n in ("a", "b")]
    page = Page(page_of(rows, curves, provenance={"unavailable": lost}))
    assert "quality a, b no weights get them" in page.text


def test_without_samples_there_is_no_face(rows: pd.DataFrame, curves: pd.DataFrame) -> None:
    assert Page(page_of(rows, curves)).all("img") == []


def test_one_colour_a_method_everywhere(page: Page, rows: pd.DataFrame, curves: pd.DataFrame) -> None:
    table = looks(*everyone(rows, curves))
    colours = dict(re.findall(r"\.t(\d+)\{--c:(#[0-9a-f]{6})\}", page.raw))
    assert sorted(colours.values()) == sorted(look.colour for look in table.values())
    (legend,) = [a["class"] for a in page.all("section") if a.get("id") == "m-san"]
    assert colours[legend.split()[-1].removeprefix("t")] == table["san"].colour


def test_figures_without_a_value_say_why(curves: pd.DataFrame, rows: pd.DataFrame) -> None:
    reason = "no attacker reads race off the originals"
    mute = rows.copy()
    hidden = (mute["attribute"] == "race") & mute["metric"].isin(["leak", "auc", "eer"])
    mute.loc[hidden, ["status", "reason"]] = [UNDEFINED, reason]
    mute.loc[hidden, "value"] = np.nan
    page = Page(page_of(mute, curves))
    assert "No line has both a leak and a TMR" in page.text
    assert any(a.get("title") == reason for a in page.all("abbr"))
    assert reason in page.text


@pytest.mark.slow
def test_sixty_variants_and_ten_attackers_stay_below_five_megabytes() -> None:
    rows = make_rows(60, attackers=10)
    text = page_of(rows, make_curves(60), make_samples(60, people=6, size=128))
    assert len(text.encode()) < 5_000_000


def test_numbers_have_a_table_of_their_own_and_no_place_among_the_attackers() -> None:
    rows = make_rows(COUNT)
    base = Row("san", "op", "method", "made-up faces", "mae", 12.345, attribute="age", role="obfuscated")
    base = replace(base, threat="static", component_kind="attacker", unit="years")
    ages = [
        replace(base, component="kernel_ridge@se_resnet"),
        replace(base, component="pool", value=11.25, ci_low=10.5, ci_high=12.5),
        replace(base, component="pool", value=9.75, threat="aware"),
        replace(base, component="pool", metric="mae_shift", value=4.5),
    ]
    page = page_of(pd.concat([rows, to_frame(ages)], ignore_index=True), make_curves())
    text = Page(page).text
    assert "Numbers" in text
    assert "MAE (years)" in text
    assert "MAE, aware (years)" in text
    assert "12.35" in text or "12.34" in text
    assert "11.25" in text
    attackers = next(g for s in sections(pd.concat([rows, to_frame(ages)]), None, ()) if s.method == "san"
                     for g in s.grids if g.title == "Attackers")  # fmt: skip
    assert not any("age" in name.split(" · ") for name, _ in attackers.groups)
