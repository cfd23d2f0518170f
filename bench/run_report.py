"""Writes the report of a plan from what its cells left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report_folder
from bench.collected import collect, samples, searches, usual
from bench.engines.outcome import Outcome
from bench.files import write_atomically
from bench.ladder import WORST
from bench.machine import machine
from bench.machine_paths import plain, without_paths
from bench.planning.plan import Plan
from bench.provenance import pools, provenance, setting
from bench.quick import FLAG
from bench.record import RECORD, lasting, record, record_file
from bench.report.draws import DRAWS, draws_file
from bench.store import Store, digest

if TYPE_CHECKING:
    from bench.report.cost import Costs, Machine

_DIFFERENCES = (("leak", WORST), ("tmr_kept", ""))
"""Metric and rung of which every method is held against every other one, pair by pair."""


def report(
    plan: Plan,
    outcome: Outcome,
    folder: Path,
    say: Callable[[str], None],
    machines: Sequence[Machine] = (),
) -> None:
    """Write leaderboard, rows, plots and page to `folder`, unless they are there for the same rows and whole.

    Beside them go what the run was and the resamples of its pooled figures, for `publish` and `compare`.
    machines: what `bench throughput` measured, to be shown beside them.
    """
    from bench.claims import __file__ as claims_file
    from bench.claims import declared
    from bench.discover import code_hash
    from bench.report.cost import Costs

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
    with report_folder.alone(folder, say):
        files = report_folder.sealed(folder, stamp)
        changed = report_folder.changed(folder, files) if files is not None else []
        if files is not None and not changed:
            say(f"report is up to date: {folder / 'index.html'}")
            return
        if changed:
            say(f"not as it was written: {', '.join(changed)} in {folder}")
        say("writing the report")
        report_folder.unseal(folder)
        _write(plan, outcome, folder, say, noted, costs)
        report_folder.seal(folder, stamp)
    say(f"leaderboard: {folder / 'leaderboard.csv'}   page: {folder / 'index.html'}")


def _write(
    plan: Plan,
    outcome: Outcome,
    folder: Path,
    say: Callable[[str], None],
    noted: Mapping[str, Any],
    costs: Costs | None,
) -> None:
    """Every file of the report. noted: the record of the run."""
    from bench.claims import declared, retest
    from bench.papers.reported import beside, with_reported
    from bench.protocols import write_protocol
    from bench.report.comparisons import paired_table
    from bench.report.page import write_report
    from bench.report.seeds import seed_table
    from bench.report.tables import leaderboard, write_csv

    store = Store(plan.config.store)
    rows, curves, drawn = collect(plan, outcome, store)
    rows = with_reported(rows)
    rows["reason"] = rows["reason"].map(without_paths, na_action="ignore").astype("string")
    if plan.config.quick:
        rows["flags"] = (rows["flags"] + f" {FLAG}").str.strip()
    papers = beside(rows)
    write_report(
        folder,
        rows=rows,
        curves=usual(plan, curves[curves["kind"] == "roc"]),
        samples=samples(plan, outcome, store),
        provenance=plain(provenance(plan, outcome, store)),
        costs=costs,
        searches=searches(plan, curves),
        claims=retest(declared(_methods(plan)), rows, drawn),
        beside=papers,
        private=plan.dataset.photographs,
    )
    write_atomically(folder / DRAWS, draws_file(drawn))
    known = {"pools": pools(plan, outcome, store), "machine": machine()}
    write_atomically(folder / RECORD, record_file(noted, folder / "rows.parquet", **known))
    for metric, threat in _DIFFERENCES:
        path = folder / f"differences_{metric}.csv"
        path.unlink(missing_ok=True)  # perhaps of an earlier run with other choices
        if any((key.metric, key.threat) == (metric, threat) for key in drawn):
            write_csv(paired_table(drawn, metric, threat), path)
    write_csv(papers, folder / "beside.csv")
    (folder / "seeds.csv").unlink(missing_ok=True)
    if plan.config.seeds > 1:
        write_csv(seed_table(leaderboard(rows)), folder / "seeds.csv")
    if protocol := plan.config.protocol:
        write_protocol(protocol, rows, curves, folder / protocol)
        say(f"tables and figures as in the paper: {folder / protocol}")


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


def _methods(plan: Plan) -> list[str]:
    return sorted({subject.method for subject in plan.subjects})


def _report_folder() -> Path:
    return Path(__file__).parent / "report"
