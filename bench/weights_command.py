"""What `python -m bench weights` does: tells the state of known files, fetches them, adds a user's own."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bench import __version__
from bench.errors import BenchError, InputError, Unavailable, unknown_name
from bench.files import permitted, sweep, temporary_prefix
from bench.weights import (
    ENVIRONMENT_VARIABLE,
    PRETRAINED,
    Entry,
    WeightsFolder,
    checksum,
    pretrained_file,
    sha256_of_file,
)
from bench.weights_format import HEAD, conversion, foreign_kind, is_pickle, read_header

MIRROR_VARIABLE = "BENCH_WEIGHTS_MIRROR"
"""Where `fetch` looks unless it is told: a folder or the address of one, files under their own names."""

Report = Callable[[str, int, int], None]
"""Called with a file's name, the bytes received and the bytes expected."""

_CHUNK = 2**18
_SILENCE = 30.0
_SLOWEST = 2**14
_AGAIN = "fetch it again, or from another place with --from"


@dataclass(frozen=True)
class Checked:
    """A known file and what lies in its place.

    detail: why it is not ready, what to do. found, expected: SHA-256, empty where there is none.
    """

    name: str
    entry: Entry
    state: Literal["ready", "missing", "wrong"]
    detail: str = ""
    found: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Fetched:
    """How fetching a file went; `text` says it in a line."""

    name: str
    state: Literal["ready", "fetched", "not here", "failed"]
    text: str


def writable_folder(explicit: Path | None) -> Path:
    """The weights folder, made if need be. Raises InputError when none is named or it cannot be made."""
    root = explicit or os.environ.get(ENVIRONMENT_VARIABLE)
    if not root:
        raise InputError(f"which folder? give --weights FOLDER or set {ENVIRONMENT_VARIABLE}")
    with _writing(Path(root)):
        Path(root).mkdir(parents=True, exist_ok=True)
    return Path(root)


def check_all(folder: WeightsFolder | None) -> list[Checked]:
    """The state of every known file, in the catalogue's order. All that are there are read."""
    return [_checked(name, entry, folder) for name, entry in PRETRAINED.items()]


def fetch(names: Iterable[str], root: Path, origin: str, report: Report) -> Iterator[Fetched]:
    """Bring files into `root`: the named ones, or all that can be had. What is verified stays untouched.

    origin: a folder or the address of one; empty: each publisher's own address, where there is one.
    Raises UsageError for an unknown name, InputError for an `origin` that is no folder.
    """
    wanted = list(names) or [n for n, e in PRETRAINED.items() if e.pretrained.sha256]
    for name in wanted:
        if name not in PRETRAINED:
            raise unknown_name("weights file", name, PRETRAINED)
    if origin and not _is_address(origin) and not Path(origin).is_dir():
        raise InputError(f"no such folder of weights: {origin}; --from takes a folder or an http(s) address")
    for name in wanted:
        yield _fetched(name, PRETRAINED[name], WeightsFolder(root), origin, report)


def add(name: str, file: Path, root: Path) -> Path:
    """Copy a user's `file` into `root` as the weights `name` and return where it is.

    Where the bytes are not known beforehand, the file must be intact safetensors, for a matcher those of its
    architecture, and from now on its SHA-256 is what counts. Nothing is unpickled. Raises UsageError,
    InputError.
    """
    if name not in PRETRAINED:
        raise unknown_name("weights file", name, PRETRAINED)
    entry, folder = PRETRAINED[name], WeightsFolder(root)
    if entry.pretrained.modules:
        raise InputError(
            f"{name} comes with an installed package; pip install -e '.[{entry.pretrained.extra}]'"
        )
    if not file.is_file():
        raise InputError(f"no such file: {file}")
    _refuse_foreign(name, file, entry)
    with _writing(root), _temporary(root) as copy:
        shutil.copyfile(file, copy)
        sha256 = sha256_of_file(copy)
        if entry.pretrained.sha256 not in ("", sha256):
            raise InputError(f"{file} has SHA-256 {sha256}, expected {entry.pretrained.sha256} for {name}")
        _refuse_foreign(name, copy, entry)
        os.replace(copy, folder.root / entry.pretrained.file)
        if not entry.pretrained.sha256:
            folder.pin(entry.pretrained.file, sha256)
    return folder.path(entry.pretrained)


def _checked(name: str, entry: Entry, folder: WeightsFolder | None) -> Checked:
    expected = checksum(entry.pretrained, folder)
    try:
        path = pretrained_file(entry.pretrained, folder)
    except Unavailable as error:
        place = folder.root / entry.pretrained.file if folder else None
        there = place is not None and place.is_file() and not entry.pretrained.modules
        found = sha256_of_file(place) if there and place and os.access(place, os.R_OK) else ""
        return Checked(name, entry, "wrong" if there else "missing", str(error), found, expected)
    return Checked(name, entry, "ready", "", sha256_of_file(path), expected)


def _fetched(name: str, entry: Entry, folder: WeightsFolder, origin: str, report: Report) -> Fetched:
    pretrained = entry.pretrained
    try:
        path = pretrained_file(pretrained, folder)
        return Fetched(name, "ready", f"already at {path}")
    except Unavailable as error:
        if pretrained.modules:
            return Fetched(name, "not here", str(error))
    if not pretrained.sha256:
        return Fetched(
            name,
            "not here",
            f"nobody but you can vouch for the bytes of a file made from {pretrained.source}; make it, then "
            f"python -m bench weights add {name} FILE",
        )
    place = _place(origin, pretrained.file) if origin else entry.url
    if not place:
        return Fetched(
            name,
            "not here",
            f"{pretrained.file} was converted from {pretrained.source}, which has no such file; copy it into "
            f"{folder.root}, or give --from (or {MIRROR_VARIABLE}) a folder or an address that has it",
        )
    try:
        _receive(place, entry, folder.root, report)
    except BenchError as error:
        return Fetched(name, "failed", str(error))
    return Fetched(name, "fetched", f"{entry.size:,} bytes from {place}")


def _receive(place: str, entry: Entry, root: Path, report: Report) -> None:
    """Bring the file at `place` (an address or a path) into `root`, verified. Raises InputError."""
    digest, received = hashlib.sha256(), 0
    with _writing(root), _temporary(root) as temporary, temporary.open("wb") as out:
        for chunk in _chunks(place, entry):
            out.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            report(entry.pretrained.file, received, entry.size)
        if digest.hexdigest() != entry.pretrained.sha256:
            raise InputError(
                f"{place} has SHA-256 {digest.hexdigest()}, expected {entry.pretrained.sha256}: "
                f"it is not the known {entry.pretrained.file}; {_AGAIN}"
            )
        out.flush()
        os.fsync(out.fileno())
        os.replace(temporary, root / entry.pretrained.file)


def _chunks(place: str, entry: Entry) -> Iterator[bytes]:
    """What is at `place`, as many bytes as expected. Raises InputError for more, fewer, or too slow."""
    received, deadline = 0, time.monotonic() + 2 * _SILENCE + entry.size / _SLOWEST
    try:
        with _opened(place) as (source, announced, kind):
            while chunk := source.read(_CHUNK):
                if not received:
                    _refuse_answer(place, chunk[:HEAD], kind, announced, entry)
                received += len(chunk)
                if received > entry.size:
                    raise InputError(f"{place} is longer than the {entry.size:,} bytes expected; {_AGAIN}")
                if time.monotonic() > deadline:
                    raise InputError(f"{place} sends too slowly: {received:,} of {entry.size:,} bytes so far")
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        why = (
            f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error) or repr(error)
        )
        raise InputError(
            f"{place} cannot be read ({why}) after {received:,} of {entry.size:,} bytes; "
            "check the address and the network, or copy the file into the weights folder by hand"
        ) from error
    if received < entry.size:
        what = "empty" if not received else f"truncated: {received:,} of {entry.size:,} bytes"
        raise InputError(f"{place} is {what}; {_AGAIN}")


@contextmanager
def _opened(place: str) -> Iterator[tuple[IO[bytes], int, str]]:
    """A stream of what is at `place`, with its announced bytes (-1: not announced) and media type."""
    if not _is_address(place):
        with open(place, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size, ""
        return
    request = urllib.request.Request(place, headers={"User-Agent": f"veilbench/{__version__}"})
    with urllib.request.urlopen(request, timeout=_SILENCE) as answer:
        yield answer, int(answer.headers.get("Content-Length") or -1), answer.headers.get_content_type()


def _refuse_answer(place: str, head: bytes, kind: str, announced: int, entry: Entry) -> None:
    """Raises InputError where the first bytes or the announced length say that it is something else."""
    wanted = f"expected {entry.pretrained.file}, {entry.size:,} bytes"
    if what := foreign_kind(head):
        said = f" (sent as {kind}: {_printable(head)})" if kind else ""
        raise InputError(f"{place} is {what}{said}; {wanted}")
    if announced not in (-1, entry.size):
        raise InputError(f"{place} has {announced:,} bytes; {wanted}")


def _refuse_foreign(name: str, file: Path, entry: Entry) -> None:
    """Raises InputError, before anything is copied, for what cannot be the weights `name`."""
    try:
        with file.open("rb") as stream:
            kind = foreign_kind(stream.read(HEAD))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    plain = not entry.pretrained.sha256 and entry.pretrained.file.endswith(".safetensors")
    if kind:
        remedy = f"; {conversion(name)}" if is_pickle(kind) and plain else ""
        expected = "safetensors" if plain else entry.pretrained.file
        raise InputError(f"{file} is {kind}; expected {expected}{remedy}")
    if plain:
        _check_tensors(file, entry)
    if not entry.pretrained.sha256 and not entry.matcher:
        from bench.quality.added import check_quality_file

        check_quality_file(name, file)


def _check_tensors(file: Path, entry: Entry) -> None:
    """Raises InputError where `file` is no intact safetensors, or that of another architecture."""
    tensors = read_header(file)
    if entry.matcher:
        from bench.discover import load_class

        try:
            load_class("matcher", entry.matcher).check(tensors)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error


@contextmanager
def _temporary(root: Path) -> Iterator[Path]:
    """A new file in `root` that is gone afterwards unless it was renamed."""
    sweep(root)  # a killed command leaves as much as it had received
    handle, name = tempfile.mkstemp(dir=root, prefix=temporary_prefix(), suffix=".part")
    os.close(handle)
    os.chmod(name, permitted(0o666))
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to the weights folder {root}: {error.strerror or error}; "
            "name another with --weights or make room there"
        ) from error


def _is_address(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _place(origin: str, file: str) -> str:
    return f"{origin.rstrip('/')}/{file}" if _is_address(origin) else str(Path(origin) / file)


def _printable(head: bytes) -> str:
    text = " ".join(head.decode("utf-8", "replace").split())
    return repr(text[:60])
