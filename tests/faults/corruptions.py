"""Damage to files of a store, a report and published results, by name."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.store import CARD, DATA

Harm = Callable[[Path], None]
CellHarm = Callable[[Path, Path], None]
"""(folder of an artefact, folder of another, intact one)"""


# -- any file ------------------------------------------------------------------------------------------


def flip(at: float) -> Harm:
    """Turn one bit, at this share of the file."""

    def harm(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(at * len(data)), len(data) - 1)] ^= 4
        path.write_bytes(data)

    return harm


def cut(share: float) -> Harm:
    """Keep this share of the file; at most all but one byte."""

    def harm(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: min(int(share * len(data)), len(data) - 1)])

    return harm


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def zero(path: Path) -> None:
    """As a crashed machine may leave a file: its size, and nothing in it."""
    path.write_bytes(bytes(path.stat().st_size))


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def remove(path: Path) -> None:
    path.unlink()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"x")


def write(content: bytes) -> Harm:
    """Replace what is in the file."""

    def harm(path: Path) -> None:
        path.write_bytes(content)

    return harm


OF_ANY_FILE: dict[str, Harm] = {
    "a bit at the beginning": flip(0),
    "a bit in the middle": flip(0.5),
    "the last bit": flip(1),
    "empty": cut(0),
    "cut in the middle": cut(0.5),
    "one byte short": cut(1),
    "one byte long": lengthen,
    "zeros": zero,
    "noise": noise,
    "missing": remove,
}

# -- an artefact -----------------------------------------------------------------------------------------


def _of(name: str, harm: Harm) -> CellHarm:
    return lambda cell, other: harm(cell / name)


def _card(change: Callable[[dict[str, Any]], Any]) -> CellHarm:
    """Change the card and leave it JSON."""

    def harm(cell: Path, other: Path) -> None:
        card = json.loads((cell / CARD).read_bytes())
        changed = change(card)
        (cell / CARD).write_text(json.dumps(card if changed is None else changed), encoding="utf-8")

    return harm


def _copied(name: str) -> CellHarm:
    return lambda cell, other: shutil.copyfile(other / name, cell / name) and None


def _linked(name: str) -> CellHarm:
    def harm(cell: Path, other: Path) -> None:
        (cell / name).unlink()
        (cell / name).symlink_to(other / name)

    return harm


def _replaced(make: Callable[[Path, Path], Any]) -> CellHarm:
    """Put something else in the place of the folder."""

    def harm(cell: Path, other: Path) -> None:
        shutil.rmtree(cell)
        make(cell, other)

    return harm


def _set(name: str, value: Any) -> CellHarm:
    return _card(lambda card: card.update({name: value}))


def _longer_header(cell: Path, other: Path) -> None:
    data = bytearray((cell / DATA).read_bytes())
    data[:8] = b"\xff" * 8
    (cell / DATA).write_bytes(data)


OF_ARTEFACTS: dict[str, CellHarm] = {
    **{f"data: {name}": _of(DATA, harm) for name, harm in OF_ANY_FILE.items()},
    **{f"card: {name}": _of(CARD, harm) for name, harm in OF_ANY_FILE.items() if name != "one byte long"},
    "data: a header of 2^64 bytes": _longer_header,
    "data: a folder": _of(DATA, make_folder),
    "data: of another cell": _copied(DATA),
    "data: a link to that of another cell": _linked(DATA),
    "card: a folder": _of(CARD, make_folder),
    "card: of another cell": _copied(CARD),
    "card: a link to that of another cell": _linked(CARD),
    "card: no JSON": _of(CARD, write(b"{]")),
    "card: no UTF-8": _of(CARD, write(b'{"key": "\xff"}')),
    "card: a list": _card(lambda card: [card]),
    "card: a number": _card(lambda card: 7),
    "card: an empty object": _card(lambda card: {}),
    "card: nested without end": _of(CARD, write(b"[" * 200_000)),
    "card: bytes is a text": _set("bytes", "many"),
    "card: bytes is another number": _set("bytes", 1),
    "card: SHA-256 is a number": _set("sha256", 5),
    "card: SHA-256 is another one": _set("sha256", "0" * 64),
    "card: facts are a list": _set("facts", [1]),
    "card: facts are others": _card(lambda card: card["facts"].update({"added": 1})),
    "card: facts are not finite": _of(
        CARD, lambda path: path.write_text(path.read_text()[:-2] + ',"facts":NaN}')
    ),
    "card: the facts' checksum is missing": _card(lambda card: card.pop("facts_sha256") and None),
    "card: the key is another one": _set("key", "0" * 64),
    "folder: missing": _replaced(lambda cell, other: None),
    "folder: a file": _replaced(lambda cell, other: cell.write_bytes(b"x")),
    "folder: empty": _replaced(lambda cell, other: cell.mkdir()),
    "folder: that of another cell": _replaced(lambda cell, other: shutil.copytree(other, cell)),
    "folder: a link to that of another cell": _replaced(lambda cell, other: cell.symlink_to(other)),
    "folder: a link to nothing": _replaced(lambda cell, other: cell.symlink_to(cell.parent / "nothing")),
}

HARMLESS: dict[str, CellHarm] = {
    "folder: another file in it": lambda cell, other: (cell / "notes.txt").write_bytes(b"x") and None,
    "folder: read-only": lambda cell, other: os.chmod(cell, 0o555),
}
"""What a store may hold and be intact."""
