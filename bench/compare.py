"""`bench compare`: two runs, or two outputs of one run, and whatever was different about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import record
from bench.errors import InputError, UsageError, unknown_name
from bench.ladder import FOLDED, POOLED, RUNGS, STATIC
from bench.report.contrast import KEPT_CAC, LEAK, YEARS, Output, Side, contrast
from bench.report.draws import DRAWS, read_draws
from bench.results import COLUMNS, SCHEMA_VERSION, read_rows

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = "published.json"


class Change(NamedTuple):
    """What is different. part: configuration, code, weights, data or machine. Absent is empty."""

    part: str
    what: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """first, second: what was compared, as given. changes: of two runs. notes: what to keep in mind.

    table: a line a figure, see `bench.report.contrast.COLUMNS`.
    """

    first: str
    second: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame


@dataclass(frozen=True)
class Run:
    """A report folder: what the run was, its rows, and its resamples where they are kept."""

    folder: Path
    record: Mapping[str, Any]
    side: Side

    @classmethod
    def read(cls, folder: Path) -> Run:
        """A folder that `run` wrote, or one that `publish` made of a single run, which has no resamples.

        Raises InputError for a folder that is neither, or whose rows are of another schema.
        """
        found = _record(folder)
        if found["schema"] != SCHEMA_VERSION:
            raise InputError(
                f"the rows of {folder} have schema {found['schema']}, this version reads {SCHEMA_VERSION}; "
                "repeat the run's command"
            )
        path = folder / "rows.parquet"
        rows = read_rows(path)
        if missing := [name for name in COLUMNS if name not in rows]:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}; repeat the run's command")
        draws = read_draws(folder / DRAWS) if (folder / DRAWS).is_file() else {}
        return cls(folder, found, Side(rows, draws))


def compare_runs(first: Path, second: Path) -> Comparison:
    """Every output that both runs have, the first less the second, and what else differs between the runs.

    Paired where both resampled the same people in the same draws. Raises UsageError for runs on different
    datasets or without a common output, InputError for folders that cannot be read.
    """
    one, other = Run.read(first), Run.read(second)
    if one.record["dataset"] != other.record["dataset"]:
        raise UsageError(
            f"{first} is on {one.record['dataset']} and {second} on {other.record['dataset']}: figures of "
            "different datasets say nothing of each other; compare runs on one dataset"
        )
    pairs = sorted(_same_outputs(one.side, other.side))
    if not pairs:
        raise UsageError(
            f"{first} and {second} have no output in common: {_names(one.side)} and {_names(other.side)}; "
            "--run FOLDER compares two outputs of one run"
        )
    apart = _not_paired(one, other)
    notes = [f"intervals are unpaired: {apart}"] if apart else []
    notes += _left_out(one.side, other.side, pairs)
    table = contrast(
        [((one.side, a), (other.side, b)) for a, b in pairs],
        refusals(one.record, other.record),
        paired=not apart,
    )
    return Comparison(str(first), str(second), tuple(changes(one.record, other.record)), tuple(notes), table)


def compare_outputs(folder: Path, first: str, second: str) -> Comparison:
    """Two outputs of one run, as typed: `san:op`, or `grey` where there is only one.

    Raises UsageError for a name that the run does not have or that stands for several outputs.
    """
    run = Run.read(folder)
    ours, theirs = _outputs(run.side, first), _outputs(run.side, second)
    pairs = sorted((a, b) for a in ours for b in theirs if _setting(a) == _setting(b))
    if not pairs:
        raise UsageError(
            f"{first} and {second} were never measured alike in {folder}: {_settings(ours)} and "
            f"{_settings(theirs)}"
        )
    notes = [] if run.side.draws else [f"intervals are unpaired: {folder} keeps no resamples"]
    notes += [note for outputs in (ours, theirs) for note in _trained_against(run.side, outputs[0])]
    table = contrast([((run.side, a), (run.side, b)) for a, b in pairs], {}, paired=bool(run.side.draws))
    return Comparison(ours[0].name, theirs[0].name, (), tuple(notes), table)


def changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Change]:
    """What two records say differently of configuration, data, weights, code and machine."""
    for part, first, second in (
        ("configuration", _configuration(one), _configuration(other)),
        ("data", one["data"], other["data"]),
        ("weights", _weights(one), _weights(other)),
        ("code", one["code"], other["code"]),
        ("machine", one.get("machine", {}), other.get("machine", {})),
    ):
        flat, others = dict(_flat(first)), dict(_flat(second))
        for name in sorted(flat.keys() | others.keys()):
            if flat.get(name) != others.get(name):
                yield Change(part, name, _shown(flat.get(name)), _shown(others.get(name)))


def refusals(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """Figure -> why two runs mean different things by it."""
    config, theirs = one["config"], other["config"]
    found: dict[str, str] = {}
    if why := _lists_differ("attackers", one, other):
        found |= dict.fromkeys([f"leak_{rung}" for rung in RUNGS] + ["reduction", KEPT_CAC, YEARS], why)
    if config["adaptive_images"] != theirs["adaptive_images"]:
        budget = f"attackers learn on {config['adaptive_images']} and {theirs['adaptive_images']} faces"
        found |= {f"leak_{rung}": budget for rung in RUNGS if rung not in (STATIC, FOLDED)}
    if why := _lists_differ("pooled", one, other):
        found[f"leak_{POOLED}"] = f"outputs that pooled attackers learn on differ: {why.partition(': ')[2]}"
    if why := _lists_differ("rungs", one, other):
        found[LEAK] = why
    if refused := [rung for rung in RUNGS if f"leak_{rung}" in found]:
        found.setdefault(LEAK, found[f"leak_{refused[0]}"])
    if why := _lists_differ("matchers", one, other):
        found |= {"tmr": why, "tmr_kept": why}
    elif config["pairs"] != theirs["pairs"]:
        why = f"different comparisons: {config['pairs']} and {theirs['pairs']}"
        found |= {"tmr": why, "tmr_kept": why}
    return found


# -- which outputs -----------------------------------------------------------------------------------


def _setting(output: Output) -> tuple[str, str, int]:
    return output.level, output.label_source, output.seed


def _settings(outputs: Iterable[Output]) -> str:
    return " or ".join(sorted({f"{o.level}, labels {o.label_source}, seed {o.seed}" for o in outputs}))


def _names(side: Side) -> str:
    return ", ".join(dict.fromkeys(output.name for output in side.outputs)) or "nothing"


def _outputs(side: Side, name: str) -> list[Output]:
    found = [output for output in side.outputs if output.name == name]
    if found:
        return found
    variants = sorted({output.name for output in side.outputs if output.method == name})
    if len(variants) > 1:
        raise UsageError(f"{name} has several outputs: write one of {', '.join(variants)}")
    if not variants:
        raise unknown_name("output", name, {output.name for output in side.outputs})
    return [output for output in side.outputs if output.method == name]


def _same_outputs(one: Side, other: Side) -> Iterator[tuple[Output, Output]]:
    """Outputs of one name. Two runs of one seed each are compared whatever their seeds are."""
    seeds, theirs = ({output.seed for output in side.outputs} for side in (one, other))
    for output in one.outputs:
        twin = output._replace(seed=next(iter(theirs))) if len(seeds) == len(theirs) == 1 else output
        if twin in other.outputs:
            yield output, twin


def _left_out(one: Side, other: Side, pairs: Iterable[tuple[Output, Output]]) -> Iterator[str]:
    shared = {output.name for output, _ in pairs}
    for side, which in ((one, "first"), (other, "second")):
        if alone := sorted({output.name for output in side.outputs} - shared):
            yield f"only in the {which}: {', '.join(alone)}"


def _trained_against(side: Side, output: Output) -> Iterator[str]:
    """Attackers and matchers that the output's method learned against, which count in none of its figures."""
    rows = side.rows[side.rows["seen"] & (side.rows["method"] == output.method)]
    rows = rows[rows["variant"].fillna("") == output.variant]
    if names := sorted(set(rows["component"].dropna())):
        yield f"{output.name} was trained against {', '.join(names)}: the figures of the other count it too"


def _not_paired(one: Run, other: Run) -> str:
    """Why the two did not resample the same people in the same draws; empty if they did."""
    dataset = one.record["dataset"]
    for run in (one, other):
        if dataset not in run.record["data"]:
            where = run.folder / record.RECORD
            raise InputError(f"{where} has no fingerprints of {dataset}; repeat the run's command")
    first, second = one.record["data"][dataset], other.record["data"][dataset]
    if first.get("test") != second.get("test"):
        return "the test faces differ"
    if one.record["draw"] != other.record["draw"]:
        return "resamples were drawn with another seed or in another number"
    for run in (one, other):
        if not run.side.draws:
            return f"{run.folder} keeps no resamples"
    return ""


# -- what was different ------------------------------------------------------------------------------


def _record(folder: Path) -> dict[str, Any]:
    if (folder / record.RECORD).is_file() or not (folder / PUBLISHED).is_file():
        return record.read(folder / record.RECORD)
    runs = record.read(folder / PUBLISHED)["runs"]
    if len(runs) != 1:
        raise InputError(f"{folder} was published from {len(runs)} runs; compare the runs themselves")
    found: dict[str, Any] = runs[0]
    return found


def _configuration(found: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        f"{kind} {name}": _settings_of(identity)
        for kind, names in found["components"].items()
        for name, identity in names.items()
    }
    return {**found["config"], "image size": found["size"], **settings}


def _settings_of(identity: Any) -> Any:
    return (
        identity.get("settings", {}) if isinstance(identity, Mapping) else [_settings_of(i) for i in identity]
    )


def _weights(found: Mapping[str, Any]) -> dict[str, Any]:
    """Checksums of what was trained elsewhere, by component, and what was not at hand."""
    missing = sorted(f"{one['kind']} {one['name']}" for one in found["unavailable"])
    return {"unavailable": missing} | {
        f"{kind} {name}": [
            {key: one[key][:16] for key in ("pretrained", "weights") if key in one}
            for one in (identity if isinstance(identity, list) else [identity])
        ]
        for kind, names in found["components"].items()
        for name, identity in names.items()
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and leaves; lists are leaves, unless they hold mappings."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}[{place}]" if len(value) > 1 else name)
    else:
        yield name, value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return "" if value is None else str(value)


def _lists_differ(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    first, second = set(one[name]), set(other[name])
    parts = [
        f"only the {which} has {', '.join(sorted(extra))}"
        for which, extra in (("first", first - second), ("second", second - first))
        if extra
    ]
    return f"{name} differ: {'; '.join(parts)}" if parts else ""
