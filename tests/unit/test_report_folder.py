"""The folder of a report: sealed, watched for changes, and written by one command at a time."""

import json
import os

import pytest
from filelock import FileLock

from bench.report_folder import alone, changed, seal, sealed, unseal

REPORT = ("leaderboard.csv", "rows.parquet", "plots/roc.png")
OTHERS = ("profile.csv", "training/san.csv", "notes")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "training").mkdir()
    for name in (
        "leaderboard.csv",
        "rows.parquet",
        "plots/roc.png",
        "profile.csv",
        "training/san.csv",
        "notes",
    ):
        (tmp_path / name).write_text(name)
    seal(tmp_path, "this run")
    return tmp_path


def test_a_whole_report_is_known_again_and_that_of_another_run_is_not(folder):
    files = sealed(folder, "this run")
    assert set(files) == set(REPORT)
    assert changed(folder, files) == []
    assert sealed(folder, "another run") is None
    unseal(folder)
    assert sealed(folder, "this run") is None


def test_what_is_missing_or_changed_is_named_and_nothing_else(folder):
    files = sealed(folder, "this run")
    status = (folder / "rows.parquet").stat()
    (folder / "rows.parquet").write_text("rows.parqueT")
    os.utime(folder / "rows.parquet", ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "plots/roc.png").unlink()
    for name in OTHERS:
        (folder / name).write_text("new")
    assert changed(folder, files) == ["plots/roc.png", "rows.parquet"]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", json.dumps({"stamp": "this run"})])
def test_a_damaged_seal_seals_nothing(folder, text):
    (folder / ".stamp").write_text(text)
    assert sealed(folder, "this run") is None


def test_one_command_at_a_time_writes_and_what_a_killed_one_left_is_removed(tmp_path):
    (tmp_path / "plots").mkdir()
    left = tmp_path / "plots" / ".new-00000000-1-x"
    left.write_text("half")
    os.utime(left, (1e9, 1e9))
    other, said = FileLock(tmp_path / ".lock"), []
    other.acquire()

    def say(line):
        said.append(line)
        other.release()

    with alone(tmp_path, say):
        assert not left.exists()
    assert said == [f"another command is writing to {tmp_path}; waiting for it"]
