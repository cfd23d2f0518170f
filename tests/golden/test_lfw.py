"""Published matchers on two folds of LFW View 2, from the publisher's zip to accuracy.

The figures beside the weights were recorded on 1,200 random pairs of the ten folds, with other landmarks. All
ten folds take minutes: `python -m bench run --protocol lfw`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from bench.config import load_config
from bench.run import run

pytestmark = pytest.mark.slow

FOLDS = 2
RECORDED = {
    "intel_reid": (0.9950, 0.9988),
    "mobilefacenet_y1": (0.9958, 0.9987),
    "mobilefacenet_ms1m": (0.9933, 0.9988),
}
"""Accuracy and AUC."""
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    data, weights = (os.environ.get(name) for name in ("BENCH_DATA", "BENCH_WEIGHTS"))
    if not data or not (Path(data) / "lfw_view2").is_dir():
        pytest.skip("LFW View 2 is not at hand: set BENCH_DATA to the folder that holds lfw_view2")
    if not weights:
        pytest.skip("pretrained networks are not at hand: set BENCH_WEIGHTS")
    real, folder = Path(data) / "lfw_view2", tmp_path_factory.mktemp("lfw")
    (folder / "lfw-deepfunneled.zip").symlink_to(real / "lfw-deepfunneled.zip")
    lines = (real / "pairs.txt").read_text("utf-8").splitlines()
    listed = [f"{FOLDS}\t300", *lines[1 : 1 + FOLDS * 600]]
    (folder / "pairs.txt").write_text("\n".join(listed) + "\n", "utf-8")
    options = {
        "protocol": "lfw",
        "data": (folder,),
        "weights": Path(weights),
        "matchers": tuple(RECORDED),
        "store": folder / "store",
        "out": folder / "out",
    }
    said: list[str] = []
    assert run(load_config(None, options), said.append) == 0, said
    return pd.read_parquet(folder / "out" / "rows.parquet")


@pytest.mark.parametrize("matcher", RECORDED)
def test_a_matcher_reaches_what_was_recorded(rows: pd.DataFrame, matcher: str) -> None:
    own = rows[(rows["component"] == matcher) & (rows["condition"] == "original-original")]
    figures = {
        "accuracy": own[own["metric"] == "verification_accuracy"],
        "auc": own[(own["metric"] == "auc") & (own["policy"] == "reset")],
    }
    for (name, found), recorded in zip(figures.items(), RECORDED[matcher], strict=True):
        (line,) = found.to_dict("records")
        assert line["value"] == pytest.approx(recorded, abs=TOLERANCE), (name, line["value"])
        assert line["ci_low"] < line["value"] < line["ci_high"] or line["value"] == 1
        assert line["n_failed"] == 0, "a face is found in every photograph"
    assert figures["accuracy"]["n"].item() == FOLDS * 600
    assert figures["accuracy"]["operating_point"].item() == f"folds={FOLDS}"
    tmr = own[(own["metric"] == "tmr") & (own["operating_point"] == "fmr=0.01")]
    assert tmr["status"].item() == "undefined", "600 non-mated pairs do not decide a threshold at FMR 1 %"
    assert "1,000 non-mated" in tmr["reason"].item()
