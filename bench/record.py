"""What a run was, for whoever wants to make it again, publish it or hold another one against it.

Written beside the report as `run.json`. It names nothing of one machine but versions and the number of cores.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import __version__
from bench.cells import Cell
from bench.engines.outcome import Outcome
from bench.errors import InputError
from bench.ladder import RUNGS, STATIC
from bench.machine_paths import plain, without_paths
from bench.outside import MOST_RECORD, parse_json, read_bytes
from bench.planning.plan import Plan
from bench.reproduce import ELSEWHERE, command_of
from bench.results import SCHEMA_VERSION
from bench.sources import sources
from bench.store import digest
from bench.weights import WeightsFolder, sha256_of_file

RECORD = "run.json"
FORMAT = 1
_COMPONENTS = ("method", "attacker", "matcher", "network")
_IDENTITY = ("settings", "pretrained", "weights")
_TOLD_ELSEWHERE = ELSEWHERE | {"data", "weights", "throughput", "test_on", "test_on_options"}


def record(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """The record of a run, to be written as JSON.

    format, schema: of this file and of the rows. command: makes the run again. config: every choice.
    data: fingerprints of the pools by dataset. components: kind -> name -> settings and checksums of weights.
    code: version, commit where there is one, versions of the stages, and hashes of the source of components.
    attackers, matchers, rungs, attributes, pooled: what the pooled figures are made over. draw: what the
    resamples follow from. failures: title, message and whether an input failed first. unavailable: what could
    not run here.
    """
    config = plan.config
    return {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "dataset": plan.dataset.id,
        "title": type(plan.dataset).title,
        "photographs": plan.dataset.photographs,
        "size": plan.dataset.size,
        "command": command(plan),
        "config": plain({k: v for k, v in config.model_dump().items() if k not in _TOLD_ELSEWHERE}),
        "draw": {"seed": config.seed, "resamples": config.resamples},
        "data": _data(plan),
        **_measured_over(plan.cells.values()),
        "components": _components(plan.cells.values(), _identity),
        "code": {
            "veilbench": __version__,
            "commit": commit(),
            "stages": {cell.stage: cell.version for cell in plan.cells.values()},
            "components": _components(plan.cells.values(), _source),
        },
        "failures": [
            {"title": f.cell.title, "message": without_paths(f.message), "blocked": f.blocked}
            for f in outcome.failures.values()
        ],
        "unavailable": [
            plain({"kind": m.kind, "name": m.name, "reason": m.reason, "remedy": m.remedy})
            for m in plan.missing
        ],
    }


def command(plan: Plan) -> str:
    """The command that makes the run again."""
    weights = WeightsFolder.find(plan.config.weights) is not None
    return command_of(plan.config, sources(plan.config), weights=weights)


def lasting(found: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that repeating a run on the same code and data cannot change."""
    code = {key: value for key, value in found["code"].items() if key != "commit"}
    return {**found, "code": code}


def record_file(found: Mapping[str, Any], rows: Path, **more: Any) -> bytes:
    """A record as a file, with the checksum of the rows that it goes with, and what else is known."""
    return as_json({**found, "rows": sha256_of_file(rows), **more})


def as_json(found: Mapping[str, Any]) -> bytes:
    """Sorted, one value a line, UTF-8."""
    return (json.dumps(found, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def read(path: Path) -> dict[str, Any]:
    """The record in a file. Raises InputError for what is none, or one of another version."""
    try:
        data = read_bytes(path, MOST_RECORD)
    except InputError as error:
        if path.exists():
            raise
        raise InputError(
            f"{path} is missing: {path.parent} is no report of a run, or of an earlier version; give the "
            "folder that `run` names, or repeat its command, which computes nothing again"
        ) from error
    try:
        found = parse_json(data)
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}; repeat the run's command") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path} is of another version than this one reads; repeat the run's command")
    whole, least = (_RUN, _ANY) if path.name == RECORD else (_PUBLISHED, _ANY_PUBLISHED)
    # Of another schema the caller says so.
    if wrong := _misfit(found, whole if found.get("schema") == SCHEMA_VERSION else least):
        raise InputError(f"{path} is not as this program wrote it: {wrong}; repeat the run's command")
    return found


def _misfit(found: Any, shape: Any, name: str = "it") -> str:
    """Where a record is not of the shape that it should have; empty where it is. A list of one shape stands
    for any number of such values, a mapping with `*` for any names."""
    kind = shape if isinstance(shape, type) else type(shape)
    fits = isinstance(found, kind)
    if not fits:
        return f"{name[:80]} is no {kind.__name__}"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(shape, list):
        parts = [(item, shape[0], name) for item in found]
    elif isinstance(shape, dict) and "*" in shape:
        parts = [(item, shape["*"], f"{name} {key}") for key, item in found.items()]
    elif isinstance(shape, dict):
        parts = [(found.get(key), part, key) for key, part in shape.items()]
    return next((wrong for part in parts if (wrong := _misfit(*part))), "")


_RUN: dict[str, Any] = {
    "schema": int,
    "rows": str,
    "dataset": str,
    "title": str,
    "photographs": bool,
    "size": int,
    "command": str,
    "config": {"seed": int, "resamples": int, "preset": str, "pairs": str, "adaptive_images": int},
    "draw": dict,
    "data": {"*": {"*": str}},
    **{name: [str] for name in ("attackers", "matchers", "attributes", "pooled", "rungs")},
    "components": {"*": {"*": object}},
    "code": {"stages": dict, "components": {"*": dict}},
    "failures": [{"title": str, "message": str, "blocked": bool}],
    "unavailable": [{"kind": str, "name": str, "reason": str, "remedy": str}],
}
_PUBLISHED: dict[str, Any] = {
    "schema": int,
    "dataset": str,
    "photographs": bool,
    "runs": [_RUN | {"outputs": [str]}],
    "files": {"*": str},
}
_ANY: dict[str, Any] = {"schema": int}
_ANY_PUBLISHED: dict[str, Any] = {"schema": int, "photographs": bool, "files": {"*": str}, "runs": list}
"""Of any schema."""


def commit() -> str:
    """The commit of the checkout that the program runs from, marked when it has changes; else empty."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _data(plan: Plan) -> dict[str, dict[str, str]]:
    """Dataset -> pool -> fingerprint: of the evaluated dataset all pools, of others those that were read."""
    dataset = plan.dataset
    found = {dataset.id: {pool: dataset.fingerprint(pool)[:16] for pool in dataset.pools()}}
    for cell in plan.cells.values():
        if cell.stage == "faces" and "fingerprint" in cell.params:
            p = cell.params
            found.setdefault(p["dataset"], {})[p["pool"]] = p["fingerprint"][:16]
    return found


def _measured_over(cells: Iterable[Cell]) -> dict[str, list[str]]:
    """Names of all that the pooled figures of the run are made over."""
    found: dict[str, set[str]] = {"attackers": set(), "matchers": set(), "attributes": set(), "pooled": set()}
    rungs: set[str] = set()
    for cell in cells:
        if cell.stage == "score":
            found["attackers"] |= {*cell.params["attackers"], *cell.params.get("estimators", ())}
            found["matchers"] |= set(cell.params["matchers"])
            found["attributes"] |= {a[0] for a in cell.params["attributes"]}
            rungs |= set(cell.params["rungs"]) | set(cell.params.get("numbers_rungs", ()))
        if cell.stage == "pooled_fit":
            found["pooled"] |= set(cell.params["outputs"])
    ordered = {name: sorted(names) for name, names in found.items()}
    return ordered | {"rungs": [rung for rung in RUNGS if rung in rungs | {STATIC}]}


def _identity(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(params[name]) for name in _IDENTITY if params.get(name) not in (None, "")}


def _source(params: Mapping[str, Any]) -> str:
    """The hash of the code behind a cell; of several modules one over all."""
    source = params["source"]
    return (source if isinstance(source, str) else digest(source))[:16]


def _components(cells: Iterable[Cell], what: Callable[[Mapping[str, Any]], Any]) -> dict[str, dict[str, Any]]:
    """Kind -> name -> `what(params)` of every component, dataset and stage that tells its source.

    Of one that appears with several answers (the weights of a method's parts) they are a list.
    """
    answers: dict[str, dict[str, list[Any]]] = {}
    for cell in cells:
        for kind, name, params in _named(cell):
            seen = answers.setdefault(kind, {}).setdefault(name, [])
            if (answer := what(params)) not in seen:
                seen.append(answer)
    return {
        kind: {name: seen[0] if len(seen) == 1 else sorted(seen, key=str) for name, seen in names.items()}
        for kind, names in answers.items()
    }


def _named(cell: Cell) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """(kind, name, parameters) of all whose source a cell's parameters tell."""
    params = cell.params
    for units, kind in (("units", "attacker"), ("extractors", "matcher")):
        for unit in params.get(units, {}).values() if isinstance(params.get(units), Mapping) else ():
            yield kind, unit[kind], unit
    if "source" not in params:
        return
    kinds = [] if cell.stage == "score" else [k for k in _COMPONENTS if k in params]
    if kinds:
        yield kinds[0], params[kinds[0]], params
    elif "dataset" in params and cell.stage == "faces":
        yield "dataset", params["dataset"], params
    else:
        yield "stage", cell.stage, params
