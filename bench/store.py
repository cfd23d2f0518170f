"""Content-addressed results on disk: one folder a unit of work, written whole or not at all.

    <root>/cells/ab/abcdef.../data.safetensors    the arrays
    <root>/cells/ab/abcdef.../card.json           facts, provenance, SHA-256 of the arrays
    <root>/new/                                    artefacts being written
    <root>/work/abcdef.../                         checkpoints of work under way
    <root>/aside/                                  damaged artefacts, kept for inspection, with the reason

The key is the SHA-256 of what determines the result and of nothing else: never of device, batch size,
worker count, paths or the order of a command line.

What is promised. However a process is killed, a key is stored whole or not at all; what the killed one left
in `new` is removed by a later run. Several commands, on several machines, may share a root: two that need
the same key at the same time both make it, the first to finish wins, and both get the same bytes. Nobody
waits for anybody, so nobody waits for the dead. After a crash of the machine or of the file server an
artefact that took less than `FLUSHED_SECONDS` to make may be torn, which is noticed as below; what took
longer was on disk before it counted as done.

What is noticed. Whether a key is done is asked of the card and the size of the data: a run of thousands of
finished cells does not read terabytes to find that nothing is to be done. Whoever reads the arrays compares
them with their SHA-256 first, as a report does with what it shows; what does not fit is set aside and made
again. So nothing damaged is ever computed with or shown, while damage to what nobody reads lies there until
somebody does, or until `python -m bench store verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import permitted, sweep, temporary_prefix

DATA, CARD = "data.safetensors", "card.json"
FLUSHED_SECONDS = 1.0
"""Work that took longer is worth waiting for the disk, some milliseconds."""

_REASON = "reason.txt"


class DamagedArtefactError(BenchError):
    """A stored artefact does not match its card; it has been set aside and will be made again."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"stored artefact {key[:12]} is damaged ({reason}); it is set aside and made again")
        self.key, self.reason = key, reason


class StoreError(BenchError):
    """The store cannot be written to: the disk is full, read-only or not this user's. No fault of a cell."""


@dataclass(frozen=True)
class Artefact:
    """What a unit of work leaves: named arrays, and facts that fit in JSON."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Store:
    """Artefacts under `root`. Safe for several processes: the first to finish a key wins, all agree."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def folder(self, key: str) -> Path:
        return self.root / "cells" / key[:2] / key

    def workdir(self, key: str) -> Path:
        """Where the work on `key` may keep checkpoints; whoever does makes it. Survives an interruption."""
        return self.root / "work" / key

    def has(self, key: str) -> bool:
        """Whether `key` is done: its card is there and speaks of a data file of the right size.

        What is there and is no such thing is set aside. Raises StoreError where that cannot be.
        """
        try:
            card = self._card(key)
            size = (self.folder(key) / DATA).stat().st_size
        except DamagedArtefactError:
            return False
        except OSError as error:
            self._unreadable(key, error)
            return False
        if size != card["bytes"]:
            self.set_aside(key, f"its data has {size} bytes, and should have {card['bytes']}")
            return False
        return True

    def card(self, key: str) -> dict[str, Any]:
        """Facts and provenance of a finished key. Raises DamagedArtefactError when missing or unreadable."""
        try:
            return self._card(key)
        except OSError as error:
            raise DamagedArtefactError(key, self._unreadable(key, error)) from error

    def _card(self, key: str) -> dict[str, Any]:
        text = (self.folder(key) / CARD).read_bytes()
        try:
            card: dict[str, Any] = json.loads(text)
            if card["key"] != key or {"facts", "sha256", "bytes"} - card.keys():
                raise ValueError("the card is of something else")
            if card["facts_sha256"] != digest(card["facts"]):
                raise ValueError("the facts do not match their checksum")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "the card is of something else"
            self.set_aside(key, reason)
            raise DamagedArtefactError(key, reason) from error
        return card

    def load(self, key: str) -> Artefact:
        """The artefact of a finished key, checked against its checksum. Raises DamagedArtefactError."""
        from safetensors.numpy import load_file

        path = self.folder(key) / DATA
        try:
            card = self._card(key)
            intact = path.stat().st_size == card["bytes"] and _sha256(path) == card["sha256"]
        except OSError as error:
            raise DamagedArtefactError(key, self._unreadable(key, error)) from error
        if not intact:
            self.set_aside(key, "its bytes do not match its checksum")
            raise DamagedArtefactError(key, "its bytes do not match its checksum")
        return Artefact(load_file(path), card["facts"])

    def save(
        self, key: str, artefact: Artefact, provenance: Mapping[str, Any], *, flush: bool = False
    ) -> None:
        """Store `artefact` under `key` in one rename, and drop the checkpoints of that work.

        flush: have it on disk before it counts as done. Raises StoreError when it cannot be written.
        """
        from safetensors.numpy import save

        data = save({k: np.asarray(v, order="C") for k, v in artefact.arrays.items()})
        facts = json.loads(canonical_json(artefact.facts))
        card = {
            "key": key,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "facts": facts,
            "facts_sha256": digest(facts),
            "provenance": dict(provenance),
        }
        with self._writing():
            made = self._made({DATA: data, CARD: json.dumps(card, sort_keys=True, indent=1).encode()}, flush)
            try:
                self._publish(made, key)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)

    def _made(self, files: Mapping[str, bytes], flush: bool) -> Path:
        """A new folder with these files, beside the finished ones."""
        new = self.root / "new"
        new.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=new, prefix=temporary_prefix()))
        try:
            for name, content in files.items():
                with (folder / name).open("wb") as file:
                    file.write(content)
                    if flush:
                        file.flush()
                        os.fsync(file.fileno())
            os.chmod(folder, permitted(0o777))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _publish(self, made: Path, key: str) -> None:
        final = self.folder(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(made, final)
        except OSError:
            if self.has(key):  # another process finished the same work first
                return
            os.rename(made, final)

    def _unreadable(self, key: str, error: OSError) -> str:
        """Set aside what could not be read, unless it was only not there yet; returns why."""
        folder, reason = self.folder(key), error.strerror or "unreadable"
        whole = (folder / CARD).is_file() and (folder / DATA).is_file()
        if not (isinstance(error, FileNotFoundError) and whole):
            self.set_aside(key, reason)
        return reason

    def set_aside(self, key: str, reason: str) -> None:
        """Move what is stored under `key` out of the way, keeping it for inspection. Raises StoreError."""
        folder = self.folder(key)
        if not os.path.lexists(folder):
            return
        with self._writing():
            aside = self.root / "aside"
            aside.mkdir(parents=True, exist_ok=True)
            target = Path(tempfile.mkdtemp(dir=aside, prefix=f"{key[:12]}."))
            (target / _REASON).write_text(reason, encoding="utf-8")
            try:
                os.rename(folder, target / folder.name)
            except FileNotFoundError:  # another process was faster
                shutil.rmtree(target)

    def set_aside_so_far(self) -> dict[str, tuple[str, str]]:
        """Folder in `aside` -> key and reason of everything that was ever set aside, in order of names."""
        found = {}
        for path in sorted((self.root / "aside").glob(f"*/{_REASON}")):
            key = next((p.name for p in path.parent.iterdir() if p != path), "")
            found[path.parent.name] = (key, path.read_text(encoding="utf-8"))
        return found

    def stored(self) -> list[str]:
        """The keys of all that is there, intact or not, in order."""
        return sorted(path.name for path in (self.root / "cells").glob("[0-9a-f][0-9a-f]/[0-9a-f]*"))

    def sweep(self) -> None:
        """Remove what killed processes left: artefacts half written, checkpoints of work that is done."""
        sweep(self.root / "new")
        for left in (self.root / "work").glob("*"):
            if (self.folder(left.name) / CARD).is_file():
                shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write to the store {self.root}: {error.strerror or error}; make room there or "
                "correct its permissions, or choose another place with --store, then repeat the command: "
                "what is done is kept"
            ) from error


def _sha256(path: Path) -> str:
    """Without a copy of the file in memory."""
    if path.stat().st_size == 0:
        return hashlib.sha256().hexdigest()
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()
