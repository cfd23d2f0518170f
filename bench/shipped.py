"""Weights of methods that ship with the project, for the embedded faces.

    methods/weights/san.synthetic.64.safetensors     float16 arrays
    methods/weights/san.synthetic.64.json            the card: what made them, on what, when they fit

Weights fit a run when method, part, preset settings, dataset fingerprint and image size are those of the
card. A part's name stands behind the method's: `gender_an.GM.synthetic.64`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.components.base import State
from bench.errors import InputError
from bench.files import write_atomically
from bench.store import canonical_json


@cache
def cards() -> tuple[dict[str, Any], ...]:
    """The cards of all shipped weights."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        found.append({"part": "", **card, "file": path.with_suffix(".safetensors").name})
    return tuple(found)


def matching(method: str, part: str, settings: Mapping[str, Any], fingerprint: str, size: int) -> str:
    """SHA-256 of the shipped weights that fit, or an empty string."""
    wanted = (method, part, fingerprint, size)
    for card in cards():
        fits = (card["method"], card["part"], card["dataset_fingerprint"], card["size"]) == wanted
        if fits and canonical_json(card["settings"]) == canonical_json(settings):
            return str(card["sha256"])
    return ""


def load(sha256: str) -> State:
    """The shipped weights with this checksum. Raises InputError when the file is not what its card says."""
    from safetensors.numpy import load as parse

    card = next(c for c in cards() if c["sha256"] == sha256)
    data = (_folder() / card["file"]).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise InputError(
            f"{card['file']} has SHA-256 {found[:12]}..., its card says {sha256[:12]}...; reinstall veilbench"
        )
    return dict(parse(data))


def ship(state: State, card: Mapping[str, Any]) -> Path:
    """Write weights and card into the package; returns the weights' path."""
    from safetensors.numpy import save

    data = save(dict(state))
    name = f"{card['method']}.{card['part']}" if card["part"] else card["method"]
    stem = f"{name}.{card['dataset']}.{card['size']}"
    path = _folder() / f"{stem}.safetensors"
    write_atomically(path, data)
    full = {**card, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    text = json.dumps(full, indent=1, sort_keys=True) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def _folder() -> Path:
    return Path(str(files("methods"))) / "weights"
