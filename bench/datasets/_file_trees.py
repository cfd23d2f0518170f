"""Files of a publisher in folders within folders, or still in the zip that holds them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from zipfile import ZipInfo

from bench.datasets._image_files import ImageFiles, open_zip, read_below, read_member
from bench.errors import InputError

PHOTOS = (".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of photographs, in lower case."""


class FolderTree:
    """The files below a folder that end in one of `endings`; names are paths below it with `/`.

    Hidden files and folders are passed over, and linked folders are not entered.
    """

    def __init__(self, folder: Path, endings: Collection[str] = PHOTOS) -> None:
        self.where = str(folder)
        self._folder = folder
        self._names: set[str] = set()
        for place, folders, files in os.walk(folder):
            folders[:] = [f for f in folders if not _is_hidden(f)]
            prefix = Path(place).relative_to(folder).as_posix()
            prefix = "" if prefix == "." else f"{prefix}/"
            self._names |= {prefix + f for f in files if _is_wanted(f, endings)}

    def names(self) -> Collection[str]:
        """Paths below the folder, in no special order."""
        return self._names

    def crc(self, name: str) -> int:
        """CRC-32 of the file's bytes."""
        return zlib.crc32(self.read(name))

    def read(self, name: str) -> bytes:
        """The file's bytes. Raises InputError naming it, also where a link leads out of the folder."""
        return read_below(self._folder, name)


class ZipTree:
    """The files in a zip that end in one of `endings`; names are their paths in it.

    Raises InputError when the zip cannot be opened or holds two files of one path.
    """

    def __init__(self, path: Path, endings: Collection[str] = PHOTOS) -> None:
        self.where = str(path)
        self._zip = open_zip(path)
        self._members: dict[str, ZipInfo] = {}
        for member in self._zip.infolist():
            folders, _, name = member.filename.rpartition("/")
            if not _is_wanted(name, endings) or any(map(_is_hidden, folders.split("/"))):
                continue
            if member.filename in self._members:
                raise InputError(f"{path} holds two files called {member.filename}; keep one")
            self._members[member.filename] = member

    def names(self) -> Collection[str]:
        """Paths in the zip, in no special order."""
        return self._members.keys()

    def crc(self, name: str) -> int:
        """CRC-32 of the file's bytes, as the zip's directory says."""
        return self._members[name].CRC

    def read(self, name: str) -> bytes:
        """The file's bytes. Raises InputError naming it."""
        return read_member(self._zip, self._members[name])


def find_tree(root: Path, names: Iterable[str], endings: Collection[str] = PHOTOS) -> ImageFiles | None:
    """The first of the folders `names` in `root`, or of the zips of those names, that has such files."""
    for name in names:
        for tree in _trees(root, name, endings):
            if tree.names():
                return tree
    return None


def _trees(root: Path, name: str, endings: Collection[str]) -> Iterable[ImageFiles]:
    if (root / name).is_dir():
        yield FolderTree(root / name, endings)
    if name and (root / f"{name}.zip").is_file():
        yield ZipTree(root / f"{name}.zip", endings)


def _is_wanted(name: str, endings: Collection[str]) -> bool:
    return name.lower().endswith(tuple(endings)) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
