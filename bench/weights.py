"""Finds files of foreign weights in a folder and refuses any whose bytes are not the known ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.weights_catalogue import PRETRAINED, Entry

__all__ = ["ENVIRONMENT_VARIABLE", "PRETRAINED", "Entry", "WeightsFolder", "pretrained_file"]

ENVIRONMENT_VARIABLE = "BENCH_WEIGHTS"

_HEAD = 512
_HASHES: dict[tuple[str, int, int], str] = {}


class WeightsFolder:
    """A folder of pretrained files, each checked against its SHA-256 before anybody reads it.

    Raises InputError when `root` is not a folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(
                f"no such folder of weights: {self.root}; correct --weights or {ENVIRONMENT_VARIABLE}"
            )

    @classmethod
    def find(cls, explicit: Path | None = None) -> WeightsFolder | None:
        """The folder given, else the one `BENCH_WEIGHTS` names, else None."""
        root = explicit or os.environ.get(ENVIRONMENT_VARIABLE)
        return cls(Path(root)) if root else None

    def path(self, pretrained: Pretrained) -> Path:
        """Where the file is. Raises Unavailable when it is missing, is no weights file or is another one."""
        path = self.root / pretrained.file
        remedy = f"put the file of {pretrained.source} there"
        if not path.is_file():
            raise Unavailable(f"weights file {pretrained.file} is not in {self.root}", remedy)
        try:
            foreign = _what_is_wrong(path)
            found = _sha256(path)
        except OSError as error:
            raise Unavailable(
                f"weights file {path} cannot be read: {error.strerror}", "check its permissions"
            ) from error
        if foreign:
            raise Unavailable(f"weights file {path} is {foreign}", remedy)
        if found != pretrained.sha256:
            raise Unavailable(
                f"weights file {path} has SHA-256 {found}, expected {pretrained.sha256}", remedy
            )
        return path


def pretrained_file(pretrained: Pretrained, weights: WeightsFolder | None) -> Path:
    """The verified file, or Unavailable with the remedy when there is no folder to look in."""
    if weights is None:
        raise Unavailable(
            f"pretrained weights {pretrained.file} are not at hand",
            f"give --weights FOLDER or set {ENVIRONMENT_VARIABLE}",
        )
    return weights.path(pretrained)


def _what_is_wrong(path: Path) -> str:
    """What a file is that certainly holds no plain numbers, or an empty string.

    A pickle is refused even if its checksum were the expected one: reading it runs whatever code is in it.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "empty"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page, not weights (a download that needed a login or a confirmation)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    if head[0] == 0x80 and 2 <= head[1] <= 5:
        return "a Python pickle, which runs code when it is read"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive (torch.save writes such pickles), not plain weights"
    return ""


def _sha256(path: Path) -> str:
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _HASHES:
        with path.open("rb") as file:
            _HASHES[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _HASHES[key]
