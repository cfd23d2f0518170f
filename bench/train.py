"""Trains methods and, for the embedded faces, ships the weights with a card that says how they came about."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import discover, shipped
from bench.components.method_base import AnyMethod
from bench.config import RunConfig
from bench.errors import UsageError
from bench.faces import DEVELOP
from bench.planning.build import build_fits
from bench.planning.plan import Plan
from bench.run import execute, folder_of, training_curves
from bench.store import Artefact, Store


def train(config: RunConfig, say: Callable[[str], None], *, ship: bool) -> int:
    """Train the chosen methods; returns the number that failed. With `ship`, write the weights into the
    package."""
    if ship and set(config.train_on) - {config.dataset}:
        raise UsageError(
            "weights that ship are for one dataset, learned on its own pools; leave out --ship or --train-on"
        )
    if config.test_on:
        raise UsageError("training evaluates nothing: name what to learn on with --train-on or --dataset")
    plan, fits = build_fits(config)
    outcome = execute(plan, say)
    training_curves(plan, outcome, folder_of(config), say)
    store = Store(config.store)
    failed = 0
    for (method, part), key in fits.items():
        name = f"{method} {part}".rstrip()
        if key not in outcome.done:
            failed += 1
            say(f"failed: {name}: {outcome.failures[key].message}")
            continue
        artefact = store.load(outcome.done[key])
        say(f"{name}: {_figures(artefact.facts['figures'])}")
        if ship:
            path = shipped.ship(dict(artefact.arrays), _card(plan, method, part, key, artefact))
            say(f"  shipped {path.name} ({path.stat().st_size / 1e6:.2f} MB)")
    return failed


def _card(plan: Plan, method: str, part: str, key: str, artefact: Artefact) -> dict[str, Any]:
    config = plan.config
    params = plan.cells[key].params
    extra = "".join(f" --set dataset_options.{k}={v}" for k, v in config.dataset_options.items())
    return {
        "method": method,
        "part": part,
        "settings": params["settings"],
        "dataset": plan.dataset.id,
        "dataset_fingerprint": plan.dataset.fingerprint(DEVELOP),
        "size": plan.dataset.size,
        "seed": config.seed,
        "command": f"python -m bench train --methods {_typed(plan, method, part)} --dataset {plan.dataset.id}"
        f" --size {plan.dataset.size} --preset {config.preset} --seed {config.seed}{extra} --ship",
        "commit": _commit(),
        "figures": _small(artefact.facts["figures"]),
    }


def _typed(plan: Plan, method: str, part: str) -> str:
    """What to name on the command line so that this part is trained: a variant that needs it."""
    if not part:
        return method
    found: AnyMethod = discover.load_class("method", method)(plan.dataset.attributes())
    return f"{method}:{next(v.name for v in found.variants() if v.part == part)}"


def _small(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures without curves."""
    return {k: v for k, v in figures.items() if not isinstance(v, list) or len(v) <= 8}


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in _small(figures).items()
        if isinstance(v, int | float | str)
    )


def _commit() -> str:
    """The commit of the checkout the weights were made with, marked when it had changes; else empty."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()
