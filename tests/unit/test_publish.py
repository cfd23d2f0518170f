"""Published results: whole, safe to show, one recipe a table, and made again by the command they print."""

import csv
import hashlib
import html
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from published_runs import DATASET, make_run, note, small_rows
from report_rows import make_curves
from typer.testing import CliRunner

import bench.run
from bench.cells import Source
from bench.cli import app
from bench.config import load_config
from bench.errors import InputError, UsageError
from bench.machine_paths import machine_paths, without_paths
from bench.publishing import check_published, publish_runs
from bench.report import markdown
from bench.report.dictionary import ROWS
from bench.report.tables import LEADERBOARD, csv_text, leaderboard
from bench.reproduce import command_of
from bench.results import COLUMNS, to_frame

NAME = "results-of-made-up"
NASTY = "<script>alert('né|`\"')</script>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "report")


@pytest.fixture(scope="module")
def standing(finished, tmp_path_factory):
    """Published results, not to be changed."""
    to = tmp_path_factory.mktemp("standing") / "results"
    published(finished, to)
    return to


@pytest.fixture
def results(standing, tmp_path):
    """The same, to be changed."""
    shutil.copytree(standing, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A run in which whatever can be named has a name that is markup somewhere."""
    rows = small_rows()
    rows["method"] = rows["method"].replace({"san": NASTY})
    rows["attribute"] = rows["attribute"].replace({"gender": "=gen|der*_x_`"})
    rows["component"] = rows["component"].replace({"svm@se_resnet": "@svm\n<b>"})
    title = f"**faces** {NASTY}"
    return make_run(tmp_path_factory.mktemp("nasty") / "report", rows, faces=False, title=title)


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run, to be changed."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def published(run, to, **options):
    return publish_runs([run] if isinstance(run, Path) else run, to, name=NAME, **options)


def renote(folder, **changes):
    note(folder, pd.read_parquet(folder / "rows.parquet"), **changes)


def rows_of(folder, rows):
    """Put other rows into a run's folder, as if it had measured them."""
    rows.to_parquet(folder / "rows.parquet", index=False)
    return folder


# -- what is written -----------------------------------------------------------------------------------


def test_a_finished_run_is_published_whole_and_checks_out(finished, standing):
    folder = standing / NAME
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*")} >= {
        *("leaderboard.csv", "rows.parquet", "curves.parquet", "columns.csv", "index.html"),
        *("published.json", "plots", "plots/plane_gender.png", "plots/plane_gender.svg", "plots/samples.png"),
    }
    for name in ("leaderboard.csv", "rows.parquet", "index.html"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    about = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    (run,) = about["runs"]
    assert about["dataset"] == DATASET
    assert about["schema"] == run["schema"]
    assert run["command"].startswith("python -m bench run --dataset")
    assert run["data"][DATASET]["test"] == "aaaa"
    assert run["code"]["commit"] == "abc"
    assert run["machine"]["versions"] == {"numpy": "2"}
    assert set(about["files"]) | {"published.json"} == {
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    }
    assert check_published(standing) == []
    assert {p.name for p in standing.iterdir()} == {NAME, "README.md"}


def test_publishing_again_changes_no_byte(finished, results):
    before = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}
    assert published(finished, results) == results / NAME
    assert {p: p.read_bytes() for p in results.rglob("*") if p.is_file()} == before


class Cells(HTMLParser):
    """The cells of every table of a page, and the tags it has."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.tags, self.sources, self.inside = [], set(), [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.tables[-1][-1][-1] += data


def shown(to):
    """README.md as a git host would render it."""
    text = (to / "README.md").read_text(encoding="utf-8")
    return Cells(MarkdownIt("commonmark").enable("table").render(text))


def test_the_readme_shows_the_leaderboards_figures_with_intervals_picture_and_command(standing):
    folder, page = standing / NAME, shown(standing)
    head, *lines = page.tables[0]
    board = pd.read_csv(folder / "leaderboard.csv")
    assert len(lines) == len(board)
    for cells, row in zip(lines, board.to_dict("records"), strict=True):
        said = dict(zip(head, cells, strict=True))
        expected = row["method"] if row["variant"] == "default" else f"{row['method']}:{row['variant']}"
        assert said["method"] == expected
        for heading, name in (("leak", "leak"), ("TMR", "tmr"), ("Reduction", "reduction")):
            figures = [float(n) for n in re.findall(r"-?\d+\.\d+", said[heading])]
            assert figures == pytest.approx([row[name], row[f"{name}_low"], row[f"{name}_high"]], abs=5.1e-4)
    assert f"{NAME}/plots/plane_gender.png" in page.sources
    assert f"{NAME}/index.html" in page.sources
    assert all((standing / source).is_file() for source in page.sources)
    text = (standing / "README.md").read_text(encoding="utf-8")
    assert "    python -m bench run --dataset 'made-up faces' --methods all\n" in text
    assert "Not at hand, so not in the table: matcher facenet." in text


def test_text_around_the_generated_part_of_the_readme_stays(finished, tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n\nKept *as it is*.\n", encoding="utf-8")
    published(finished, tmp_path)
    path = tmp_path / "README.md"
    path.write_text(path.read_text(encoding="utf-8") + "\nAlso kept.\n", encoding="utf-8")
    published(finished, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\nKept *as it is*.\n\n<!--")
    assert text.endswith("-->\n\nAlso kept.\n")
    assert text.count("## Columns") == 1
    path.write_text(text.replace("<!-- End", "<!-- Ende"), encoding="utf-8")
    with pytest.raises(InputError, match="has lost one of the lines"):
        published(finished, tmp_path)


def test_names_that_are_markup_appear_as_text_in_readme_page_and_tables(nasty, tmp_path):
    folder = published(nasty, tmp_path)
    page = shown(tmp_path)
    assert not page.tags & {"script", "b", "em", "code"} - {"code"}
    head, *lines = page.tables[0]
    methods = [dict(zip(head, cells, strict=True))["method"] for cells in lines]
    assert f"{NASTY}:sm" in methods
    assert "=gen|der*_x_`" in {cells[0] for cells in lines}
    rendered = MarkdownIt("commonmark").enable("table").render((tmp_path / "README.md").read_text("utf-8"))
    assert html.escape(f"**faces** {NASTY}", quote=False) in rendered.replace("&quot;", '"')
    assert "<strong>" not in rendered
    assert NASTY not in (folder / "index.html").read_text(encoding="utf-8")
    assert check_published(tmp_path) == []


def test_csv_files_read_alike_in_pandas_and_as_a_spreadsheet_reads_them(nasty, tmp_path):
    folder = published(nasty, tmp_path)
    names = sorted(p.name for p in folder.glob("*.csv"))
    assert names == ["columns.csv", "leaderboard.csv"]
    for name in names:
        data = (folder / name).read_bytes()
        assert b"\r\n" not in data
        assert not data.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
        table = pd.read_csv(folder / name, keep_default_na=False, dtype=str)
        assert list(table.columns) == rows[0]
        assert table.to_numpy().tolist() == rows[1:]
        assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row)
    board = pd.read_csv(folder / "leaderboard.csv")
    assert set(board["attribute"]) >= {"'=gen|der*_x_`"}  # an apostrophe keeps a spreadsheet from computing
    assert board["leak"].dtype == float
    dictionary = pd.read_csv(folder / "columns.csv").set_index(["table", "column"])
    assert set(board.columns) == set(dictionary.loc["leaderboard.csv"].index)
    rows = dictionary.loc["rows.parquet"]
    assert set(COLUMNS) <= set(rows.index)
    assert rows.loc["metric=psnr", "unit"] == "dB"
    assert dictionary.loc[("leaderboard.csv", "mae_years"), "unit"] == "years"


def test_the_dictionary_knows_every_column():
    assert tuple(ROWS) == COLUMNS
    assert all(LEADERBOARD.values())
    assert all(ROWS.values())


# -- what is refused -----------------------------------------------------------------------------------


def test_what_failed_or_is_not_done_is_refused_or_named(copy, tmp_path):
    failures = [
        {"title": "train san|x", "message": "diverged", "blocked": False},
        {"title": "score san", "message": "an input failed", "blocked": True},
    ]
    renote(copy, failures=failures)
    with pytest.raises(UsageError, match=r"1 cells of .* failed or are not done \(train san\|x: diverged\)"):
        published(copy, tmp_path / "results")
    assert not (tmp_path / "results").exists()
    published(copy, tmp_path / "results", with_failures=True)
    text = (tmp_path / "results/README.md").read_text(encoding="utf-8")
    assert "**Failed**, so not in the table: train san&#124;x: diverged." in text


def test_a_first_look_is_not_published(copy, tmp_path):
    renote(copy, config={"quick": True})
    with pytest.raises(UsageError, match="is a first look"):
        published(copy, tmp_path / "results")


def test_rows_of_another_recipe_do_not_go_into_the_same_table(results, copy, tmp_path):
    data = {DATASET: {"test": "zzzz", "attack": "bbbb"}}
    for changes, named in (
        ({"config": {"preset": "paper"}}, "preset: quick and paper"),
        ({"config": {"resamples": 200}}, "resamples: 300 and 200"),
        ({"size": 128}, "image size: 64 and 128 px"),
        ({"data": data}, "fingerprint of made-up faces: .* in test"),
        ({"matchers": ["arcface"]}, "matchers: se_resnet in only one"),
        ({"components": {"attacker": {"knn": {"settings": {"neighbours": 5}}}}}, "settings .* attacker knn"),
        ({"code": {"stages": {"score": 3}}}, "version of stage score: 2 and 3"),
    ):
        renote(copy, **changes)
        with pytest.raises(UsageError, match=f"do not go into one table: {named}"):
            published(copy, results, add=True)
    assert check_published(results) == []
    renote(copy)
    shutil.copytree(copy, tmp_path / "other")
    renote(copy, dataset="celeba")
    with pytest.raises(UsageError, match=r"mixes rows of made-up faces, and the run was on celeba"):
        published([tmp_path / "other", copy], results)


def test_runs_of_other_datasets_or_quality_recipes_are_not_mixed(finished, copy, tmp_path):
    rows = small_rows()
    rows_of(copy, rows.assign(component=rows["component"].replace({"lpips_squeeze": "lpips_vgg16"})))
    renote(copy)
    with pytest.raises(UsageError, match="recipe of lpips: lpips_squeeze and lpips_vgg16"):
        published([finished, copy], tmp_path / "results")
    half = rows.assign(dataset=["celeba" if n % 2 else DATASET for n in range(len(rows))])
    rows_of(copy, to_frame(half.to_dict("records")))
    renote(copy)
    with pytest.raises(UsageError, match="mixes rows of celeba, made-up faces"):
        published(copy, tmp_path / "results")
    some = rows["component"].where(
        rows["method"] != "blur", rows["component"].replace("lpips_squeeze", "other")
    )
    rows_of(copy, rows.assign(component=some))
    renote(copy)
    with pytest.raises(UsageError, match="mixes lpips of 2 recipes"):
        published(copy, tmp_path / "results")


def test_other_schemas_and_changed_rows_are_refused(copy, tmp_path):
    renote(copy, schema=1)
    with pytest.raises(InputError, match="have schema 1, and this version writes"):
        published(copy, tmp_path / "results")
    rows_of(copy, small_rows().drop(columns="flags"))
    renote(copy)
    with pytest.raises(InputError, match="other columns than this version writes: flags"):
        published(copy, tmp_path / "results")
    renote(rows_of(copy, small_rows()))
    rows_of(copy, small_rows(seed=1))
    with pytest.raises(InputError, match="is not the file that the run wrote"):
        published(copy, tmp_path / "results")
    (tmp_path / "joint").mkdir()
    shutil.move(copy, tmp_path / "joint/lfw")
    with pytest.raises(UsageError, match="holds the reports of lfw"):
        published(tmp_path / "joint", tmp_path / "results")


def test_faces_of_real_people_are_never_published(nasty, copy, tmp_path):
    renote(copy, photographs=True)
    with pytest.raises(InputError, match=r"index.html has a picture in it.*plots/samples.png has a picture"):
        published(copy, tmp_path / "results")
    assert not list((tmp_path / "results").iterdir())
    clean = tmp_path / "clean"
    shutil.copytree(nasty, clean)
    renote(clean, photographs=True)
    published(clean, tmp_path / "results")
    assert check_published(tmp_path / "results") == []
    page = clean / "index.html"
    for hidden in ("<IMG src=x>", "url(data:image/png;base64,AAAA)", "<image href='x'/>"):
        plain = page.read_text(encoding="utf-8")
        page.write_text(plain.replace("</body>", f"{hidden}</body>"), encoding="utf-8")
        with pytest.raises(InputError, match="has a picture in it"):
            published(clean, tmp_path / "results")
        page.write_text(plain, encoding="utf-8")


def test_folders_of_this_machine_are_never_published(copy, tmp_path):
    page = copy / "index.html"
    plain = page.read_text(encoding="utf-8")
    page.write_text(plain.replace("</body>", "<p>not in /home/me/weights</p></body>"), encoding="utf-8")
    with pytest.raises(InputError, match=r"index.html names a folder of this machine: /home/me/weights"):
        published(copy, tmp_path / "results")
    page.write_text(plain, encoding="utf-8")
    rows = pd.read_parquet(copy / "rows.parquet")
    rows.loc[0, "reason"] = "cannot read C:\\faces\\me.png"
    renote(rows_of(copy, rows))
    with pytest.raises(InputError, match=r"rows.parquet names a folder of this machine: C:"):
        published(copy, tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "plain", "found"),
    [
        ("not in /home/me/weights; fetch", "not in weights; fetch", ["/home/me/weights"]),
        ("see '/a/b/x.png'", "see 'x.png'", ["/a/b/x.png"]),
        (r"at C:\Users\me\x", "at x", [r"C:\Users\me\x"]),
        ("~/faces/é.jpg", "é.jpg", ["~/faces/é.jpg"]),
        ("3 images/s and/or 1000/2000, https://a.org/b/c", None, []),
    ],
)
def test_absolute_paths_are_found_and_cut_and_nothing_else(text, plain, found):
    assert machine_paths(text) == found
    assert without_paths(text) == (text if plain is None else plain)


# -- one table of several runs, and what is there already ------------------------------------------------


def test_outputs_of_one_recipe_join_one_table_and_the_newer_of_one_counts(results, tmp_path):
    rows = small_rows(seed=5)
    keep = rows["method"].isin(["original", "constant", "blur"]) | (rows["variant"] == "sm")
    rows = rows[keep].assign(method=rows["method"].replace({"san": "idea"}))
    mine = tmp_path / "mine"
    mine.mkdir()
    rows.to_parquet(mine / "rows.parquet", index=False)
    make_curves(0).head(0).to_csv(mine / "curves.csv", index=False)
    pooled = {"rungs": ["static", "pooled"], "pooled": ["idea:sm", "blur"]}
    code = {"components": {"matcher": {"arcface": ["newer", "b"]}}}
    renote(mine, command="python -m bench run --methods idea", code=code, **pooled)
    standing_run = json.loads((results / NAME / "published.json").read_text(encoding="utf-8"))
    standing_run["runs"][0] |= {"rungs": ["static", "pooled"], "pooled": ["san:sm", "blur"]}
    standing_run["runs"][0]["code"]["components"] = {"matcher": {"arcface": "older"}}
    (results / NAME / "published.json").write_text(json.dumps(standing_run), encoding="utf-8")
    with pytest.raises(UsageError, match=r"has results of .*san:nt.*, which would get lost; --add"):
        published(mine, results)
    folder = published(mine, results, add=True)
    board = pd.read_csv(folder / "leaderboard.csv").fillna({"variant": ""})
    assert set(board["method"]) >= {"idea", "san", "blur", "grey"}
    theirs = leaderboard(rows)
    for method in ("idea", "blur"):
        ours = board.loc[board["method"] == method, "leak"].tolist()
        assert ours == pytest.approx(theirs.loc[theirs["method"] == method, "leak"].tolist(), abs=1e-6)
    runs = json.loads((folder / "published.json").read_text(encoding="utf-8"))["runs"]
    assert [run["outputs"] for run in runs][1] == ["blur", "constant", "idea:sm", "original"]
    assert "san:sm" in runs[0]["outputs"]
    assert "blur" not in runs[0]["outputs"]
    text = (results / "README.md").read_text(encoding="utf-8")
    assert "    python -m bench run --methods idea\n" in text
    assert "Attackers of rung pooled learned on the outputs of their own run, which differ here" in text
    assert "The runs were made with different code of matcher arcface" in text
    assert "The same numbers of blur, constant, idea:sm, original come from" in text
    assert check_published(results) == []


def test_what_others_put_into_the_place_is_not_deleted(finished, results, tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(UsageError, match="is there and was not published"):
        published(finished, tmp_path)
    (results / NAME / "notes.md").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds notes.md, which publishing would delete"):
        published(finished, results)
    with pytest.raises(UsageError, match="write ASCII letters"):
        publish_runs([finished], tmp_path, name="a|b")


def test_an_interruption_leaves_what_was_published(finished, results, monkeypatch):
    before = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}
    rename = os.rename

    def full(source, target):
        if Path(target) == results / NAME and "before" not in Path(source).name:
            raise OSError("disk full")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="disk full"):
        published(finished, results)
    assert {p: p.read_bytes() for p in results.rglob("*") if p.is_file()} == before


# -- --check -------------------------------------------------------------------------------------------


def test_the_check_names_what_is_missing_changed_or_different(results, tmp_path):
    folder = results / NAME
    saved = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}

    def after(change):
        for path, data in saved.items():
            path.write_bytes(data)
        change()
        return check_published(results)

    assert after(lambda: None) == []
    assert after((folder / "index.html").unlink) == [f"{NAME}: index.html is missing"]
    (found,) = after(lambda: (folder / "leaderboard.csv").write_text("leak\n0\n", encoding="utf-8"))
    assert found == f"{NAME}: leaderboard.csv is not the file that was published"
    readme = results / "README.md"
    text = readme.read_text(encoding="utf-8")
    figure = re.search(r"\| 0\.\d{3} \(", text)
    assert figure is not None
    altered = text.replace(figure.group(), "| 0.001 (", 1)
    (found,) = after(lambda: readme.write_text(altered, encoding="utf-8"))
    assert found.startswith("README.md says '| gender |")
    with pytest.raises(InputError, match="nothing is published"):
        check_published(tmp_path / "empty")


def test_a_leaderboard_that_does_not_follow_from_the_rows_is_refused(copy, tmp_path):
    table = pd.read_csv(copy / "leaderboard.csv")
    table["leak"] = table["leak"] / 2
    (copy / "leaderboard.csv").write_text(csv_text(table), encoding="utf-8")
    with pytest.raises(InputError, match=r"leaderboard.csv, line 3, leak: not what rows.parquet gives"):
        published(copy, tmp_path / "results")


def test_the_check_holds_the_leaderboard_against_the_rows(results):
    """Also where somebody made the list of checksums fit."""
    folder = results / NAME
    path = folder / "leaderboard.csv"
    table = pd.read_csv(path)
    table["leak"] = table["leak"] / 2
    path.write_text(csv_text(table), encoding="utf-8")
    about = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    about["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "published.json").write_text(json.dumps(about), encoding="utf-8")
    (found,) = check_published(results)
    assert found == f"{NAME}: leaderboard.csv, line 3, leak: not what rows.parquet gives"


def test_the_command_publishes_checks_and_says_so(finished, tmp_path):
    to = ["--to", str(tmp_path), "--name", NAME]
    done = CliRunner().invoke(app, ["publish", str(finished), *to])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["publish", "--check", "--to", str(tmp_path)])
    assert done.exit_code == 0
    assert "whole, and the README's figures are those of the tables" in done.output
    (tmp_path / NAME / "rows.parquet").unlink()
    done = CliRunner().invoke(app, ["publish", "--check", "--to", str(tmp_path)])
    assert done.exit_code == 1
    assert "rows.parquet is missing" in done.output


# -- the command that makes a run again ------------------------------------------------------------------


def reread(monkeypatch, command):
    """The configuration that the command line makes of a printed command."""
    found = []
    monkeypatch.setattr(bench.run, "run", lambda config, *_, **__: found.append(config) or 0)
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "bench"]
    done = CliRunner().invoke(app, words[3:])
    assert done.exit_code == 0, done.output
    return found[0]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"methods": ["san:op", "privacynet:gender+race"], "threats": [], "seed": 3, "seeds": 2},
        {"options": {"knn": {"neighbours": 5, "rate": 1e-5}, "san": {"note": "it's $HOME `x` é: 'q'"}}},
        {"options": {"odd.name": {"a=b": [1, 2.5, None, True, "yes", "1"]}}},
        {"methods": ["a,b", " c"], "shipped": False, "pairs": "1000/2000", "device": "cuda"},
        {"protocol": "gender-an", "dataset": "celeba", "resamples": 200},
        {"quick": True, "methods": ["blur"], "resamples": 300, "options": {"se_resnet": {"steps": 9}}},
        {"dataset": "celeba", "train_on": ["celeba", "utkface"], "dataset_options": {"limit": 100}},
    ],
)
def test_the_printed_command_means_the_configuration_of_the_run(monkeypatch, given):
    config = load_config(None, given)
    command = command_of(config, {config.dataset: Source()}, weights=False)
    assert "\n" not in command
    again = reread(monkeypatch, command)
    assert again.model_dump(exclude={"out"}) == config.model_dump(exclude={"out"})


def test_the_printed_command_names_no_folder_of_this_machine():
    roots = (Path("/data/one"), Path("/data/two"), Path("../three"))
    config = load_config(
        None,
        {
            "dataset": "celeba",
            "data": roots,
            "weights": "/secret/weights",
            "store": "/secret/store",
            "out": "/secret/out",
            "workers": 7,
            "throughput": ["results/throughput/gpu.csv", "/secret/gpu.csv"],
            "dataset_options": {"index": "/secret/index.csv"},
        },
    )
    found = {"celeba": Source(roots[:2]), "lfw": Source(roots[2:])}
    assert command_of(config, found, weights=True) == (
        "python -m bench run --dataset celeba --data CELEBA --data CELEBA_2 --data LFW --weights WEIGHTS "
        "--methods all --set dataset_options.index=index.csv --throughput results/throughput/gpu.csv "
        "--throughput gpu.csv"
    )


def test_markdown_shows_any_text_as_it_is():
    for text in (
        NASTY,
        "a|b",
        "`x`",
        "*a* _b_ __c__ ~~d~~",
        "[x](y) ![z](w)",
        "\\|",
        "&amp; &#65;",
        "# h",
        "$x$",
    ):
        page = Cells(MarkdownIt("commonmark").enable("table").render(markdown.table(["x"], [[text]])))
        assert page.tables == [[["x"], [text]]]


SMALL = [
    "--methods=constant,blur", "--attackers=svm", "--matchers=se_resnet", "--attributes=gender",
    "--threats=folded", "--workers=1", "--set=options.se_resnet.steps=40", "--set=resamples=100",
    "--set=quality_images=4",
    *(f"--set=dataset_options.{name}={count}" for name, count in (
        ("develop_people", 10), ("validation_people", 4), ("attack_people", 60), ("test_people", 20),
        ("test_images", 3),
    )),
]  # fmt: skip


@pytest.mark.slow
def test_a_published_result_is_made_again_by_the_command_it_prints(tmp_path, no_weights):
    """With a folder of weights that has none, which the reasons for what is missing would name."""
    root = Path(bench.run.__file__).parents[1]

    weights = tmp_path / "pretrained networks"
    weights.mkdir()

    def run(folder, *arguments, **more):
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), **more}
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    first, again = tmp_path / "first", tmp_path / "again"
    run(first, "run", *SMALL, BENCH_WEIGHTS=str(weights))
    run(first, "publish")
    assert "whole" in run(first, "publish", "--check")
    text = (first / "results/README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (python -m bench run .*)$", text, re.MULTILINE)
    assert " --weights WEIGHTS " in command
    assert tmp_path.name not in text
    assert html.escape(command) in (first / "results/synthetic/index.html").read_text(encoding="utf-8")
    run(again, *(str(weights) if word == "WEIGHTS" else word for word in shlex.split(command)[3:]))
    name = "leaderboard.csv"
    made = (again / "runs/synthetic" / name).read_bytes()
    assert made == (first / "results/synthetic" / name).read_bytes()
    said = run(again, "compare", "../first/runs/synthetic", "runs/synthetic")
    assert re.findall(r"^\d+ (.*)$", said, re.MULTILINE) == ["equal"]
    said = run(again, "compare", "../first/results/synthetic", "runs/synthetic")
    assert "keeps no resamples" in said
