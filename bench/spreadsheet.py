"""Keeps texts in CSV files from being run as formulas by a spreadsheet, and takes them back.

The usual remedy (OWASP, "CSV Injection"): an apostrophe in front. A text that begins with an apostrophe of
its own gets another, so that taking one away always gives the text back. Numbers never pass through here.
"""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet computes."""
    return f"'{text}" if text.startswith(_STARTS) else text


def original(cell: str) -> str:
    """The text that `harmless` made the cell of."""
    return cell.removeprefix("'")
