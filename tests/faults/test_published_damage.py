"""What was published and then damaged is named by `publish --check`; a killed `publish` loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
from published_runs import make_run

from bench.errors import InputError
from bench.publishing import check_published, publish_runs

from .corruptions import OF_ANY_FILE, cut, flip, write
from .counting import counted

NAME = "made-up"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "report")


@pytest.fixture(scope="module")
def standing(run, tmp_path_factory):
    to = tmp_path_factory.mktemp("standing") / "results"
    publish_runs([run], to, name=NAME)
    return to


@pytest.fixture
def results(standing, tmp_path):
    shutil.copytree(standing, tmp_path / "results")
    return tmp_path / "results"


def _raise_a_figure(path):
    """And say that the file was always like that."""
    table = pd.read_csv(path)
    column = next(name for name in table if table[name].dtype == float and table[name].notna().any())
    table[column] = table[column] + 0.1
    table.to_csv(path, index=False, lineterminator="\n")
    from hashlib import sha256

    about = path.with_name("published.json")
    told = json.loads(about.read_bytes())
    told["files"][path.name] = sha256(path.read_bytes()).hexdigest()
    about.write_text(json.dumps(told))


HARMS = {
    "leaderboard.csv: the last bit": ("leaderboard.csv", flip(1)),
    "leaderboard.csv: a figure, and its checksum": ("leaderboard.csv", _raise_a_figure),
    "leaderboard.csv: missing": ("leaderboard.csv", OF_ANY_FILE["missing"]),
    "rows.parquet: cut": ("rows.parquet", cut(0.5)),
    "rows.parquet: a bit": ("rows.parquet", flip(0.5)),
    "curves.parquet: empty": ("curves.parquet", cut(0)),
    "columns.csv: other text": ("columns.csv", write(b"column\n")),
    "index.html: one byte long": ("index.html", OF_ANY_FILE["one byte long"]),
    "published.json: cut": ("published.json", cut(0.5)),
    "published.json: empty": ("published.json", cut(0)),
    "published.json: no UTF-8": ("published.json", write(b'{"format": "\xff"}')),
    "published.json: a list": ("published.json", write(b"[]")),
    "published.json: nothing in it": ("published.json", write(b'{"format": 1}')),
    "README.md: another figure": ("../README.md", flip(0.5)),
    "a file that nobody published": ("notes.csv", write(b"a\n1\n")),
}


@pytest.mark.parametrize("name", HARMS)
def test_the_check_names_what_is_damaged(results, name):
    file, harm = HARMS[name]
    harm(results / NAME / file)
    try:
        problems = check_published(results)
    except InputError as error:
        problems = [str(error)]
    assert problems
    assert all(len(problem) < 500 for problem in problems)
    assert NAME in problems[0] or "README" in problems[0]
    counted("damaged results, then publish --check", name, "refused")


_KILLED = """
import os, signal, sys
from pathlib import Path
from bench.publishing import publish_runs
rename, left = os.rename, [int(sys.argv[3])]
def kill(source, target):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    rename(source, target)
os.rename = kill
publish_runs([Path(sys.argv[1])], Path(sys.argv[2]), name="made-up", add=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("renames", [0, 1])
def test_a_publish_that_is_killed_loses_nothing(run, results, renames):
    files = sorted(p.relative_to(results) for p in results.rglob("*"))
    command = [sys.executable, "-c", _KILLED, str(run), str(results), str(renames)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (results / NAME).exists() == (renames == 0)
    publish_runs([run], results, name=NAME, add=True)
    assert check_published(results) == []
    told = json.loads((results / NAME / "published.json").read_bytes())
    assert len(told["runs"]) == 1
    assert {p.relative_to(results) for p in results.rglob("*")} >= {
        p for p in files if "plots" not in p.parts
    }
    assert not [p for p in results.iterdir() if p.name.startswith(".")]
    counted("kill of publish", f"before rename {renames + 1}", "nothing lost")
