"""Folders as `run` leaves them, of made-up figures, for tests of `publish` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report_rows import ATTACKERS, make_curves, make_rows, make_samples

from bench.record import FORMAT, RECORD, record_file
from bench.report.draws import DRAWS, draws_file
from bench.report.page import write_report
from bench.results import SCHEMA_VERSION, to_frame
from bench.scoring.rows import SampleKey

DATASET = "made-up faces"


def make_record(**changes: Any) -> dict[str, Any]:
    """What a run would say of itself; a mapping in `changes` is merged into the one that is there."""
    found: dict[str, Any] = {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "dataset": DATASET,
        "title": "Made-up faces",
        "photographs": False,
        "size": 64,
        "command": "python -m bench run --dataset 'made-up faces' --methods all",
        "config": {
            "preset": "quick",
            "resamples": 300,
            "seed": 0,
            "pairs": "all",
            "adaptive_images": 1200,
            "quality_images": 128,
            "options": {},
            "quick": False,
        },
        "draw": {"seed": 0, "resamples": 300},
        "data": {DATASET: {"test": "aaaa", "attack": "bbbb"}},
        "attackers": sorted(ATTACKERS[:3]),
        "matchers": ["arcface", "se_resnet"],
        "attributes": ["gender", "race"],
        "rungs": ["static"],
        "pooled": [],
        "components": {"attacker": {"knn": {"settings": {"neighbours": 15}}}, "method": {}},
        "code": {"veilbench": "0.1.0", "commit": "abc", "stages": {"score": 2}, "components": {}},
        "failures": [],
        "unavailable": [{"kind": "matcher", "name": "facenet", "reason": "not here", "remedy": "fetch it"}],
    }
    for key, value in changes.items():
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    return found


def small_rows(count: int = 2, seed: int = 0) -> pd.DataFrame:
    """Rows of few variants and controls, without the one that failed."""
    rows = make_rows(count, attackers=3, attributes=2, matchers=2, seed=seed)
    few = rows["method"].isin(["san", "original", "constant", "blur", "grey"])
    return rows[few & (rows["status"] == "ok")].reset_index(drop=True)


def make_draws(rows: pd.DataFrame, *, resamples: int = 300, seed: int = 0) -> dict[SampleKey, np.ndarray]:
    """Resamples around the pooled figures, alike in every run of one seed as far as people are the same."""
    shared = 0.02 * np.random.default_rng(seed).standard_normal(resamples)
    pooled = rows[(rows["component"] == "pool") | (rows["component_kind"] == "quality")]
    keys = pooled[list(SampleKey._fields)].astype(object).where(pooled[list(SampleKey._fields)].notna(), "")
    return {
        SampleKey._make(key)._replace(seed=int(key[6])): value + shared
        for key, value in zip(keys.itertuples(index=False, name=None), pooled["value"], strict=True)
    }


def make_run(
    folder: Path, rows: pd.DataFrame | None = None, *, faces: bool = True, curves: bool = True, **changes: Any
) -> Path:
    """A report folder, of one attribute so that few figures are drawn. changes: of its record."""
    rows = small_rows() if rows is None else rows
    rows = to_frame(rows[rows["attribute"].fillna("") != "race"].to_dict("records"))
    shown = make_curves(2, matchers=1)
    named = {"original", "san"} & set(rows["method"].dropna())
    write_report(
        folder,
        rows=rows,
        curves=shown[shown["method"].isin(named)] if curves else shown.head(0),
        samples=make_samples(1, people=2, size=16) if faces else None,
        provenance={"dataset": DATASET, "command": "made up"},
    )
    note(folder, rows, **changes)
    return folder


def note(folder: Path, rows: pd.DataFrame, **changes: Any) -> None:
    """Write resamples and record beside the rows."""
    found = make_record(**changes)
    draw = found["draw"]
    drawn = make_draws(rows, resamples=draw["resamples"], seed=draw["seed"])
    (folder / DRAWS).write_bytes(draws_file(drawn))
    known = {
        "pools": {"test": {"images": 1741, "identities": 230}},
        "machine": {"python": "3.11", "versions": {"numpy": "2"}, "platform": "Linux x86_64"},
    }
    (folder / RECORD).write_bytes(record_file(found, folder / "rows.parquet", **known))
