"""Every row of the table of bad inputs: refused by name, in one line, with nothing written."""

from __future__ import annotations

import hashlib
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import cli, discover

from .bad_files import SITE
from .bad_inputs import TABLE, Bad
from .counting import counted

SLOW = ("command line", "components")
"""Areas whose rows import and draw so much that they take the most of the time."""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` takes the signals of a command; the tests keep theirs."""
    kept = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    yield
    for sign, handler in kept.items():
        signal.signal(sign, handler)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What lies in the folder `site` counts as installed, and nothing is left of it."""
    monkeypatch.syspath_prepend(tmp_path / SITE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    discover.components.cache_clear()
    yield
    discover.components.cache_clear()
    sys.modules.pop("bad_part", None)


def _tree(folder: Path) -> dict[str, str]:
    """What lies in a folder: path -> checksum, or where a link leads."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_the_table_has_a_hundred_rows_of_different_names() -> None:
    assert len(TABLE) >= 100
    assert [name for name, n in Counter((b.area, b.name) for b in TABLE).items() if n > 1] == []


def _row(bad: Bad) -> object:
    return pytest.param(
        bad, id=f"{bad.area}: {bad.name}", marks=[pytest.mark.slow] if bad.area in SLOW else []
    )


@pytest.mark.parametrize("bad", [_row(bad) for bad in TABLE])
def test_a_bad_input_is_refused_by_name_and_nothing_else_happens(
    bad: Bad,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_weights: None,
    request: pytest.FixtureRequest,
) -> None:
    bad.make(tmp_path)
    if (tmp_path / SITE).exists():
        request.getfixturevalue("installed")
    monkeypatch.chdir(tmp_path)
    before = _tree(tmp_path)
    if isinstance(bad.run, str):
        message = _typed(bad.run, bad.outcome, monkeypatch, capsys)
    else:
        assert isinstance(bad.outcome, type)
        with pytest.raises(bad.outcome) as raised:
            bad.run(tmp_path)
        message = str(raised.value)
    for phrase in bad.said:
        assert phrase in message
    assert _tree(tmp_path) == before
    counted("bad input", f"{bad.area}: {bad.name}", "refused")


def _typed(
    command: str, status: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a command says: its error, or with status 1 its findings."""
    monkeypatch.setattr(sys, "argv", ["bench", *shlex.split(command)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert left.value.code == status, (out, err)
    assert "Traceback" not in out + err
    assert all(sign.isprintable() for sign in (out + err).replace("\n", ""))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == (status == 2)
    return errors[0] if errors else out
