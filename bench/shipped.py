"""Weights of methods and matchers that ship with the project, for the embedded faces.

    methods/weights/san.synthetic.64.safetensors     float16 arrays
    methods/weights/san.synthetic.64.json            the card: what made them, on what, when they fit

Weights fit a run when component, part, preset settings, fingerprint of the pool that they learned on (DEVELOP
for methods, ATTACK for matchers), image size and, of matchers, seed are those of the card. A part's name
stands behind the method's: `gender_an.GM.synthetic.64`.
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

METHOD, MATCHER = "method", "matcher"
_KINDS = (METHOD, MATCHER)


@cache
def cards(kind: str = METHOD) -> tuple[dict[str, Any], ...]:
    """The cards of all shipped weights of a kind of component."""
    found = []
    for path in sorted(_folder(kind).glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        found.append({"part": "", **card, "file": path.with_suffix(".safetensors").name})
    return tuple(found)


def matching(method: str, part: str, settings: Mapping[str, Any], fingerprint: str, size: int) -> str:
    """SHA-256 of a method's shipped weights that fit, or an empty string."""
    wanted = {METHOD: method, "part": part, "dataset_fingerprint": fingerprint, "size": size}
    return _matching(METHOD, wanted, settings)


def matching_matcher(
    matcher: str, settings: Mapping[str, Any], fingerprint: str, size: int, seed: int
) -> str:
    """SHA-256 of a matcher's shipped weights that fit, or an empty string. seed: of its training, so that a
    run over several seeds trains the others."""
    wanted = {MATCHER: matcher, "dataset_fingerprint": fingerprint, "size": size, "seed": seed}
    return _matching(MATCHER, wanted, settings)


def _matching(kind: str, wanted: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    for card in cards(kind):
        fits = all(card[key] == value for key, value in wanted.items())
        if fits and canonical_json(card["settings"]) == canonical_json(settings):
            return str(card["sha256"])
    return ""


def load(sha256: str) -> State:
    """The shipped weights with this checksum. Raises InputError when the file is not what its card says."""
    from safetensors.numpy import load as parse

    kind, card = next((k, c) for k in _KINDS for c in cards(k) if c["sha256"] == sha256)
    data = (_folder(kind) / card["file"]).read_bytes()
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
    kind = next(kind for kind in _KINDS if kind in card)
    name = f"{card[kind]}.{card['part']}" if card.get("part") else card[kind]
    path = _folder(kind) / f"{name}.{card['dataset']}.{card['size']}.safetensors"
    write_atomically(path, data)
    full = {**card, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    text = json.dumps(full, indent=1, sort_keys=True) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def _folder(kind: str) -> Path:
    return Path(str(files({METHOD: "methods", MATCHER: "matchers"}[kind]))) / "weights"
