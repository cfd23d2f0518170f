"""The main command on few faces: complete, repeatable, resumable, honest about what failed."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

SMALL = [
    "--dataset", "synthetic",
    "--attackers", "svm,knn",
    "--matchers", "se_resnet",
    "--attributes", "gender,smiling",
    *(f"--set=dataset_options.{pool}_{what}={count}" for pool, what, count in (
        ("develop", "people", 40), ("validation", "people", 10), ("attack", "people", 160),
        ("test", "people", 40), ("test", "images", 4),
    )),
    "--set=options.se_resnet.steps=150",
    "--set=resamples=200",
    "--set=quality_images=20",
]  # fmt: skip


def bench(
    folder: Path, *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess:
    found = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if check:
        assert found.returncode == 0, found.stderr[-3000:]
    return found


def checkout(folder: Path) -> Path:
    """A copy of the packages that `python -m bench` finds first, where a test may drop files."""
    for package in ("bench", "methods", "attackers", "matchers"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(
            Path(spec.origin).parent, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("run"))
    said = bench(folder, "run", "--methods", "original,constant,blur", *SMALL).stderr
    return folder, said


def board(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "runs/synthetic/leaderboard.csv")
    return table[table["attribute"] == "gender"].set_index("method")


def test_original_and_constant_are_the_ends_of_every_scale(first_run):
    found = board(first_run[0])
    assert found.loc["constant", "leak"] == 0
    assert found.loc["constant", "tmr"] < 0.03  # at FMR 1 %, whoever is compared with one and the same face
    assert found.loc["constant", "tmr_protected"] == 0
    assert found.loc["constant", "reduction"] == 1
    assert found.loc["original", "reduction"] == 0
    assert found.loc["original", "tmr_kept"] == 1
    assert found.loc["original", "leak_high"] >= found["leak"].max()
    assert found.loc["original", "leak_static"] == found["leak_static"].max()
    rungs = [name for name in found if name.startswith("leak_") and name not in ("leak_low", "leak_high")]
    assert (found.loc["constant", rungs] == 0).all()
    assert found.loc["original", "ssim"] == 1


def test_everything_that_was_promised_is_written(first_run):
    folder = first_run[0] / "runs/synthetic"
    assert {p.name for p in folder.iterdir()} >= {
        "leaderboard.csv",
        "rows.csv",
        "rows.parquet",
        "index.html",
        "plots",
    }
    rows = pd.read_parquet(folder / "rows.parquet")
    assert {"reduction", "leak", "tmr", "cac", "ssim"} <= set(rows["metric"])
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_a_repeated_run_computes_nothing_and_changes_no_byte(first_run):
    folder, _ = first_run
    before = (folder / "runs/synthetic/leaderboard.csv").read_bytes()
    said = bench(folder, "run", "--methods", "blur,original,constant", *SMALL).stderr
    assert "0 cells computed" in said
    assert (folder / "runs/synthetic/leaderboard.csv").read_bytes() == before


def test_another_store_and_number_of_workers_give_the_same_bytes_after_an_interruption(first_run, tmp_path):
    folder, _ = first_run
    command = [sys.executable, "-m", "bench", "run", "--methods", "original,constant,blur", *SMALL]
    process = subprocess.Popen(
        [*command, "--workers", "3"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list((tmp_path / ".bench/cells").glob("*/*/card.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "repeat the command" in said
    assert not (tmp_path / "runs").exists()
    said = bench(tmp_path, "run", "--methods", "original,constant,blur", "--workers", "1", *SMALL).stderr
    assert " 0 taken from" not in said
    for name in ("leaderboard.csv", "rows.parquet", "curves.csv", "cmc.csv"):
        there, here = tmp_path / "runs/synthetic" / name, folder / "runs/synthetic" / name
        assert there.read_bytes() == here.read_bytes(), name


def test_label_sources_and_seeds_are_axes_and_claims_are_answered(first_run):
    folder, _ = first_run
    options = ["--methods", "face_mixing", "--label-source", "truth,predicted,random", "--seeds", "2"]
    options += ["--threats", "aware", *SMALL, "--set=quality_images=4", "--out", "axes"]
    bench(folder, "run", *options)
    table = pd.read_csv(folder / "axes/leaderboard.csv")
    mixed = table[(table["method"] == "face_mixing") & (table["attribute"] == "gender")]
    assert set(zip(mixed["label_source"], mixed["seed"], strict=True)) == {
        (source, seed) for source in ("truth", "predicted", "random") for seed in (0, 1)
    }
    assert (mixed["leak_aware"] <= mixed["leak"]).all()
    assert mixed["leak_pooled"].isna().all()
    spread = pd.read_csv(folder / "axes/seeds.csv")
    assert {2} == set(spread["seeds"])
    said = bench(folder, "claims", *options).stdout
    answers = pd.read_csv(folder / "axes/claims.csv").set_index(["claim", "seed"])["answer"]
    assert "cannot tell" in said
    assert set(answers) <= {"held", "not held", "cannot tell"}
    differences = pd.read_csv(folder / "axes/differences_leak.csv")
    assert set(differences["verdict"]) <= {"higher", "lower", "cannot tell"}


def test_one_new_file_is_a_method_that_is_listed_checked_and_run(first_run):
    folder, _ = first_run
    path = folder / "methods/my_idea.py"
    try:
        bench(folder, "new", "method", "my_idea")
        assert len(path.read_text().splitlines()) <= 30
        assert "my_idea" in bench(folder, "list", "methods").stdout
        assert "checks passed" in bench(folder, "check", "my_idea").stdout
        bench(folder, "run", "--methods", "my_idea", *SMALL, "--out", "mine")
        table = pd.read_csv(folder / "mine/leaderboard.csv")
        assert "my_idea" in set(table["method"])
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["run", "--methods", "privacinet"], 2, "unknown method 'privacinet'; did you mean privacynet"),
        (["run", "--methods", "san:up"], 2, "unknown variant of san 'up'"),
        (["run", "--dataset", "celeba"], 2, "--data"),
        (["run", "--dataset", "celeba", "--data", "nowhere"], 2, "nowhere"),
        (["run", "--set", "sede=3"], 2, "unknown configuration key 'sede'; did you mean seed"),
        (["run", "--set", "options.san.stepz=3"], 2, "unknown option of san 'stepz'; did you mean steps?"),
        (["run", "--size", "100"], 2, "not 100"),
        (["check", "nothing_like_it"], 2, "unknown component"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, arguments, status, said):
    found = bench(tmp_path, *arguments, check=False)
    assert found.returncode == status, found.stderr
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_a_failing_method_is_a_row_and_an_exit_status_not_the_end_of_the_run(first_run):
    folder, _ = first_run
    path = folder / "methods/broken.py"
    path.write_text(
        "from bench.api import Method\n\n\nclass Broken(Method):\n"
        "    title = 'Broken'\n    obfuscates = ('gender',)\n\n"
        "    def _protect(self, images, request):\n        return images * 9\n"
    )
    try:
        found = bench(folder, "run", "--methods", "broken,blur", *SMALL, "--out", "broken", check=False)
    finally:
        path.unlink()
    assert found.returncode == 1
    assert "must stay in [0, 1]" in found.stderr
    rows = pd.read_parquet(folder / "broken/rows.parquet")
    lost = rows[rows["method"] == "broken"]
    assert set(lost["status"]) == {"failed"}
    assert not rows[(rows["method"] == "blur") & (rows["metric"] == "leak")].empty
