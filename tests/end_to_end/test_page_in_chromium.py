"""The page of a report in a real browser: sorted, filtered, followed, downloaded, narrow, dark, printed."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chromium import chromium, complaints, requested, widen
from PIL import Image
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

from bench.ladder import ADAPTIVE
from bench.report.curves import all_bands, all_search_bands
from bench.report.evidence import Evidence
from bench.report.page import everyone, render_page, write_report
from bench.report.style import CONTROL_COLOUR, looks
from bench.report.tables import leaderboard

pytestmark = pytest.mark.slow

EVIL = {
    "made-up faces": "<script>window.evil=1</script>",
    "san": "<img src=x onerror=window.evil=2>",
    "blur": '"quoted"',
    "op": "o'brien",
    "nt": "naïve|pipe",
    "knn@se_resnet": "javascript:window.evil=3",
    "arcface": "مطابق الوجوه",
    "race": "人種",
}
"""Names in the made-up tables and what takes their place."""


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    renamed = table.copy()
    for column in renamed.columns.intersection(
        ["dataset", "method", "variant", "component", "attribute", "matcher"]
    ):
        renamed[column] = renamed[column].replace(EVIL)
    return renamed


class Report:
    """A written report and the browser that has it open."""

    def __init__(self, browser: Any, folder: Path, downloads: Path) -> None:
        self.browser, self.folder, self.downloads = browser, folder, downloads
        self.board = pd.read_csv(folder / "leaderboard.csv")

    def __call__(self, script: str, *given: Any) -> Any:
        return self.browser.execute_script(script, *given)

    def open(self, width: int = 1280) -> None:
        widen(self.browser, width)
        self.browser.get("about:blank")
        complaints(self.browser), requested(self.browser)
        address = (self.folder / "index.html").as_uri()
        self.browser.get(address)
        # On a busy machine the driver may answer while the blank page is still the one that is spoken to.
        there = f"return location.href == {address!r} && document.readyState == 'complete'"
        until = time.monotonic() + 30
        while not self(there):
            assert time.monotonic() < until, "the page did not open"
            time.sleep(0.05)

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        self("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.find(selector).click()

    def choose(self, selector: str, value: str) -> None:
        self(
            "const [s, v] = arguments; const item = document.querySelector(s); item.value = v;"
            "item.dispatchEvent(new Event('input', {bubbles: true}))",
            selector,
            value,
        )

    def column(self, title: str) -> list[str]:
        """The text of a column of the leaderboard in the rows that are shown."""
        return self(
            "const table = document.querySelector('.board');"
            "const heads = [...table.tHead.rows[0].cells].map((c) => c.textContent.trim());"
            "const at = heads.indexOf(arguments[0]);"
            "return [...table.tBodies[0].rows].filter((r) => !r.hidden)"
            ".map((r) => r.cells[at].textContent)",
            title,
        )

    def figures(self, title: str) -> list[float]:
        texts = [text.strip().split()[0] for text in self.column(title)]
        return [float(text) for text in texts if text != "·"]

    def downloaded(self, name: str) -> pd.DataFrame:
        path = self.downloads / name
        until = time.monotonic() + 30
        while not path.is_file() or path.stat().st_size == 0:
            assert time.monotonic() < until, f"{name} was not downloaded"
            time.sleep(0.05)
        return pd.read_csv(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a bit of everything in which names try to be markup."""
    made = tmp_path_factory.mktemp("report")
    rows = with_rungs(make_rows(7, attackers=3, attributes=3, matchers=2))
    rows = _renamed(rows)
    rows.loc[rows["status"] == "failed", "reason"] = EVIL["san"]
    samples = make_samples(7, size=16)
    write_report(
        made,
        rows=rows,
        curves=_renamed(make_curves(7, matchers=2)),
        searches=_renamed(make_searches(7, matchers=2)),
        claims=_renamed(make_claims()).assign(text=EVIL["made-up faces"]),
        beside=_renamed(make_beside()),
        samples={name.replace("san:op", f"{EVIL['san']}:{EVIL['op']}"): s for name, s in samples.items()},
        provenance={**make_provenance(), "dataset_title": f"{EVIL['made-up faces']} 顔 وجه"},
    )
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    place = tmp_path_factory.mktemp("chromium")
    with chromium(place) as opened:
        yield opened, place


@pytest.fixture
def report(browser: tuple[Any, Path], folder: Path) -> Iterator[Report]:
    """The page, open at 1,280 px; whatever a test does with it, the console stays empty and nothing is asked
    of any network."""
    found = Report(browser[0], folder, browser[1])
    found.open()
    yield found
    assert complaints(found.browser) == []
    assert set(requested(found.browser)) <= {(folder / "index.html").as_uri()}


def test_a_heading_sorts_both_ways_and_leaves_absent_values_at_the_end(report: Report) -> None:
    heading = "document.querySelectorAll('.board thead th')[arguments[0]]"
    report.choose("select[data-dim='0']", "")
    titles = report(
        "return [...document.querySelectorAll('.board thead th')].map((h) => h.textContent.trim())"
    )
    at = titles.index("Leak")
    for order, way in ((1, "ascending"), (-1, "descending")):
        report(f"{heading}.querySelector('button').click()", at)
        assert report(f"return {heading}.getAttribute('aria-sort')", at) == way
        leaks = report.figures("Leak")
        assert len(leaks) == report.board["leak"].notna().sum()
        assert leaks == sorted(leaks, reverse=order < 0)
        assert report.column("Leak")[-1].strip() == "·", "the failed one"
    report(f"{heading}.querySelector('button').click()", titles.index("Method"))
    names = report.column("Method")
    assert names == report("return arguments[0].sort((a, b) => a.trim().localeCompare(b.trim()))", names)


def test_filters_leave_the_rows_that_fit(report: Report) -> None:
    board = report.board
    for attribute in sorted(set(board["attribute"].dropna())):
        report.choose("select[data-dim='0']", attribute)
        own = board[board["attribute"] == attribute]
        assert report.figures("Leak") == pytest.approx(sorted_as_shown(own["leak"]), abs=6e-4)
        report.choose("select[data-role]", "method")
        assert len(report.column("Leak")) == (own["role"] == "method").sum()
        shown = report("return [...document.querySelectorAll('.plane')].filter((p) => !p.hidden).length")
        assert shown == 1
        report.choose("select[data-role]", "")
    report.choose("[data-find]", "PIXELATE")
    assert len(report.column("Leak")) == 1
    assert report.find(".filters output").text.startswith("1 of ")


def sorted_as_shown(leaks: pd.Series) -> list[float]:
    """The figures of a table in its own order, which is the page's."""
    return [float(v) for v in leaks.dropna()]


def test_a_threat_moves_the_points_and_shows_its_column(report: Report) -> None:
    attribute = report("return document.querySelector('[data-dim]').value")
    own = report.board[(report.board["attribute"] == attribute) & report.board["leak"].notna()]
    index, line = next((i, r) for i, r in own.iterrows() if r["role"] == "method")
    place = (
        "const c = [...document.querySelectorAll('.plane:not([hidden]) .wide')][0];"
        f"const m = c.querySelector('a[data-l=\"{index}\"] .dot').getCTM();"
        "const own = c.getCTM(); const x = (m.e - own.e) / own.a;"
        "return (x - c.dataset.x0) / (c.dataset.x1 - c.dataset.x0)"
    )
    front = "return document.querySelectorAll('.plane:not([hidden]) .wide .pt.front').length"
    before = report(front)
    assert report(place) == pytest.approx(line["leak"], abs=2e-3)
    report.choose("[data-threat]", "aware")
    assert report(place) == pytest.approx(line["leak_aware"], abs=2e-3)
    assert report.figures("Leak, aware") == sorted(report.figures("Leak, aware"))
    visible = (
        "return [...document.querySelectorAll('.board thead th[data-rung]')].filter((h) => h.offsetWidth)"
    )
    assert [h.get_attribute("data-rung") for h in report(visible)] == ["worst", "aware"]
    assert "rung aware alone" in report.find(".caution.threat").text
    report.choose("[data-threat]", "")
    assert report(place) == pytest.approx(line["leak"], abs=2e-3)
    assert report(front) == before


def test_a_point_leads_to_its_row_and_the_row_back(report: Report) -> None:
    mark = report(
        "return [...document.querySelectorAll('.wide a.pt')].find((p) => p.getClientRects().length)"
    )
    line = mark.get_attribute("data-l")
    report("arguments[0].scrollIntoView({block: 'center'})", mark)
    # By keyboard: focus lights the row up, Enter follows the link.
    report("arguments[0].focus()", mark)
    row = report.find(f"#l{line}")
    assert "hit" in row.get_attribute("class")
    assert report.find(".readout").text == mark.get_attribute("aria-label")
    mark.send_keys("\n")
    assert report.browser.current_url.endswith(f"#l{line}")
    assert report("return arguments[0].matches(':target')", row)
    assert _in_view(report, row)
    report.click(f"#l{line} .to")
    assert report("return document.activeElement.dataset.l") == line
    assert _in_view(report, mark)


def test_a_click_on_a_point_leads_to_its_row(report: Report) -> None:
    # The topmost mark at its own place: others may lie above some.
    mark = report(
        "document.querySelector('.plane:not([hidden])').scrollIntoView({block: 'center'});"
        "return [...document.querySelectorAll('.wide a.pt .dot')].find((d) => {"
        "const b = d.getBoundingClientRect();"
        "return b.width && document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2) === d})"
    )
    line = report("return arguments[0].parentNode.dataset.l", mark)
    report("arguments[0].scrollIntoView({block: 'center'})", mark)
    mark.click()
    assert report.browser.current_url.endswith(f"#l{line}")
    assert _in_view(report, report.find(f"#l{line}"))


def _in_view(report: Report, item: Any) -> bool:
    script = "const b = arguments[0].getBoundingClientRect(); return [b.top, b.bottom, innerHeight]"
    until = time.monotonic() + 5
    while time.monotonic() < until:
        top, bottom, height = report(script, item)
        if top >= -1 and bottom <= height + 1:
            return True
        time.sleep(0.05)
    return False


def test_tables_come_as_csv_that_pandas_reads(report: Report) -> None:
    report.click("#leaderboard a[download]")
    whole = report.downloaded("leaderboard.csv")
    pd.testing.assert_frame_equal(whole, report.board)
    assert {EVIL["made-up faces"]} == set(whole["dataset"])
    assert {EVIL["san"], EVIL["blur"]} <= set(whole["method"])
    report.click("#m-privacynet button.csv")
    name = report.find("#m-privacynet table").get_attribute("data-name").replace(" ", "_")
    table = report.downloaded(f"{name}.csv")
    assert {"SSIM", "SSIM low", "LPIPS"} <= set(table.columns)
    assert pd.api.types.is_float_dtype(table["SSIM"])
    report.click("#claims button.csv")
    claims = report.downloaded("this_run_Claims.csv")
    assert set(claims["Answer"]) == {"held", "not held", "cannot tell"}
    assert set(claims["Claim"]) == {EVIL["made-up faces"]}
    assert claims["Margin"].notna().sum() == 2


def test_names_from_data_are_text_and_run_nothing(report: Report) -> None:
    assert report("return window.evil") is None
    assert report("return document.scripts.length") == 1
    report("for (const part of document.querySelectorAll('details')) part.open = true")
    said = report("return document.body.textContent")
    for name in EVIL.values():
        assert name in said, name
    assert report("return document.title").endswith("<script>window.evil=1</script> 顔 وجه")
    loaded = "return [...document.images].map((i) => i.src.slice(0, 5))"
    assert set(report(loaded)) == {"data:"}
    report.choose("[data-find]", '"quoted"')
    report.choose("select[data-dim='0']", "")
    assert len(report.column("Leak")) == (report.board["method"] == '"quoted"').sum() > 0


@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_needs_sideways_scrolling(report: Report, width: int) -> None:
    report.open(width)
    report("for (const part of document.querySelectorAll('details')) part.open = true")
    assert report("return document.documentElement.scrollWidth") <= width
    drawn = report(
        "return [...document.querySelectorAll('.plane:not([hidden]) svg')].map((s) => s.clientWidth > 0)"
    )
    assert drawn == [width > 720, width < 720]
    seen = "return [...document.querySelectorAll('.board thead th')].filter((h) => h.offsetWidth > 20).length"
    shown = report(seen)
    assert shown == 4 if width == 390 else shown > 10
    report.choose("[data-threat]", "aware")
    # The chosen rung stands in the worst one's stead where there is no room for both, the others nowhere.
    assert report(seen) == shown + (0 if width == 390 else -2)
    assert report("return document.querySelector('.board tbody tr:not([hidden]) th').offsetWidth") > 90
    report.choose("[data-threat]", "")
    if width == 390:
        report.click("button.more")
        assert report("return document.querySelectorAll('.board thead th.x')[2].offsetWidth") > 20
        assert report("return document.documentElement.scrollWidth") <= width


def test_curves_are_drawn_in_the_colours_of_their_methods(report: Report) -> None:
    table = looks(*everyone(pd.read_parquet(report.folder / "rows.parquet")))
    methods = {look.colour for look in table.values()} - {CONTROL_COLOUR}
    report("document.querySelector('#curves svg').scrollIntoView({block: 'center'})")
    picture = Image.open(io.BytesIO(report.find("#curves svg").screenshot_as_png)).convert("RGB")
    present = {"#{:02x}{:02x}{:02x}".format(*pixel) for _, pixel in picture.getcolors(1 << 20)}
    drawn = report("return document.querySelector('#curves svg').querySelectorAll('.roc.method').length")
    assert drawn >= 2
    assert len(methods & present) >= drawn - 1, "one may lie wholly below others"


def test_what_can_be_operated_has_a_name_for_screen_readers(report: Report) -> None:
    tree = report.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    operated = [
        n for n in tree if n.get("role", {}).get("value") in ("link", "button", "combobox", "searchbox")
    ]
    assert len(operated) > 50
    unnamed = [n for n in operated if not n.get("name", {}).get("value")]
    assert unnamed == []
    order = "return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
    levels = report(order)
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrasts_with_its_ground(report: Report, theme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    report.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for selector in ("p.lead", "#verdict .notices strong", ".board td.num", ".board td small", ".caution"):
        ratio = report(_CONTRAST, selector)
        assert ratio >= 4.5, f"{selector}: {ratio}"
    assert (report("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") == (
        theme == "light"
    )
    report.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


_CONTRAST = """
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const style = (part) => getComputedStyle(part);
const item = document.querySelector(arguments[0]);
let ground = item;
while (ground.parentElement && style(ground).backgroundColor === "rgba(0, 0, 0, 0)") {
  ground = ground.parentElement;
}
const [a, b] = [light(style(item).color), light(style(ground).backgroundColor)];
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""
"""Contrast of the text of an element with what lies below it (WCAG 2.1)."""


def test_on_paper_nothing_is_folded_away(report: Report) -> None:
    folded = report("return document.querySelectorAll('details:not([open])').length")
    report(
        "addEventListener('beforeprint', () => {"
        "window.open_on_paper = [...document.querySelectorAll('details')].every((d) => d.open)})"
    )
    printed = report.browser.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True}
    )
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    assert report("return window.open_on_paper") is True
    assert report("return document.querySelectorAll('details:not([open])').length") == folded > 0


def test_a_large_page_is_small_enough_and_opens(
    browser: tuple[Any, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rows, curves = with_rungs(make_rows(60, attackers=10), ADAPTIVE), make_curves(60)
    text = render_page(
        leaderboard(rows),
        rows,
        all_bands(curves),
        make_samples(60, people=6, size=64),
        make_provenance(),
        looks(*everyone(rows, curves)),
        evidence=Evidence(all_search_bands(make_searches(60)), make_claims(), make_beside()),
    )
    path = tmp_path / "index.html"
    path.write_text(text, "utf-8")
    assert path.stat().st_size < 5_000_000
    large = browser[0]
    widen(large, 1280)
    complaints(large)
    large.get(path.as_uri())
    took = large.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    record_property("load_ms", took)
    print(f"{path.stat().st_size / 1e6:.2f} MB, load event after {took:.0f} ms")
    assert took < 20_000, "ten times what a busy machine needs"
    rows_shown = large.execute_script("return document.querySelectorAll('.board tbody tr').length")
    assert rows_shown == len(leaderboard(rows))
    assert complaints(large) == []
