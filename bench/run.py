"""The main job: plan, compute what is missing, write the report."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import __version__, distributed
from bench.cells import Cell, Environment
from bench.config import ALL, RunConfig
from bench.engines import local
from bench.engines.local import Failure, Outcome
from bench.errors import UsageError
from bench.files import write_atomically
from bench.ladder import RUNGS, STATIC, WORST
from bench.machine_paths import plain, without_paths
from bench.planning.build import build
from bench.planning.plan import Plan, Subject
from bench.profile import profile_lines, write_profile
from bench.progress import Progress
from bench.quick import FLAG, MEANING
from bench.record import RECORD, command, lasting, record, record_file
from bench.report.draws import DRAWS, draws_file
from bench.results import FAILED, UNAVAILABLE, Row, to_frame
from bench.scoring.rows import SampleKey, sample_key, sample_name
from bench.sources import evaluations, sources
from bench.store import Store, digest
from bench.weights import WeightsFolder

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.cost import Machine, Setting

_VERSIONS_OF = ("numpy", "torch", "scikit-learn", "xgboost", "lpips", "pyiqa", "onnxruntime")
_SAMPLE_FACES = 6
_MEASURED = Path("runs/throughput/throughput.csv")
"""Where `bench throughput` leaves its table unless told otherwise."""
_DIFFERENCES = (("leak", WORST), ("tmr_kept", ""))
"""Metric and rung of which every method is held against every other one, pair by pair."""
_CURVE_COLUMNS = (
    "method",
    "variant",
    "label_source",
    "seed",
    "kind",
    "matcher",
    "condition",
    "fmr",
    "tmr",
)


def run(config: RunConfig, say: Callable[[str], None], *, profile: bool = False) -> int:
    """Run the benchmark and write its report; returns the number of failed cells. `say` prints a line.

    With several datasets to test on, one report each and one table over all. profile: say where the time
    went, and write `profile.csv` beside the report.
    """
    parts, failed = evaluations(config), 0
    machines = measured_machines(config, parts, say)
    for part in parts:
        if len(parts) > 1:
            say(f"testing on {part.dataset}")
        failed += _evaluate(part, say, machines, profile=profile)
    _join_reports(parts, say)
    return failed


def _evaluate(
    config: RunConfig, say: Callable[[str], None], machines: Sequence[Machine], *, profile: bool
) -> int:
    plan = build(config)
    for note in plan.notes:
        say(f"note: {note}")
    for line in plan.unavailable():
        say(line)
    outcome = execute(plan, say)
    folder = folder_of(config)
    training_curves(plan, outcome, folder, say)
    report(plan, outcome, folder, say, machines)
    if profile:
        for line in profile_lines(plan.cells, outcome, config.workers or _cores()):
            say(line)
        say(f"every cell: {write_profile(folder / 'profile.csv', plan.cells, outcome)}")
    failed = [f for f in outcome.failures.values() if not f.blocked]
    for message, count in Counter(f.message for f in failed).items():
        first = next(f for f in failed if f.message == message)
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        say(f"failed: {first.cell.title}{more}: {message}")
    return len(failed)


def collect_only(config: RunConfig, say: Callable[[str], None]) -> None:
    """Write the report of what the store already holds."""
    parts = evaluations(config)
    machines = measured_machines(config, parts, say)
    for part in parts:
        plan = build(part)
        outcome = finished(plan)
        training_curves(plan, outcome, folder_of(part), say)
        report(plan, outcome, folder_of(part), say, machines)
    _join_reports(parts, say)


def measured_machines(
    config: RunConfig, parts: Sequence[RunConfig], say: Callable[[str], None]
) -> tuple[Machine, ...]:
    """The machines in the tables of `bench throughput` that a run was given, read before anything is done.

    Without any, a table where that command leaves its own is pointed out and not used: nobody said that it
    belongs to this run. Raises InputError for what is no such table, or would be replaced by the report.
    """
    from bench.report.cost_tables import read_machines, refuse_measured

    for part in parts:
        refuse_measured(folder_of(part))
    if not config.throughput and _MEASURED.is_file():
        say(f"note: {_MEASURED} is not in the report; --throughput {_MEASURED} puts it there")
    return read_machines(config.throughput)


def _join_reports(parts: Sequence[RunConfig], say: Callable[[str], None]) -> None:
    if len(parts) > 1:
        from bench.report.joint import write_joint

        folders = [folder_of(part) for part in parts]
        joint = write_joint(folders[0].parent, folders)
        say(f"leaderboard of all datasets: {joint}   page: {joint.with_name('index.html')}")


def finished(plan: Plan) -> Outcome:
    """What the store already holds of a plan, as `execute` would have left it."""
    store, outcome = Store(plan.config.store), Outcome()
    for planned, cell in plan.cells.items():
        there = cell.without(set(outcome.failures))
        there = replace(there, inputs={r: outcome.done.get(k, k) for r, k in there.inputs.items()})
        if store.has(there.key):
            outcome.done[planned] = there.key
        else:
            outcome.failures[planned] = Failure(cell, "not computed yet; run the same command with `run`")
    return outcome


def folder_of(config: RunConfig) -> Path:
    """Where the files for people go."""
    return config.out or Path("runs") / config.dataset


def execute(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Make every cell of the plan that the store lacks. Raises UsageError under torchrun."""
    if distributed.launched():
        raise UsageError(
            "torchrun starts processes that share a training: use it for `train` alone, and start this "
            "command without it"
        )
    config = plan.config
    workers = config.workers or _cores()
    whom = f" for {len(plan.subjects)} variants" if plan.subjects else ""
    say(f"{len(plan.cells)} cells{whom} on {workers} workers")
    with Progress(plan.cells.values(), workers) as progress:
        outcome = local.execute(
            plan.cells.values(), environment_of(config, config.device), workers, progress, machine()
        )
    say(
        f"{outcome.computed} cells computed, {len(outcome.done) - outcome.computed} taken from {config.store}"
    )
    return outcome


def environment_of(config: RunConfig, device: str) -> Environment:
    """Where those who do the work find things; device: theirs."""
    weights = WeightsFolder.find(config.weights)
    found = {
        name: replace(source, roots=tuple(root.resolve() for root in source.roots))
        for name, source in sources(config).items()
    }
    return Environment(
        store=config.store.resolve(),
        sources=found,
        weights=weights.root.resolve() if weights else None,
        device=device,
    )


def training_curves(plan: Plan, outcome: Outcome, folder: Path, say: Callable[[str], None]) -> None:
    """Write the loss curves of every training of the plan, new or from the store, to `folder`/training."""
    from bench.report.style import looks
    from bench.report.training_curves import Training, write_training_curves

    shipped = {
        c.params["method"] for c in plan.cells.values() if c.stage == "protect" and c.params["weights"]
    }
    if shipped:
        names = ",".join(sorted(shipped))
        say(f"note: shipped weights carry no loss curves; to see some, run `train --methods {names}`")
    store = Store(plan.config.store)
    trainings = []
    for planned, cell in plan.cells.items():
        if cell.stage == "fit" and planned in outcome.done:
            figures = store.card(outcome.done[planned])["facts"]["figures"]
            p = cell.params
            curves, steps = figures.get("curves", {}), p["settings"].get("steps")
            trainings.append(Training(p["method"], p["part"], curves, steps))
    controls = {s.method for s in plan.subjects if s.role == "control"}
    methods = {t.method for t in trainings} | {s.method for s in plan.subjects}
    if write_training_curves(folder / "training", trainings, looks(methods - controls, controls)):
        say(f"training curves: {folder / 'training'}")


def report(
    plan: Plan,
    outcome: Outcome,
    folder: Path,
    say: Callable[[str], None],
    machines: Sequence[Machine] = (),
) -> None:
    """Write leaderboard, rows, plots and page to `folder`, unless they are there for the same rows.

    Beside them go what the run was and the resamples of its pooled figures, for `publish` and `compare`.
    machines: what `bench throughput` measured, to be shown beside them.
    """
    from bench.claims import __file__ as claims_file
    from bench.claims import declared, retest
    from bench.discover import code_hash
    from bench.report.cost import Costs

    store = Store(plan.config.store)
    scores = [outcome.done[s.score] for s in plan.subjects if s.score in outcome.done]
    noted = record(plan, outcome)
    costs = Costs(tuple(machines), setting(plan)) if machines else None
    stamp = digest(
        {
            "throughput": repr(costs),
            "quick": plan.config.quick,
            "faces": plan.config.show_faces,
            # Only this file: what it imports to run by itself is most of the project.
            "claims": [digest(Path(claims_file).read_text()), repr(declared(_methods(plan)))],
            "record": lasting(noted),
            "scores": scores,
            "failures": {f.cell.title: f.message for f in outcome.failures.values()},
            "missing": [[m.kind, m.name, m.reason] for m in plan.missing],
            "code": code_hash("bench.report.page"),
            "looks": [digest(p.read_text()) for p in sorted(_report_folder().glob("*.[chj]*"))],
        }
    )
    stamp_file = folder / ".stamp"
    there = all((folder / name).is_file() for name in ("index.html", DRAWS, RECORD))
    if there and stamp_file.is_file() and stamp_file.read_text() == stamp:
        say(f"report is up to date: {folder / 'index.html'}")
        return
    from bench.papers.reported import beside, with_reported
    from bench.protocols import write_protocol
    from bench.report.comparisons import paired_table
    from bench.report.page import write_report
    from bench.report.seeds import seed_table
    from bench.report.tables import leaderboard, write_csv

    say("writing the report")
    stamp_file.unlink(missing_ok=True)
    rows, curves, drawn = collect(plan, outcome, store)
    rows = with_reported(rows)
    rows["reason"] = rows["reason"].map(without_paths, na_action="ignore").astype("string")
    if plan.config.quick:
        rows["flags"] = (rows["flags"] + f" {FLAG}").str.strip()
    papers = beside(rows)
    write_report(
        folder,
        rows=rows,
        curves=_usual(plan, curves[curves["kind"] == "roc"]),
        samples=samples(plan, outcome, store),
        provenance=plain(provenance(plan, outcome, store)),
        costs=costs,
        searches=_searches(plan, curves),
        claims=retest(declared(_methods(plan)), rows, drawn),
        beside=papers,
        private=plan.dataset.photographs,
    )
    write_atomically(folder / DRAWS, draws_file(drawn))
    known = {"pools": _pools(plan, outcome, store), "machine": machine()}
    write_atomically(folder / RECORD, record_file(noted, folder / "rows.parquet", **known))
    for metric, threat in _DIFFERENCES:
        if any((key.metric, key.threat) == (metric, threat) for key in drawn):
            write_csv(paired_table(drawn, metric, threat), folder / f"differences_{metric}.csv")
    write_csv(papers, folder / "beside.csv")
    if plan.config.seeds > 1:
        write_csv(seed_table(leaderboard(rows)), folder / "seeds.csv")
    if protocol := plan.config.protocol:
        write_protocol(protocol, rows, curves, folder / protocol)
        say(f"tables and figures as in the paper: {folder / protocol}")
    write_atomically(stamp_file, stamp.encode())
    say(f"leaderboard: {folder / 'leaderboard.csv'}   page: {folder / 'index.html'}")


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


def collect(
    plan: Plan, outcome: Outcome, store: Store
) -> tuple[pd.DataFrame, pd.DataFrame, dict[SampleKey, np.ndarray]]:
    """Tidy rows of all subjects; the ROC and CMC curves behind the plots (kind `roc`: fmr and tmr, kind
    `cmc`: rank and rate under the same names); and the resamples of every pooled figure, paired over all
    subjects."""
    import pandas as pd

    rows: list[Row | dict[str, Any]] = []
    curves = []
    drawn: dict[SampleKey, np.ndarray] = {}
    for subject in plan.subjects:
        if subject.score not in outcome.done:
            rows.append(_lost(plan, subject, outcome))
            continue
        artefact = store.load(outcome.done[subject.score])
        found = [Row(**row) for row in artefact.facts["rows"]]
        rows += found
        for row in found:
            if (name := f"samples:{sample_name(row)}") in artefact.arrays:
                drawn[sample_key(row)] = artefact.arrays[name]
        curves += [
            _curve(subject, name, points)
            for name, points in artefact.arrays.items()
            if not name.startswith("samples:")
        ]
    for missing in plan.missing:
        rows.append(
            Row(
                method=missing.name if missing.kind == "method" else "",
                variant="",
                method_role="",
                dataset=plan.dataset.id,
                metric="",
                value=None,
                component_kind=missing.kind,
                component=missing.name,
                status=UNAVAILABLE,
                reason=f"{missing.reason}; {missing.remedy}",
            )
        )
    joined = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(_CURVE_COLUMNS))
    return to_frame(rows), joined, drawn


def _usual(plan: Plan, curves: pd.DataFrame) -> pd.DataFrame:
    """Of several label sources and seeds the first: figures show one curve an output."""
    first = curves["label_source"] == plan.config.label_source[0]
    best = first.groupby([curves["method"], curves["variant"]]).transform("max")
    return curves[(first == best) & (curves["seed"] == plan.config.seed)]


def _searches(plan: Plan, curves: pd.DataFrame) -> pd.DataFrame:
    """The CMC curves among them, under the names of what they are."""
    found = _usual(plan, curves[curves["kind"] == "cmc"])
    return found.rename(columns={"fmr": "rank", "tmr": "rate"})


def _methods(plan: Plan) -> list[str]:
    return sorted({subject.method for subject in plan.subjects})


def _curve(subject: Subject, name: str, points: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    kind, matcher, condition = name.split(":")
    values = (
        subject.method,
        subject.variant.name,
        subject.label_source,
        subject.seed,
        "roc" if kind == "curve" else kind,
        matcher,
        condition,
        points[0],
        points[1],
    )
    return pd.DataFrame(dict(zip(_CURVE_COLUMNS, values, strict=True)))


def _lost(plan: Plan, subject: Subject, outcome: Outcome) -> Row:
    return Row(
        method=subject.method,
        variant=subject.variant.name,
        method_role=subject.role,
        level=subject.level,
        dataset=plan.dataset.id,
        metric="",
        value=None,
        status=FAILED,
        reason=outcome.failures[subject.score].message,
        label_source=subject.label_source,
        seed=subject.seed,
    )


def samples(plan: Plan, outcome: Outcome, store: Store) -> dict[str, np.ndarray] | None:
    """The same few test faces under every variant; None for photographs that nobody asked to see."""
    if plan.dataset.photographs and not plan.config.show_faces:
        return None
    found = {}
    usual = (plan.config.label_source[0], plan.config.seed)
    for subject in plan.subjects:
        told = (subject.label_source, subject.seed) in (usual, ("truth", plan.config.seed))
        if told and subject.protect in outcome.done and subject.name not in found:
            images = store.load(outcome.done[subject.protect]).arrays["images"]
            rows = np.linspace(0, len(images) - 1, _SAMPLE_FACES).astype(int)
            found[subject.name] = images[rows]
    return found


def provenance(plan: Plan, outcome: Outcome, store: Store) -> dict[str, Any]:
    """What a reader needs to make the same report again."""
    config = plan.config
    return {
        "command": command(plan),
        "dataset": plan.dataset.id,
        "dataset_title": type(plan.dataset).title + (", a first look" if config.quick else ""),
        "dataset_fingerprint": {pool: plan.dataset.fingerprint(pool)[:16] for pool in plan.dataset.pools()},
        "size": plan.dataset.size,
        "pools": _pools(plan, outcome, store),
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


def _paths_taken(plan: Plan, outcome: Outcome, store: Store) -> dict[str, dict[str, str]]:
    """On which path every output and embedding was computed, unless all were exact."""
    if plan.config.inference == "exact":
        return {}
    from bench.inference.told import sentence

    done = {cell.title: outcome.done[key] for key, cell in plan.cells.items() if key in outcome.done}
    facts = {title: store.card(key)["facts"].get("inference") for title, key in sorted(done.items())}
    return {"inference": {title: sentence(told) for title, told in facts.items() if told is not None}}


def _pools(plan: Plan, outcome: Outcome, store: Store) -> dict[str, dict[str, int]]:
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


def _report_folder() -> Path:
    return Path(__file__).parent / "report"


def machine() -> dict[str, Any]:
    """Versions and processor, for the record; never part of a key."""
    versions = {}
    for name in _VERSIONS_OF:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "veilbench": __version__,
        "python": platform.python_version(),
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": _cores(),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
