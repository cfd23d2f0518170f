"""Reading what others made: only so much of it, only plain data, and errors that name the file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import outside
from bench.errors import InputError
from bench.files import write_atomically
from bench.outside import parse_json, parse_yaml, read_bytes, read_mat, read_parquet


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "pipe", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path, "directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "a\0b", "null byte"),
    ):
        with pytest.raises(InputError, match=said):
            read_bytes(path, 10)


def test_no_more_than_so_much_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 10)
    assert read_bytes(tmp_path / "f", 10) == b"x" * 10
    with pytest.raises(InputError, match=r"f has more than 9 bytes"):
        read_bytes(tmp_path / "f", 9)
    assert read_bytes(Path("/proc/self/status"), 2**20)


def test_yaml_is_plain_data_of_bounded_size() -> None:
    assert parse_yaml("a: &x {b: [1, 2.5, null, yes]}\nc: *x\n") == {
        "a": {"b": [1, 2.5, None, True]},
        "c": {"b": [1, 2.5, None, True]},
    }
    assert parse_yaml("base: &b {x: 1}\ntop: {<<: *b, y: 2}") == {"base": {"x": 1}, "top": {"x": 1, "y": 2}}
    assert parse_yaml("") is None
    for text, said in (
        ("a: 1\na: 2", "'a' stands twice"),
        ("a: &a [*a]", "holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: 2020-13-01", "month"),
        ("? [1]\n: 2", "unhashable"),
        ("a: b: c", "line 1, column 5"),
    ):
        with pytest.raises(ValueError, match=said):
            parse_yaml(text)


def test_json_has_every_key_once() -> None:
    assert parse_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    for text in (b'{"a": 1, "a": 1}', b"[NaN]", b"[" * 100_000, b"\xff", b"9" * 5000):
        with pytest.raises(ValueError):  # noqa: PT011 - what it says is Python's
            parse_json(text)


def test_a_table_is_counted_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": np.zeros(1000)}).to_parquet(path)
    assert len(read_parquet(path)) == 1000
    monkeypatch.setattr(outside, "_MOST_ROWS", 999)
    with pytest.raises(InputError, match=r"t\.parquet announces 1,000 rows of 1 columns"):
        read_parquet(path)


def test_matrices_are_counted_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "m.mat", {"a": np.zeros((100, 100))}, do_compression=True)
    assert read_mat(tmp_path / "m.mat")["a"].shape == (100, 100)
    monkeypatch.setattr(outside, "_MOST_MATRIX", 70_000)
    with pytest.raises(ValueError, match="unpacks to more than 70,000 bytes"):
        read_mat(tmp_path / "m.mat")


@pytest.mark.parametrize(("mask", "mode"), [("077", 0o600), ("027", 0o640), ("022", 0o644)])
def test_files_are_as_private_as_their_owner_wants(tmp_path: Path, mask: str, mode: int) -> None:
    write = "import pathlib, sys, bench.files as f; f.write_atomically(pathlib.Path(sys.argv[1]), b'')"
    shell = f'umask {mask} && exec "$0" -c "$1" "$2"'
    subprocess.run(["sh", "-c", shell, sys.executable, write, str(tmp_path / "f")], check=True)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


def test_what_is_being_written_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def synced(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))

    monkeypatch.setattr(os, "fsync", synced)
    write_atomically(tmp_path / "f", b"x")
    assert seen[0] == 0o600
