"""Trains methods and matchers, and ships weights for the embedded faces with a card on how they came about.

Started by torchrun, all its processes share each training; the first alone writes and speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench import discover, distributed, shipped
from bench.components.method_base import AnyMethod
from bench.config import RunConfig
from bench.engines.outcome import Outcome
from bench.errors import UsageError
from bench.faces import ATTACK, DEVELOP
from bench.machine import machine
from bench.planning.build import Learner, build_fits
from bench.planning.plan import Plan
from bench.progress import Progress
from bench.record import commit
from bench.run import environment_of, execute, folder_of
from bench.run_report import training_curves
from bench.stages.fit import as_stored
from bench.store import Artefact, Store


def train(config: RunConfig, say: Callable[[str], None], *, ship: bool) -> int:
    """Train the chosen methods, or matchers where only such are named; returns the number that failed. With
    `ship`, write the weights into the package."""
    if ship and set(config.train_on) - {config.dataset}:
        raise UsageError(
            "weights that ship are for one dataset, learned on its own pools; leave out --ship or --train-on"
        )
    if ship and config.learning_images:
        raise UsageError(
            "weights that ship are learned on all of DEVELOP; leave out --quick or learning_images"
        )
    if config.test_on:
        raise UsageError("training evaluates nothing: name what to learn on with --train-on or --dataset")
    if not distributed.launched():
        plan, fits = build_fits(config)
        return _told(plan, fits, execute(plan, say), say, ship=ship)
    with distributed.session(config.device) as device:
        first = distributed.is_first()
        plan, fits = build_fits(config)
        outcome = _execute_together(plan, device, say if first else _say_nothing)
        return _told(plan, fits, outcome, say, ship=ship) if first else 0


def _execute_together(plan: Plan, device: str, say: Callable[[str], None]) -> Outcome:
    from bench.engines import ranks

    place, count = distributed.here()
    say(f"{len(plan.cells)} cells, trainings shared by {count} processes")
    cells, environment = plan.cells.values(), environment_of(plan.config, device)
    if place > 0:
        return ranks.execute(cells, environment, lambda event: None, machine())
    with Progress(cells, 1) as progress:
        return ranks.execute(cells, environment, progress, machine())


def _told(
    plan: Plan,
    fits: Mapping[Learner, str],
    outcome: Outcome,
    say: Callable[[str], None],
    *,
    ship: bool,
) -> int:
    config = plan.config
    training_curves(plan, outcome, folder_of(config), say)
    store = Store(config.store)
    failed = 0
    for learner, key in fits.items():
        if key not in outcome.done:
            failed += 1
            say(f"failed: {learner}: {outcome.failures[key].message}")
            continue
        artefact = store.load(outcome.done[key])
        say(f"{learner}: {_figures(artefact.facts['figures'])}")
        if ship:
            path = shipped.ship(as_stored(dict(artefact.arrays)), _card(plan, learner, key, artefact))
            say(f"  shipped {path.name} ({path.stat().st_size / 1e6:.2f} MB)")
    return failed


def _card(plan: Plan, learner: Learner, key: str, artefact: Artefact) -> dict[str, Any]:
    config, matcher = plan.config, learner.kind == shipped.MATCHER
    params = plan.cells[key].params
    extra = "".join(f" --set dataset_options.{k}={v}" for k, v in config.dataset_options.items())
    if config.train_precision != "fp32":
        extra += f" --train-precision {config.train_precision}"
    return {
        learner.kind: learner.name,
        "part": learner.part,
        "settings": params["settings"],
        "dataset": plan.dataset.id,
        "dataset_fingerprint": plan.dataset.fingerprint(ATTACK if matcher else DEVELOP),
        "size": plan.dataset.size,
        "seed": config.seed,
        "command": f"python -m bench train {_typed(plan, learner)} --dataset {plan.dataset.id}"
        f" --size {plan.dataset.size} --preset {config.preset} --seed {config.seed}{extra} --ship",
        "commit": commit(),
        "figures": _small(artefact.facts["figures"]),
    } | ({"precision": config.train_precision} if config.train_precision != "fp32" else {})


def _say_nothing(line: str) -> None:
    return None


def _typed(plan: Plan, learner: Learner) -> str:
    """What to say on the command line so that this is trained: of a part, a variant that needs it."""
    kind, name, part = learner
    if not part:
        return f"--{kind}s {name}"
    found: AnyMethod = discover.load_class(kind, name)(plan.dataset.attributes())
    return f"--{kind}s {name}:{next(v.name for v in found.variants() if v.part == part)}"


def _small(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures without curves."""
    return {k: v for k, v in figures.items() if not isinstance(v, list) or len(v) <= 8}


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in _small(figures).items()
        if isinstance(v, int | float | str)
    )
