"""A run that estimates age: from the labels to the leaderboard, with both ends of the scale."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SMALL = [
    "--dataset", "synthetic",
    "--methods", "original,blur,constant",
    "--attackers", "svm,kernel_ridge,knn_regression",
    "--matchers", "se_resnet",
    "--threats", "static,folded,aware",
    *(f"--set=dataset_options.{pool}_{what}={count}" for pool, what, count in (
        ("develop", "people", 20), ("validation", "people", 5), ("attack", "people", 100),
        ("test", "people", 40), ("test", "images", 3),
    )),
    "--set=options.se_resnet.steps=60",
    "--set=resamples=100",
    "--set=quality_images=10",
]  # fmt: skip


def bench(folder: Path, *arguments: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", *SMALL, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    bench(folder, "--attributes", "gender,age")
    return folder


def ages(folder: Path, out: str = "runs/synthetic") -> pd.DataFrame:
    rows = pd.read_csv(folder / out / "rows.csv")
    found = rows[(rows["attribute"] == "age") & (rows["status"] == "ok")]
    return found.set_index(["method", "threat", "component", "metric"])


def test_original_and_constant_are_the_ends_of_the_scale(both):
    found = ages(both)
    chance = found.loc[("original", "static", "pool", "mae_chance"), "value"]
    for threat in ("static", "folded", "aware", "worst"):
        assert found.loc[("constant", threat, "pool", "mae"), "value"] == pytest.approx(chance)
    clean = {
        name: found.loc[("original", "static", f"{name}@se_resnet", "mae"), "value"]
        for name in ("kernel_ridge", "knn_regression")
    }
    assert found.loc[("original", "static", "pool", "mae"), "value"] == min(clean.values()) < 0.9 * chance
    assert found.loc[("original", "static", "pool", "mae_shift"), "value"] == 0
    assert set(found.loc[found.index.get_level_values("metric") == "mae", "unit"]) == {"years"}


def test_attackers_learn_age_anew_on_protected_faces(both):
    found = ages(both)
    own = found.loc[[i for i in found.index if i[3] == "mae" and i[2] != "pool"]]
    counts = own.groupby(level=["method", "threat"]).size()
    assert set(counts.index.get_level_values("threat")) == {"static", "folded", "aware"}
    assert set(counts) == {2}
    static, aware = (
        found.loc[("constant", threat, "kernel_ridge@se_resnet", "mae"), "value"]
        for threat in ("static", "aware")
    )
    assert aware != static


def test_the_leaderboard_has_age_beside_the_hidden_classes(both):
    board = pd.read_csv(both / "runs/synthetic/leaderboard.csv")
    assert set(board["attribute"]) == {"gender"}
    years = board.set_index("method")
    assert years.loc["original", "mae_years"] < years.loc["constant", "mae_years"]
    assert years.loc["constant", "mae_years"] == pytest.approx(years.loc["constant", "mae_years_chance"])
    page = (both / "runs/synthetic/index.html").read_text(encoding="utf-8")
    assert "Age MAE (years)" in page


def test_age_alone_can_be_asked_for(both):
    bench(both, "--attributes", "age", "--out", "alone")
    alone, beside = ages(both, "alone"), ages(both)
    where = ("blur", "aware", "pool", "mae")
    assert alone.loc[where, "value"] == beside.loc[where, "value"]
