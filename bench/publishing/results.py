"""What can be published: the rows of one or more runs, and the rules for putting them into one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import record
from bench.errors import InputError, UsageError
from bench.ladder import POOLED
from bench.outside import read_parquet
from bench.quick import FLAG
from bench.report.curves import CURVE_COLUMNS
from bench.report.dictionary import columns_of_board
from bench.report.tables import csv_text, label, leaderboard
from bench.results import COLUMNS, SCHEMA_VERSION, read_rows
from bench.spreadsheet import original
from bench.weights import sha256_of_file

if TYPE_CHECKING:
    import pandas as pd

ROWS, CURVES, PUBLISHED = "rows.parquet", "curves.parquet", "published.json"
LEADERBOARD = "leaderboard.csv"
_NAMED = 6
_BOARDS: dict[str, pd.DataFrame] = {}
_OUTPUT = ["level", "method", "variant", "label_source", "seed"]
_CONFIG = (
    *("preset", "resamples", "seed", "pairs", "protocol", "adaptive_images", "learning_images"),
    *("quality_images", "train_on", "train_precision", "inference"),
)
"""Choices that the figures of a table must share."""


@dataclass(frozen=True)
class Results:
    """folder: where they are from. runs: records of the runs behind them, each with `outputs`, the names of
    its outputs among these rows."""

    folder: Path
    runs: tuple[dict[str, Any], ...]
    rows: pd.DataFrame
    curves: pd.DataFrame

    @property
    def dataset(self) -> str:
        return str(self.runs[0]["dataset"])

    @property
    def photographs(self) -> bool:
        return any(run["photographs"] for run in self.runs)

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs, as typed."""
        return outputs_of(self.rows)


def outputs_of(rows: pd.DataFrame) -> list[str]:
    """Names of the outputs that the rows are of, in alphabetical order."""
    named = rows[rows["method"].fillna("") != ""][["method", "variant"]].fillna("").drop_duplicates()
    return sorted(label(str(method), str(variant)) for method, variant in named.itertuples(index=False))


def board_of(rows: Path) -> pd.DataFrame:
    """The leaderboard of a file of rows; made once a process for the same bytes."""
    key = sha256_of_file(rows)
    if key not in _BOARDS:
        _BOARDS[key] = leaderboard(read_rows(rows))
    return _BOARDS[key]


def misfit(board: Path, rows: Path) -> str:
    """Where a leaderboard.csv does not give what the rows give; empty where it does. Columns that were
    measured on machines come after those."""
    whole = board_of(rows)
    expected = csv_text(whole[columns_of_board(whole.columns)])
    texts = board.read_text("utf-8"), expected
    found, wanted = (list(csv.reader(io.StringIO(text, newline=""))) for text in texts)
    nothing: list[str] = []
    for number, (line, should) in enumerate(zip_longest(found, wanted, fillvalue=nothing), 1):
        if line[: len(should)] != should or not should:
            names = (h for h, a, b in zip(wanted[0], line, should, strict=False) if a != b)
            return f"{board.name}, line {number}, {next(names, 'its length')}: not what {rows.name} gives"
    return ""


def read_run(folder: Path) -> Results:
    """What `run` wrote to `folder`.

    Raises InputError for a folder that is no report of this version, or whose rows are not those the run
    wrote; UsageError for a folder with several reports.
    """
    import pandas as pd

    inner = sorted(path.parent.name for path in folder.glob(f"*/{record.RECORD}"))
    if inner and not (folder / record.RECORD).is_file():
        raise UsageError(f"{folder} holds the reports of {', '.join(inner)}; publish {folder / inner[0]} ...")
    found = record.read(folder / record.RECORD)
    rows = _rows(folder / ROWS, found["schema"])
    if sha256_of_file(folder / ROWS) != found["rows"]:
        raise InputError(f"{folder / ROWS} is not the file that the run wrote; repeat the run's command")
    try:
        curves = pd.read_csv(folder / "curves.csv", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {folder / 'curves.csv'}: {error}; repeat the run's command") from error
    if lacking := [name for name in CURVE_COLUMNS if name not in curves]:
        raise InputError(f"{folder / 'curves.csv'} lacks {', '.join(lacking)}; repeat the run's command")
    return Results(folder, ({**found, "outputs": outputs_of(rows)},), rows, _as_written(curves))


def _as_written(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of a CSV file, texts as they were before a spreadsheet was thought of."""
    found = curves[list(CURVE_COLUMNS)].copy()
    for name in found.select_dtypes(exclude="number"):
        found[name] = found[name].map(original)
    return found


def read_published(folder: Path) -> Results:
    """What an earlier `publish` wrote to `folder`. Raises InputError for anything else."""
    found = record.read(folder / PUBLISHED)
    return Results(
        folder,
        tuple(found["runs"]),
        _rows(folder / ROWS, found["schema"]),
        read_parquet(folder / CURVES),
    )


def join(parts: Sequence[Results]) -> Results:
    """All of them as one; of an output that several have, the last counts.

    Raises UsageError, naming what differs, for rows that do not belong in one table.
    """
    import pandas as pd

    for part in parts:
        refuse_mixed_rows(part)
    for one, other in combinations(parts, 2):
        refuse_mixed(one, other)
    rows, curves = parts[0].rows, parts[0].curves
    runs = list(parts[0].runs)
    for part in parts[1:]:
        rows = pd.concat([_without(rows, part.rows, _OUTPUT), part.rows], ignore_index=True)
        curves = pd.concat([_without(curves, part.curves, ["method", "variant"]), part.curves])
        newer = set(part.outputs)
        runs = [{**run, "outputs": [o for o in run["outputs"] if o not in newer]} for run in runs]
        runs = [*(run for run in runs if run["outputs"]), *part.runs]
    return Results(parts[-1].folder, tuple(runs), rows, curves.reset_index(drop=True))


def told_apart(runs: Sequence[Mapping[str, Any]]) -> str:
    """What readers of a table of several runs must know of its figures; empty where there is nothing."""
    notes = []
    if len({tuple(run["pooled"]) for run in runs if POOLED in run["rungs"]}) > 1:
        notes.append(
            f"Attackers of rung {POOLED} learned on the outputs of their own run, which differ here: compare "
            f"leak_{POOLED}, and a leak that was read by one of them, within a run only."
        )
    hashes: dict[str, set[str]] = {}
    for run in runs:
        for kind in ("dataset", "attacker", "matcher", "stage"):
            for name, code in run["code"]["components"].get(kind, {}).items():
                hashes.setdefault(f"{kind} {name}", set()).add(str(code))
    if changed := sorted(name for name, found in hashes.items() if len(found) > 1):
        notes.append(f"The runs were made with different code of {', '.join(changed)}.")
    return " ".join(notes)


def refuse_unfinished(part: Results, *, with_failures: bool) -> None:
    """Raises UsageError for a first look, and for a run of which something failed or is not done."""
    if any(run["config"].get("quick") for run in part.runs) or _flagged(part.rows, FLAG):
        raise UsageError(f"{part.folder} is a first look (--quick), which is not published; run it in full")
    failed = [failure for run in part.runs for failure in run["failures"] if not failure["blocked"]]
    if failed and not with_failures:
        first = "; ".join(f"{one['title']}: {one['message']}" for one in failed[:_NAMED])
        raise UsageError(
            f"{len(failed)} cells of {part.folder} failed or are not done ({first}); repeat the run, or "
            "publish --with-failures, which names them"
        )


def refuse_mixed_rows(part: Results) -> None:
    """Raises UsageError when the rows of one source are not all of one dataset and one recipe."""
    datasets = sorted(set(part.rows["dataset"].dropna()))
    if any(name != part.dataset for name in datasets):
        raise UsageError(
            f"{part.folder / ROWS} mixes rows of {', '.join(datasets)}, and the run was on {part.dataset}; "
            "one table holds one dataset"
        )
    for metric, recipes in _quality(part.rows).items():
        if len(recipes) > 1:
            raise UsageError(
                f"{part.folder / ROWS} mixes {metric} of {len(recipes)} recipes ({' and '.join(recipes)}), "
                "which cannot be compared; run all methods together"
            )


def refuse_mixed(one: Results, other: Results) -> None:
    """Raises UsageError, naming what differs, when rows of two sources do not go into one table."""
    mine, theirs = _quality(one.rows), _quality(other.rows)
    measured = [
        f"recipe of {metric}: {mine[metric][0]} and {theirs[metric][0]}"
        for metric in mine
        if metric in theirs and mine[metric] != theirs[metric]
    ]
    for first in one.runs:
        for second in other.runs:
            found = [*_recipe_differs(first, second), *measured]
            if found:
                more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                raise UsageError(
                    f"rows of {one.folder} and {other.folder} do not go into one table: "
                    f"{'; '.join(found[:_NAMED])}{more}. Run all methods together, or publish under another "
                    "--name"
                )


# -- recipes -----------------------------------------------------------------------------------------


def _recipe_differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """What two runs did differently that their figures hang on, beyond the methods themselves.

    The outputs that pooled attackers learn on are the methods of a run, so they may differ; see `told_apart`.
    """
    for name in ("schema", "dataset"):
        if one[name] != other[name]:
            yield f"{name}: {one[name]} and {other[name]}"
    if one["dataset"] == other["dataset"]:
        for dataset in sorted(one["data"].keys() & other["data"].keys()):
            pools, theirs = one["data"][dataset], other["data"][dataset]
            if changed := [pool for pool in pools if pools[pool] != theirs.get(pool, pools[pool])]:
                yield f"fingerprint of {dataset}: other faces or labels in {', '.join(changed)}"
    if one["size"] != other["size"]:
        yield f"image size: {one['size']} and {other['size']} px"
    for name in _CONFIG:
        if one["config"].get(name) != other["config"].get(name):
            yield f"{name}: {one['config'].get(name)} and {other['config'].get(name)}"
    for name in ("attackers", "matchers", "attributes", "rungs"):
        if one[name] != other[name]:
            alone = sorted(set(one[name]) ^ set(other[name]))
            yield f"{name}: {', '.join(alone)} in only one of them"
    for kind in ("attacker", "matcher"):
        names, theirs = (run["components"].get(kind, {}) for run in (one, other))
        for name in sorted(names.keys() & theirs.keys()):
            if names[name] != theirs[name]:
                yield f"settings or weights of {kind} {name}"
    stages, theirs = one["code"]["stages"], other["code"]["stages"]
    for stage in sorted(stages.keys() & theirs.keys()):
        if stages[stage] != theirs[stage]:
            yield f"version of stage {stage}: {stages[stage]} and {theirs[stage]}"


def _quality(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Metric of image quality -> the recipes that its values have."""
    scored = rows[(rows["component_kind"] == "quality") & rows["value"].notna()]
    return {str(m): sorted(set(map(str, found))) for m, found in scored.groupby("metric")["component"]}


def _flagged(rows: pd.DataFrame, flag: str) -> bool:
    return any(flag in str(flags).split() for flags in rows["flags"].dropna().unique())


def _without(table: pd.DataFrame, newer: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The lines of `table` whose output `newer` has none of, without those that are of no output at all."""
    import pandas as pd

    def named(of: pd.DataFrame) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(of[keys].astype("string").fillna(""))

    kept = table[~named(table).isin(named(newer))]
    return kept[kept["method"].fillna("") != ""]


def _rows(path: Path, schema: int) -> pd.DataFrame:
    if schema != SCHEMA_VERSION:
        raise InputError(
            f"rows of {path.parent} have schema {schema}, and this version writes {SCHEMA_VERSION}; repeat "
            "the run's command"
        )
    rows = read_rows(path)
    if list(rows.columns) != list(COLUMNS):
        different = sorted(set(rows.columns) ^ set(COLUMNS)) or ["their order"]
        raise InputError(f"{path} has other columns than this version writes: {', '.join(different)}")
    return rows
