"""Image files of a publisher, in a folder or still in its zip, read one by one."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile, ZipFile, ZipInfo

from bench.errors import InputError


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
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {self.folder / name}: {error.strerror}") from error


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


def open_zip(path: Path) -> ZipFile:
    """The zip at `path`. Raises InputError when it is none, or cut short."""
    try:
        return ZipFile(path)
    except (BadZipFile, OSError) as error:
        raise InputError(f"{path} is not a complete zip ({error}); fetch it again") from error


def read_member(archive: ZipFile, member: ZipInfo) -> bytes:
    """The bytes of a file in `archive`. Raises InputError naming both."""
    try:
        return archive.read(member)
    except (BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        name = member.filename.rpartition("/")[2]
        raise InputError(f"cannot read {name} in {archive.filename}: {error}; fetch the zip again") from error


def _is_image(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix) and not name.startswith(".")
