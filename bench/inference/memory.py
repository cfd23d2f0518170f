"""Which path was fastest, remembered on this machine so that it is measured once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.files import write_atomically
from bench.store import digest

FILE = "inference.json"


def default_file() -> Path:
    """In the user's folder for caches: `$XDG_CACHE_HOME/veilbench`, else `~/.cache/veilbench`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "veilbench" / FILE


class Memory:
    """Entries in one JSON file, each beside all that it depends on. Safe for several processes.

    note: what was wrong with the file, empty if nothing. It never stops the work: what cannot be read is
    measured again, what cannot be written is measured again the next time.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or default_file()
        self.note = ""

    def recall(self, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was stored for exactly this."""
        entry = self._read().get(digest(what))
        return entry["found"] if entry is not None else None

    def store(self, what: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Remember `found` for `what`; both are JSON."""
        from filelock import FileLock

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.file}.lock"):
                entries = self._read()
                entries[digest(what)] = {"what": dict(what), "found": dict(found)}
                write_atomically(self.file, json.dumps(entries, indent=1, sort_keys=True).encode())
        except OSError as error:
            self.note = f"{self.file.name} cannot be written ({error.strerror}); nothing is remembered"

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries = json.loads(self.file.read_bytes())
            if not all(e["what"] is not None and isinstance(e["found"], dict) for e in entries.values()):
                raise ValueError("an entry is not a choice")
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.note = f"{self.file.name} cannot be read ({error.strerror}); measured anew"
            return {}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self.note = f"{self.file.name} was damaged ({error}); measured anew and written anew"
            return {}
        return dict(entries)
