"""What the shipped generators do on the embedded faces, with the whole pool of attackers and matchers."""

import os
import subprocess
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

METHODS = "original,constant,grey,san:op,privacynet:gender,baseline_gan:gender"


@pytest.fixture(scope="module")
def gender(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("BENCH_WEIGHTS", None)
    command = [sys.executable, "-m", "bench", "run", "--methods", METHODS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "train san" not in done.stderr  # the shipped weights fit
    board = pd.read_csv(folder / "runs/synthetic/leaderboard.csv")
    return board[board["attribute"] == "gender"].set_index("method")


def test_originals_are_read_and_matched(gender):
    assert gender.loc["original", "leak"] > 0.95
    assert gender.loc["original", "tmr"] > 0.75


def test_privacynet_fools_static_attackers_and_keeps_matching(gender):
    assert 0.5 <= gender.loc["privacynet", "reduction"] <= 1.5
    assert gender.loc["privacynet", "tmr_kept"] >= 0.75


def test_san_hides_far_more_than_grey_does_and_keeps_matching(gender):
    assert gender.loc["san", "reduction_low"] > gender.loc["grey", "reduction_high"] + 0.2
    assert gender.loc["san", "tmr_kept"] >= 0.75


def test_the_matcher_in_the_loss_is_what_keeps_faces_matching(gender):
    assert gender.loc["baseline_gan", "tmr_high"] < gender.loc["privacynet", "tmr_low"]


def test_the_known_ends_are_the_ends(gender):
    assert gender.loc["constant", "leak"] == 0
    assert gender.loc["original", "leak"] == gender["leak"].max()
    assert gender.loc["original", "tmr"] == gender["tmr"].max()
