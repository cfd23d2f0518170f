"""What a reader of a report needs to know of the run behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cells import Cell
from bench.config import ALL
from bench.engines.outcome import Outcome
from bench.ladder import RUNGS, STATIC
from bench.machine import machine
from bench.planning.plan import Plan
from bench.quick import FLAG, MEANING
from bench.record import command
from bench.store import Store

if TYPE_CHECKING:
    from bench.report.cost import Setting


def provenance(plan: Plan, outcome: Outcome, store: Store) -> dict[str, Any]:
    """What a reader needs to make the same report again."""
    config = plan.config
    return {
        "command": command(plan),
        "dataset": plan.dataset.id,
        "dataset_title": type(plan.dataset).title + (", a first look" if config.quick else ""),
        "dataset_fingerprint": {pool: plan.dataset.fingerprint(pool)[:16] for pool in plan.dataset.pools()},
        "size": plan.dataset.size,
        "pools": pools(plan, outcome, store),
        "seed": config.seed,
        "resamples": config.resamples,
        "preset": config.preset,
        "label_source": ", ".join(config.label_source),
        "threats": ", ".join(r for r in RUNGS if r == STATIC or {r, ALL} & set(config.threats)),
        "seeds": config.seeds,
        "unavailable": [
            {"kind": m.kind, "name": m.name, "reason": m.reason, "remedy": m.remedy} for m in plan.missing
        ],
        "notes": plan.notes,
        **({"quick": MEANING, "flags": {FLAG: MEANING}} if config.quick else {}),
        **_paths_taken(plan, outcome, store),
        **machine(),
    }


def setting(plan: Plan) -> Setting:
    """What the networks of a run are, so that figures of others are not taken for theirs."""
    from bench.discover import load_class
    from bench.report.cost import Setting

    preset, own_sides, changed = plan.config.preset, {}, {}
    for name in sorted({subject.method for subject in plan.subjects}):
        method = load_class("method", name)
        usual = method.resolve(preset, {})
        own = method.resolve(preset, plan.config.options.get(name, {}))
        if own.get("size"):
            own_sides[name] = int(own["size"])
        if options := [option for option in own if option != "size" and own[option] != usual[option]]:
            changed[name] = options
    return Setting(preset, plan.dataset.size, own_sides, changed)


def _paths_taken(plan: Plan, outcome: Outcome, store: Store) -> dict[str, dict[str, str]]:
    """On which path every output and embedding was computed, unless all were exact."""
    if plan.config.inference == "exact":
        return {}
    from bench.inference.told import sentence

    done = {cell.title: outcome.done[key] for key, cell in plan.cells.items() if key in outcome.done}
    facts = {title: store.card(key)["facts"].get("inference") for title, key in sorted(done.items())}
    return {"inference": {title: sentence(told) for title, told in facts.items() if told is not None}}


def pools(plan: Plan, outcome: Outcome, store: Store) -> dict[str, dict[str, int]]:
    """Images and people of every pool that the run looked at, whole."""
    found = {}
    for planned, cell in plan.cells.items():
        if cell.stage == "faces" and "most" not in cell.params and planned in outcome.done:
            facts = store.card(outcome.done[planned])["facts"]
            found[_pool_name(plan, cell)] = {"images": facts["images"], "identities": facts["people"]}
    return found


def _pool_name(plan: Plan, cell: Cell) -> str:
    """`develop`, and of other datasets than the evaluated one `develop of celeba + utkface`."""
    names, pool = cell.params.get("joined", [cell.params.get("dataset")]), str(cell.params["pool"])
    own = cell.params.get("dataset") == plan.dataset.id
    return pool if own else f"{pool} of {' + '.join(names)}"
