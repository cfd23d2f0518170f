"""Image files of a publisher, in a folder or still in its zip, read one by one."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile, ZipFile, ZipInfo

from bench.errors import InputError
from bench.outside import read_bytes

MOST_BYTES = 2**28
"""Of one image file; a larger one is no photograph."""


class ImageFiles(Protocol):
    """Named files somewhere. `where` is for messages."""

    where: str

    def names(self) -> Collection[str]:
        """File names without folders, in no special order."""
        ...

    def crc(self, name: str) -> int:
        """CRC-32 of the file's bytes."""
        ...

    def read(self, name: str) -> bytes:
        """The file's bytes. Raises InputError naming it."""
        ...


class FolderImages:
    """The files of one folder that end in `suffix`."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.where = str(folder)
        self.folder = folder
        self._names = {p.name for p in folder.iterdir() if _is_image(p.name, suffix)}

    def names(self) -> Collection[str]:
        return self._names

    def crc(self, name: str) -> int:
        return zlib.crc32(self.read(name))

    def read(self, name: str) -> bytes:
        return read_below(self.folder, name)


class ZipImages:
    """The files in a zip that end in `suffix`, whatever folder of it they are in.

    Raises InputError when the zip cannot be opened or holds two files of one name.
    """

    def __init__(self, path: Path, suffix: str) -> None:
        self.where = str(path)
        self._zip = open_zip(path)
        self._members: dict[str, ZipInfo] = {}
        for member in self._zip.infolist():
            folder, _, name = member.filename.rpartition("/")
            if not _is_image(name, suffix) or folder.startswith("__MACOSX"):
                continue
            if name in self._members:
                raise InputError(f"{path} holds two files called {name}; keep one")
            self._members[name] = member

    def names(self) -> Collection[str]:
        return self._members.keys()

    def crc(self, name: str) -> int:
        return self._members[name].CRC

    def read(self, name: str) -> bytes:
        return read_member(self._zip, self._members[name])


def read_below(folder: Path, name: str) -> bytes:
    """The bytes of an image file in `folder`. Raises InputError naming it, also for a link that leads out of
    the folder, for what is no regular file, and for more than `MOST_BYTES`."""
    path = folder / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise InputError(f"{path} is a link that leaves {folder}; put the file itself there")
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
        raise InputError(f"cannot read {path}: {error}") from error
    return read_bytes(path, MOST_BYTES)


def open_zip(path: Path) -> ZipFile:
    """The zip at `path`. Raises InputError when it is none, or cut short."""
    try:
        return ZipFile(path)
    except (BadZipFile, OSError, ValueError, NotImplementedError, OverflowError) as error:
        raise InputError(f"{path} is not a complete zip ({error}); fetch it again") from error


def read_member(archive: ZipFile, member: ZipInfo, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file in `archive`, which never unpacks to more than it announces. Raises InputError
    naming both, also where it announces more than `most`."""
    name = member.filename.rpartition("/")[2]
    if member.file_size > most:
        raise InputError(
            f"{name} in {archive.filename} announces {member.file_size:,} bytes, expected at most {most:,}; "
            "fetch the zip again"
        )
    try:
        return archive.read(member)
    except (
        *(BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, zlib.error, lzma.LZMAError),
        *(ValueError, OverflowError),
    ) as error:
        raise InputError(f"cannot read {name} in {archive.filename}: {error}; fetch the zip again") from error


def _is_image(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix) and not name.startswith(".")
