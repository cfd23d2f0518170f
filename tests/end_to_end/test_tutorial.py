"""The tutorials, followed literally in a copy of the checkout: every file, every command, every answer."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping

import pandas as pd
import pytest
from test_run import checkout
from tutorial import DOCS, follow, text_of, tree

from bench.quick import with_quick

SETTINGS = DOCS.parent / "pyproject.toml"
TUTORIALS = ("add_a_method.md", "add_other_components.md", "submit_a_result.md")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A copy of the checkout whose owner has followed the tutorial of a method, and what it was before."""
    folder = checkout(tmp_path_factory.mktemp("tutorial"))
    before = tree(folder)
    follow(text_of("add_a_method.md"), folder)
    return folder, before


def _new(folder, before):
    """Files that are new; all others are as before."""
    after = tree(folder)
    assert {name: after.get(name) for name in before} == before
    return set(after) - set(before)


@pytest.mark.slow
def test_the_tutorial_of_a_method_leads_from_an_empty_page_to_a_line_in_the_table(taught):
    folder, before = taught
    assert _new(folder, before) == {"methods/haze.py", "methods/mean_line.py"}
    # What the text says of the figures.
    table = pd.read_csv(folder / "runs/synthetic-quick/leaderboard.csv").set_index("method")
    assert table.loc["haze", ["leak_static", "leak_aware", "tmr_kept"]].max() < 0.3
    assert table.loc["mean_line", "leak_static"] < 0.35
    assert table.loc["mean_line", "leak_aware"] > 0.4
    assert table.loc["mean_line", "tmr_kept"] > 0.6
    assert table.loc["mean_line", "flags"] == "adaptive_gap quick"


@pytest.mark.slow
def test_a_result_is_submitted_as_the_text_says(taught):
    folder, _ = taught
    before = tree(folder)
    # In full it takes minutes: with the numbers of a first look, given one by one, most is there already.
    follow(text_of("submit_a_result.md"), folder, more=_typed(with_quick({"out": "runs/synthetic"})))
    assert {name.partition("/")[0] for name in _new(folder, before)} == {"results"}
    table = pd.read_csv(folder / "results/synthetic/leaderboard.csv")
    assert {"haze", "original", "constant"} <= set(table["method"])
    assert "haze" in (folder / "results/README.md").read_text("utf-8")


def _typed(settings):
    """Settings as options of the command line."""
    words = []
    for key, value in settings.items():
        nested = isinstance(value, Mapping)
        entries = {f"{key}.{k}": v for k, v in value.items()} if nested else {key: value}
        words += [f"--set={name}={json.dumps(v, default=str)}" for name, v in entries.items()]
    return shlex.join(words)


@pytest.mark.slow
def test_the_tutorial_of_the_other_components_leads_to_a_run_with_all_of_them(taught):
    folder, _ = taught
    before = tree(folder)
    follow(text_of("add_other_components.md"), folder)
    ours = {name for name in _new(folder, before) if not name.startswith("drawn_faces/")}
    assert ours == {
        "attackers/nearest_mean.py",
        "matchers/thumbnail.py",
        "bench/quality/metrics/edge_loss.py",
        "bench/datasets/drawn_faces.py",
        "methods/gender_line.py",
        "save_faces.py",
        "my_package/pyproject.toml",
        "my_package/veil_extras.py",
    }
    page = (folder / "runs/synthetic-quick/index.html").read_text("utf-8")
    assert "Edge loss" in page
    assert "neighbouring pixels that is gone" in page
    assert "a first look" in page
    rows = pd.read_parquet(folder / "runs/synthetic-quick/rows.parquet")
    assert rows["flags"].str.split().map(lambda flags: "quick" in flags).all()


def test_files_in_the_tutorials_are_sound(tmp_path):
    for name in TUTORIALS:
        for file, code in re.findall(r"^```python (\S+)\n(.*?)^```$", text_of(name), re.M | re.S):
            ast.parse(code, file)
            path = tmp_path / file.replace("/", "_")
            path.write_text(code)
    style = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(SETTINGS), str(tmp_path)]
    found = subprocess.run(style, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_types_no_option_that_is_not_there(name):
    from bench.cli import app

    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    typed = re.findall(r"^\$ python -m bench (\w+)", text_of(name), re.M)
    assert typed
    assert set(typed) <= commands | {"list"}


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("$ echo good morning\ngood evening\n", "not answered: good evening"),
        ("$ printf 'one\\ntwo\\n'\ntwo\none\n", "not answered: one"),
        ("$ false\n", r"\$ false"),
        ("$ echo FAIL\nFAIL\n", r"\$ echo FAIL"),
    ],
)
def test_a_promise_that_is_not_kept_is_noticed(tmp_path, block, said):
    with pytest.raises(AssertionError, match=said):
        follow(f"Do this:\n\n```console\n{block}```\n", tmp_path)


def test_files_are_written_and_promises_may_have_gaps(tmp_path):
    text = (
        "```python parts/a.py\nprint('1.25  of 2')\n```\n\n```console\n$ python parts/a.py\n1... of 2\n```\n"
    )
    follow(text, tmp_path)
    assert tree(tmp_path).keys() == {"parts/a.py"}
