"""Content-addressed results on disk: one folder a unit of work, written whole or not at all.

    <root>/cells/ab/abcdef.../data.safetensors    the arrays
    <root>/cells/ab/abcdef.../card.json           facts, provenance, SHA-256 of the arrays
    <root>/work/abcdef.../                         checkpoints of work under way
    <root>/aside/                                  damaged artefacts, kept for inspection

The key is the SHA-256 of what determines the result and of nothing else: never of device, batch size,
worker count, paths or the order of a command line.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

DATA, CARD = "data.safetensors", "card.json"


class DamagedArtefactError(BenchError):
    """A stored artefact does not match its card; it has been set aside and will be made again."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"stored artefact {key[:12]} is damaged ({reason}); it is set aside and made again")
        self.key = key


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
        """Where the work on `key` may keep checkpoints; survives an interruption."""
        path = self.root / "work" / key
        path.mkdir(parents=True, exist_ok=True)
        return path

    def has(self, key: str) -> bool:
        """Whether `key` is done: its card is there and speaks of a data file of the right size."""
        try:
            card = self.card(key)
            return bool((self.folder(key) / DATA).stat().st_size == card["bytes"])
        except (OSError, DamagedArtefactError):
            return False

    def card(self, key: str) -> dict[str, Any]:
        """Facts and provenance of a finished key. Raises DamagedArtefactError when unreadable."""
        text = (self.folder(key) / CARD).read_bytes()
        try:
            card: dict[str, Any] = json.loads(text)
            if card["key"] != key or {"facts", "sha256", "bytes"} - card.keys():
                raise ValueError("the card is of something else")
            if card["facts_sha256"] != digest(card["facts"]):
                raise ValueError("the facts do not match their checksum")
        except (ValueError, KeyError, TypeError) as error:
            self.set_aside(key)
            raise DamagedArtefactError(key, str(error)) from error
        return card

    def load(self, key: str) -> Artefact:
        """The artefact of a finished key, checked against its checksum. Raises DamagedArtefactError."""
        from safetensors.numpy import load_file

        path = self.folder(key) / DATA
        try:
            card = self.card(key)
            intact = path.stat().st_size == card["bytes"] and _sha256(path) == card["sha256"]
        except OSError as error:
            self.set_aside(key)
            raise DamagedArtefactError(key, error.strerror or "unreadable") from error
        if not intact:
            self.set_aside(key)
            raise DamagedArtefactError(key, "its bytes do not match its checksum")
        return Artefact(load_file(path), card["facts"])

    def save(self, key: str, artefact: Artefact, provenance: Mapping[str, Any]) -> None:
        """Store `artefact` under `key` in one rename, and drop the checkpoints of that work."""
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
        final = self.folder(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{key[:12]}."))
        try:
            (temporary / DATA).write_bytes(data)
            (temporary / CARD).write_text(json.dumps(card, sort_keys=True, indent=1), encoding="utf-8")
            os.chmod(temporary, 0o755)
            self._publish(temporary, final, key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)

    def _publish(self, temporary: Path, final: Path, key: str) -> None:
        try:
            os.rename(temporary, final)
        except OSError:
            if self.has(key):  # another process finished the same work first
                return
            self.set_aside(key)
            os.rename(temporary, final)

    def set_aside(self, key: str) -> None:
        """Move what is stored under `key` out of the way, keeping it for inspection."""
        folder = self.folder(key)
        if not folder.exists():
            return
        aside = self.root / "aside"
        aside.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(dir=aside, prefix=f"{key[:12]}."))
        os.rename(folder, target / folder.name)


def _sha256(path: Path) -> str:
    """Of a file that is not empty, without a copy of it in memory."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()
