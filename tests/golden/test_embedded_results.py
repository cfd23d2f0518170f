"""What the shipped generators do on the embedded faces, with the whole pool of attackers and matchers."""

import os
import subprocess
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

METHODS = (
    "original,constant,grey,san:op,flowsan:n=1,flowsan:n=3,privacynet:gender,gender_an:GAttrAM,"
    "baseline_gan:gender,face_mixing:a=0.5,san_ensemble:avg-n=3,san_ensemble:best-n=3"
)
PROTECTING = [
    ("san", "op"),
    ("flowsan", "n=3"),
    ("privacynet", "gender"),
    ("gender_an", "GAttrAM"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("BENCH_WEIGHTS", None)
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--methods",
        METHODS,
        "--attributes",
        "gender,race,age_group",
        "--threats",
        "aware",
        "--set=quality_images=2",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "auxiliary" not in done.stderr  # the shipped weights fit: nothing was trained against networks
    return folder / "runs/synthetic"


@pytest.fixture(scope="module")
def gender(results):
    board = pd.read_csv(results / "leaderboard.csv")
    return board[board["attribute"] == "gender"].set_index(["method", "variant"])


def line(gender, method, variant="default"):
    return gender.loc[(method, variant)]


def test_originals_are_read_and_matched(gender):
    assert line(gender, "original")["leak"] > 0.95
    assert line(gender, "original")["tmr"] > 0.75


@pytest.mark.parametrize(("method", "variant"), PROTECTING)
def test_it_fools_static_attackers_and_keeps_matching(gender, method, variant):
    assert 0.5 <= line(gender, method, variant)["reduction"] <= 1.5
    assert line(gender, method, variant)["tmr_kept"] >= 0.75


def test_san_hides_far_more_than_grey_does(gender):
    assert line(gender, "san", "op")["reduction_low"] > line(gender, "grey")["reduction_high"] + 0.2


def test_flowsan_hides_more_with_more_stages(gender):
    first, third = line(gender, "flowsan", "n=1"), line(gender, "flowsan", "n=3")
    assert third["reduction_low"] > first["reduction"]
    assert third["leak_static"] < first["leak_static"]


def test_face_mixing_loses_more_matching_than_any_of_them(gender):
    mixed = line(gender, "face_mixing", "a=0.5")["tmr_high"]
    assert all(mixed < line(gender, *name)["tmr_low"] for name in PROTECTING)


def test_the_matcher_in_the_loss_is_what_keeps_faces_matching(gender):
    assert (
        line(gender, "baseline_gan", "gender")["tmr_high"] < line(gender, "privacynet", "gender")["tmr_low"]
    )


def test_the_best_of_three_bounds_their_mean(gender):
    best = line(gender, "san_ensemble", "best-n=3")
    assert best["flags"].split()[0] == "bound"
    assert best["reduction"] > line(gender, "san_ensemble", "avg-n=3")["reduction"]


@pytest.mark.parametrize(("method", "variant"), PROTECTING)
def test_whoever_saw_protected_faces_reads_them(gender, method, variant):
    found = line(gender, method, variant)
    assert found["leak"] >= found["leak_aware"] > 0.9


def test_privacynet_leaves_what_it_should_keep(results):
    rows = pd.read_csv(results / "rows.csv")
    kept = rows[(rows["method"] == "privacynet") & (rows["metric"] == "cac") & (rows["component"] == "pool")]
    assert set(kept["attribute"]) == {"race", "age_group"}
    assert (kept["value"].abs() <= 0.05).all()


def test_the_known_ends_are_the_ends(gender):
    images = gender[gender["level"] == "image"]
    assert line(gender, "constant")["leak"] == 0
    assert line(gender, "original")["leak_static"] == images["leak_static"].max()
    assert line(gender, "original")["tmr"] == images["tmr"].max()
