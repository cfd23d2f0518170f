"""Disks that are full, read-only or no folder: one clear line, nothing lost, and then the same bytes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from bench.cells import Cell, Environment, Recent
from bench.engines import schedule
from bench.engines.work import Report, attempt
from bench.store import Artefact, Store, StoreError, digest
from bench.user_photos.photo import Task
from bench.user_photos.processes import _attempt as protect_photo

from .command import Command, different, trouble
from .counting import counted
from .places import change, small_disk


def _refused(command: Command, *words: str, status: int = 1) -> None:
    """The command fails with one line that says what, where and what to do, and blames no cell."""
    found, said = command.finish()
    assert found == status, said[-3000:]
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said[-3000:]
    assert all(word in errors[0] for word in words), errors[0]
    assert "Traceback" not in said
    assert "failed: " not in said


def _ends_equal(command: Command, expected: dict[str, bytes]) -> None:
    status, said = command.finish()
    assert status == 0, said[-3000:]
    assert different(command.results(), expected) == []
    assert trouble(command) == []


@pytest.mark.faults
@pytest.mark.parametrize(
    ("full", "room"),
    [
        ("size=256k", "size=400m"),
        ("size=3m", "size=400m"),
        ("size=9m", "size=400m"),
        ("nr_inodes=60", "nr_inodes=20000"),
    ],
)
def test_a_store_on_a_full_disk(finished, tmp_path, full, room):
    command, expected = finished
    with small_disk(tmp_path / "disk", full) as disk:
        mine = Command(command.code, disk / "store", tmp_path / "out")
        _refused(mine, str(mine.store), "No space left on device", "make room", "repeat the command")
        change(disk, room)
        _ends_equal(mine, expected)
    counted("full disk", f"store, {full}", "refused, then equal bytes")


@pytest.mark.faults
@pytest.mark.parametrize("full", ["size=64k", "size=700k"])
def test_a_report_on_a_full_disk(finished, tmp_path, full):
    command, expected = finished
    with small_disk(tmp_path / "disk", full) as disk:
        mine = Command(command.code, command.store, disk / "out")
        _refused(mine, str(mine.out), "No space left on device")
        change(disk, "size=400m")
        _ends_equal(mine, expected)
    counted("full disk", f"report, {full}", "refused, then equal bytes")


@pytest.mark.faults
def test_a_store_that_may_only_be_read(finished, tmp_path):
    command, expected = finished
    with small_disk(tmp_path / "disk", "size=400m") as disk:
        mine = Command(command.code, disk / "store", tmp_path / "out")
        mine.store.mkdir()
        change(disk, "ro")
        _refused(mine, str(mine.store), "Read-only file system", "make room there or correct its permissions")
        change(disk, "rw")
        _ends_equal(mine, expected)
        change(disk, "ro")
        (mine.out / "leaderboard.csv").unlink()
        _ends_equal(mine, expected)  # what is whole need not be written to
    counted("read-only", "store, with nothing in it", "refused, then equal bytes")
    counted("read-only", "store, with all in it", "equal bytes")


@pytest.mark.faults
def test_a_report_that_may_not_be_written(finished, tmp_path):
    command, expected = finished
    with small_disk(tmp_path / "disk", "size=400m") as disk:
        mine = Command(command.code, command.store, disk / "out")
        change(disk, "ro")
        _refused(mine, str(disk), "Read-only file system")
        change(disk, "rw")
        _ends_equal(mine, expected)
    counted("read-only", "report", "refused, then equal bytes")


@pytest.mark.faults
@pytest.mark.parametrize("place", ["store", "out"])
def test_a_file_where_a_folder_should_be(finished, tmp_path, place):
    command, expected = finished
    places = {"store": command.store, "out": tmp_path / "out", place: tmp_path / "file"}
    (tmp_path / "file").write_text("mine")
    mine = Command(command.code, **places)
    _refused(mine, f"{place}: this is a file; name a folder", status=2)
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "file").unlink()
    _ends_equal(mine, expected)
    counted("no folder", place, "refused, then equal bytes")


class _Places:
    """One place, which finds the disk full."""

    def __init__(self) -> None:
        self.started, self.closed = [], False

    def need(self, cell):
        return 0

    def free(self, cell):
        return None if self.started else 0

    def start(self, place, cell):
        self.started.append(cell)

    def wait(self):
        return [(0, Report("unwritable", "no room"))]

    def where(self, place):
        return ""

    def close(self):
        self.closed = True


def test_no_cell_is_handed_out_any_more_once_one_could_not_be_stored(tmp_path):
    cells, places, heard = [Cell("faces", {"n": n}) for n in range(9)], _Places(), []
    with pytest.raises(StoreError, match="no room"):
        schedule.execute(cells, Store(tmp_path), places, heard.append)
    assert places.closed
    assert [event.kind for event in heard] == ["start"]
    assert len(places.started) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_that_a_stage_meets_is_no_fault_of_its_cell(tmp_path, monkeypatch, number):
    def full(job):
        raise OSError(number, os.strerror(number), "/somewhere/file")

    monkeypatch.setattr("bench.engines.work.run_cell", full)
    report = _attempt(tmp_path)
    assert (report.kind, report.text.split(";")[0]) == (
        "unwritable",
        f"cannot write /somewhere/file: {os.strerror(number)}",
    )
    (tmp_path / "file").write_text("x")
    assert _attempt(tmp_path / "file").kind == "unwritable"
    monkeypatch.setattr("bench.engines.work.run_cell", lambda job: 1 / 0)
    assert _attempt(tmp_path).kind == "failed"


def test_a_full_disk_ends_the_protection_of_a_folder_and_is_no_fault_of_a_photograph():
    class Protector:
        def protect(self, task):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/faces/a.png")

    told = protect_photo(Protector(), Task("a.png", {}))
    assert told.startswith("cannot write /out/faces/a.png: No space left on device; make room there")


def _attempt(store):
    return attempt(Cell("faces", {}), Store(store), Recent(1), Environment(store), {}, lambda report: None)


def test_an_artefact_above_a_limit_is_refused_and_nothing_of_it_left(tmp_path):
    """The stand-in for a quota that needs no superuser: the largest file that the process may write."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from bench.store import Artefact, Store, StoreError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    Store(Path(sys.argv[1])).save('ab' * 32, Artefact({'x': np.zeros(99999)}), {})\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write to the store {tmp_path}: File too large; make room there")
    assert [p.name for p in (tmp_path / "new").iterdir()] == []
    assert Store(tmp_path).stored() == []
    counted("full disk", "limit on the size of a file", "refused")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_store_of_somebody_else(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match=f"cannot write to the store {tmp_path}: Permission denied"):
        Store(tmp_path).save(digest("work"), Artefact(), {})
    tmp_path.chmod(0o755)
    counted("read-only", "store of somebody else", "refused")
