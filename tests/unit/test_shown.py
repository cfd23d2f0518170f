"""Names from data on a terminal: they say what they are and do nothing."""

from __future__ import annotations

import sys

import pytest

from bench import cli
from bench.shown import one_line, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve 李明 ☺", "naïve 李明 ☺"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\nerror: b", r"a\x0aerror: b"),
        ("bell\a", r"bell\x07"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("bad \udcff byte", r"bad \xff byte"),
        ("half \ud800", r"half \ud800"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_would_act_on_a_screen_is_spelt_out(text: str, shown: str) -> None:
    assert readable(text) == shown
    assert readable(shown) == shown
    shown.encode()


def test_a_message_stays_on_its_line() -> None:
    assert one_line("failed: a\nerror: b\x1b[0m") == r"failed: a error: b\x1b[0m"


def test_errors_of_the_command_line_are_shown_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "check", "\x1b]0;title\a\udcff\nok   all checks passed"])
    with pytest.raises(SystemExit):
        cli._fail(ValueError("x"), "no \x1b[31mcolour\nok", 2)
    assert capsys.readouterr().err == "error: no \\x1b[31mcolour ok\n"
