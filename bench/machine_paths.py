"""Keeps what only one machine knows, its folders, out of what is shown to others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PART = r"[^\s/\\:;,'\"`()<>|]+"
_START = r"(?:(?<=file://)|(?<![\w.:/~<>\\]))"
_FOLDER = re.compile(
    rf"{_START}(?:~?/(?:{_PART}/)+(?P<posix>{_PART})?|[A-Za-z]:\\(?:{_PART}\\)*(?P<windows>{_PART})?)"
)
"""An absolute path of at least two parts, or one on a drive; addresses and fractions are none."""


def machine_paths(text: str) -> list[str]:
    """The absolute paths in a text, in order."""
    return [match.group() for match in _FOLDER.finditer(text)]


def without_paths(text: str) -> str:
    """The text with each absolute path cut to its last part."""
    return _FOLDER.sub(lambda match: match["posix"] or match["windows"] or _last(match.group()), text)


def plain(value: Any) -> Any:
    """A value as JSON and YAML know it: paths as their last part, also inside texts; tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.name if value.is_absolute() or ".." in value.parts else value.as_posix()
    return without_paths(value) if isinstance(value, str) else value


def _last(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
