"""Damage to every kind of file, and the same command after it: equal bytes, and a word on what was wrong."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from bench.store import Store

from .command import Command, different, trouble
from .corruptions import HARMLESS, OF_ANY_FILE, OF_ARTEFACTS, CellHarm, cut, flip, make_folder, write
from .counting import counted

_AT_ONCE = 16
"""Harms to as many artefacts before the command is repeated: each is named by itself."""


@pytest.fixture
def fresh(finished, tmp_path):
    """The same command on a copy of the store and the report."""
    command, expected = finished
    copy = Command(command.code, tmp_path / "store", tmp_path / "out")
    shutil.copytree(command.store, copy.store)
    shutil.copytree(command.out, copy.out)
    return copy, expected


def _batches() -> list[dict[str, CellHarm]]:
    harms = iter((OF_ARTEFACTS | HARMLESS).items())
    return [*iter(lambda: dict(islice(harms, _AT_ONCE)), {})]


def _ends_equal(command: Command, expected: dict[str, bytes]) -> str:
    status, said = command.finish()
    assert status == 0, said[-3000:]
    assert different(command.results(), expected) == []
    return said


def _outcome(name: str, key: str, title: str, said: str, verified: str) -> str:
    """What came of a harm, by what the command and `store verify` said."""
    if f"made again: {title}: " in said:
        return "named and repaired"
    if f"damaged {key[:12]}: " in verified:
        return "not read; found by verify"
    if name in HARMLESS:
        return "harmless"
    assert name == "folder: missing"  # of which nothing is left that could be named
    return "made again"


def _harmed(command: Command, harms: dict[str, CellHarm], first: int) -> dict[str, str]:
    """Do each harm to a cell of its own, of every stage in turn; name of the harm -> key."""
    store = Store(command.store)
    by_stage = sorted(store.stored(), key=lambda key: (store.card(key)["provenance"]["stage"], key))
    spare, keys = by_stage[0], by_stage[1:]
    chosen = {name: keys[(first + 5 * n) % len(keys)] for n, name in enumerate(harms)}
    assert len(set(chosen.values())) == len(harms)
    for name, key in chosen.items():
        harms[name](store.folder(key), store.folder(spare))
    return chosen


@pytest.mark.faults
@pytest.mark.parametrize("number", range(len(_batches())))
def test_a_damaged_artefact_is_named_and_made_again_or_found_by_verify(fresh, number):
    command, expected = fresh
    harms = _batches()[number]
    titles = {k: Store(command.store).card(k)["provenance"]["title"] for k in Store(command.store).stored()}
    chosen = _harmed(command, harms, first=number)
    if number % 2:  # the report, which is whole, does not read the scores again
        shutil.rmtree(command.out)
    said = _ends_equal(command, expected)
    status, verified = command.verify()
    outcomes = {name: _outcome(name, key, titles[key], said, verified) for name, key in chosen.items()}
    for name, outcome in outcomes.items():
        counted("damaged artefact, then the same command", name, outcome)
    assert status == int("not read; found by verify" in outcomes.values())
    _ends_equal(command, expected)
    assert trouble(command) == []


@pytest.mark.faults
@pytest.mark.parametrize("name", [*OF_ANY_FILE, "of another training"])
def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path, name):
    command, expected = finished
    mine = Command(command.code, tmp_path / "store", command.out)
    shutil.copytree(command.store, mine.store)
    store = Store(mine.store)
    (key,) = (k for k in store.stored() if store.card(k)["provenance"]["stage"] == "matcher_fit")
    shutil.rmtree(store.folder(key))
    shot = {
        "kind": "after a checkpoint",
        "victim": "all",
        "skip": 0,
        "most": 1,
        "log": str(tmp_path / "shot"),
    }
    places = {"store": str(mine.store), "out": str(mine.out)}
    mine.start(tmp_path / "log", FAULT_SHOT=json.dumps(shot | places)).wait()
    (checkpoint,) = (mine.store / "work" / key).glob("*.checkpoint")
    if name == "of another training":
        checkpoint.rename(checkpoint.with_name("kept"))
        whole = checkpoint.with_name("kept").read_bytes()
        checkpoint.write_bytes(whole[:-32] + bytes(32))
    else:
        OF_ANY_FILE[name](checkpoint)
    said = _ends_equal(mine, expected)
    assert name == "missing" or "is damaged; this training begins anew" in said
    counted("damaged checkpoint, then the same command", name, "named and trained anew")
    assert trouble(mine) == []


def _harm_report(out: Path) -> dict[str, str]:
    """Do something to each of many files of a report; name of the file -> what."""
    harms = {
        "leaderboard.csv": ("the last bit", flip(1)),
        "rows.parquet": ("cut in the middle", cut(0.5)),
        "rows.csv": ("empty", cut(0)),
        "curves.csv": ("one byte short", cut(1)),
        "run.json": ("cut in the middle", cut(0.5)),
        "index.html": ("a bit in the middle", flip(0.5)),
        "resamples.parquet": ("noise", OF_ANY_FILE["noise"]),
        "claims.csv": ("missing", OF_ANY_FILE["missing"]),
        "beside.csv": ("other text", write(b"leak\n0\n")),
        "differences_leak.csv": ("zeros", OF_ANY_FILE["zeros"]),
        f"plots/{sorted((out / 'plots').glob('*.png'))[0].name}": ("cut in the middle", cut(0.5)),
        f"plots/{sorted((out / 'plots').glob('*.svg'))[0].name}": ("missing", OF_ANY_FILE["missing"]),
    }
    for name, (_, harm) in harms.items():
        harm(out / name)
    return {name: what for name, (what, _) in harms.items()}


@pytest.mark.faults
def test_a_damaged_report_is_named_and_written_again(fresh):
    command, expected = fresh
    harms = _harm_report(command.out)
    said = _ends_equal(command, expected)
    line = next(line for line in said.splitlines() if line.startswith("not as it was written: "))
    for name, what in harms.items():
        assert name in line
        counted("damaged report, then the same command", f"{name}: {what}", "named and written again")


@pytest.mark.faults
@pytest.mark.parametrize("name", ["empty", "noise", "missing", "cut in the middle"])
def test_a_damaged_seal_has_the_report_written_again(fresh, name):
    command, expected = fresh
    OF_ANY_FILE[name](command.out / ".stamp")
    (command.out / "leaderboard.csv").write_text("leak\n0\n")
    assert "writing the report" in _ends_equal(command, expected)
    counted("damaged report, then the same command", f".stamp: {name}", "written again")


@pytest.mark.faults
def test_a_folder_in_the_place_of_a_file_of_the_report_is_refused(fresh):
    command, expected = fresh
    make_folder(command.out / "rows.csv")
    status, said = command.finish()
    assert status == 1
    assert said.splitlines()[-1].startswith(f"error: {command.out / 'rows.csv'}: Is a directory; ")
    shutil.rmtree(command.out / "rows.csv")
    _ends_equal(command, expected)
    counted("damaged report, then the same command", "rows.csv: a folder", "refused")


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("name", ["data.safetensors", "card.json"])
def test_what_may_not_be_read_is_made_again(fresh, name):
    command, expected = fresh
    store = Store(command.store)
    (store.folder(store.stored()[3]) / name).chmod(0)
    _ends_equal(command, expected)
    counted("damaged artefact, then the same command", f"{name}: not to be read", "repaired")
