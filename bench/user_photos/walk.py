"""Lists what lies below a folder of the user's; nothing is opened, no link is followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError, UsageError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".mpo")


@dataclass(frozen=True)
class Entry:
    """path: below the folder, parts joined by "/", bytes that are no UTF-8 as lone surrogates.
    skipped: why it is not looked into, or an empty string. unlisted: that reason is a folder's that cannot be
    read, so that nobody knows what is in it.
    """

    path: str
    skipped: str = ""
    unlisted: bool = False


def check_folders(source: Path, target: Path) -> None:
    """Raises InputError when `source` is no folder, UsageError when one lies inside the other."""
    if not source.is_dir():
        raise InputError(f"no such folder: {source}; give the folder of photographs")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is no folder; give a new or an empty one for the protected faces")
    inside, outside = source.resolve(), target.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise UsageError(
            f"{target} and {source} lie inside each other; give a folder elsewhere, so that nothing "
            "protected is taken for an original or overwrites one"
        )


def entries(root: Path) -> list[Entry]:
    """Every file below `root`, and the folders that are named like pictures, in order of their bytes.

    Symbolic links, hidden entries and special files are listed as skipped; hidden folders are not entered.
    """
    found = _below(os.fspath(root), "")
    return sorted(found, key=lambda entry: [os.fsencode(part) for part in entry.path.split("/")])


def _below(folder: str, path: str) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as listing:
            children = list(listing)
    except OSError as error:
        yield Entry(path or ".", f"the folder cannot be listed: {error.strerror}", unlisted=True)
        return
    for child in children:
        below = f"{path}/{child.name}" if path else child.name
        if child.is_symlink():
            yield Entry(below, "a symbolic link, which is not followed")
        elif child.name.startswith("."):
            yield Entry(below, "hidden")
        elif child.is_dir(follow_symlinks=False):
            if child.name.lower().endswith(_SUFFIXES):
                yield Entry(below, "a folder, not a picture; what is in it is listed")
            yield from _below(child.path, below)
        elif child.is_file(follow_symlinks=False):
            yield Entry(below)
        else:
            yield Entry(below, "neither file nor folder")
