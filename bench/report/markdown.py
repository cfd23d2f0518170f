"""Markdown as git hosts show it: tables and text in which nothing from data is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

_MARKUP = re.compile(r"[&<>|`*\[\]\\~$!#]|(?<![^\W_])_|_(?![^\W_])|(?<=:)//|(?<=www)\.")
"""Signs that begin markup, a formula, a cell or an address somewhere in the dialects of git hosts."""


def text(value: object) -> str:
    """`value` on one line, each sign that could be markup as a character reference, which shows as itself."""
    line = " ".join(str(value).split())
    return _MARKUP.sub(lambda found: "".join(f"&#{ord(sign)};" for sign in found.group()), line)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()) -> str:
    """A table of escaped cells, closed by a line end. numbers: columns that stand to the right."""
    rule = ["--:" if place in numbers else "---" for place in range(len(headings))]
    lines = [list(map(text, headings)), rule, *(list(map(text, row)) for row in rows)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def link(path: str) -> str:
    """A relative path as the target of a link."""
    return quote(path)


def code(command: str) -> str:
    """A command as a block; indented, so that no sign in it can end the block."""
    return "".join(f"    {line}\n" for line in command.splitlines())
