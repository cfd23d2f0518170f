"""Trains methods and, for the embedded faces, ships the weights with a card that says how they came about."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import shipped
from bench.config import RunConfig
from bench.faces import DEVELOP
from bench.plan import Plan, build_fits
from bench.run import execute
from bench.store import Artefact, Store


def train(config: RunConfig, say: Callable[[str], None], *, ship: bool) -> int:
    """Train the chosen methods; returns the number that failed. With `ship`, write the weights into the
    package."""
    plan, fits = build_fits(config)
    outcome = execute(plan, say)
    store = Store(config.store)
    failed = 0
    for method, key in fits.items():
        if key not in outcome.done:
            failed += 1
            say(f"failed: {method}: {outcome.failures[key].message}")
            continue
        artefact = store.load(outcome.done[key])
        say(f"{method}: {_figures(artefact.facts['figures'])}")
        if ship:
            path = shipped.ship(dict(artefact.arrays), _card(plan, method, key, artefact))
            say(f"  shipped {path.name} ({path.stat().st_size / 1e6:.2f} MB)")
    return failed


def _card(plan: Plan, method: str, key: str, artefact: Artefact) -> dict[str, Any]:
    config = plan.config
    params = plan.cells[key].params
    extra = "".join(f" --set dataset_options.{k}={v}" for k, v in config.dataset_options.items())
    return {
        "method": method,
        "settings": params["settings"],
        "dataset": plan.dataset.id,
        "dataset_fingerprint": plan.dataset.fingerprint(DEVELOP),
        "size": plan.dataset.size,
        "seed": config.seed,
        "command": f"python -m bench train --methods {method} --dataset {plan.dataset.id}"
        f" --size {plan.dataset.size} --preset {config.preset} --seed {config.seed}{extra} --ship",
        "commit": _commit(),
        "figures": _small(artefact.facts["figures"]),
    }


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
