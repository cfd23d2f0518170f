"""Small runs on which the cost model is held to what was taken: recorded once, or made anew.

`recorded_costs/<run>.csv` say what every cell of these runs took with one worker on two cores of a Xeon that
other work shared. `write(run, samples_of(store))` makes them anew from a store in which `run` was run.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.costs.samples import Sample
from bench.costs.work import Work

FOLDER = Path(__file__).with_name("recorded_costs")
_SHARED = {
    "matchers": ("se_resnet",),
    "attackers": ("svm", "knn", "mlp"),
    "threats": ("folded", "aware"),
    "attributes": ("gender", "smiling", "young"),
    "resamples": 200,
    "quality_images": 24,
    "options": {"se_resnet": {"steps": 40}},
}
_FEW = ("blur", "san:op")
RUNS = {
    "small": {
        **_SHARED,
        "methods": _FEW,
        "adaptive_images": 600,
        "dataset_options": {"attack_people": 200, "test_people": 60, "test_images": 4},
    },
    "double": {
        **_SHARED,
        "methods": _FEW,
        "adaptive_images": 1200,
        "dataset_options": {"attack_people": 400, "test_people": 120, "test_images": 4},
    },
    "other": {
        **_SHARED,
        "methods": ("blur", "grey", "noise", "san:op", "privacynet:gender", "mmda", "ive"),
        "adaptive_images": 800,
        "dataset_options": {"attack_people": 300, "attack_images": 4, "test_people": 90, "test_images": 5},
    },
}
"""The first two are learned from, the third, of another size and with other methods, is foretold."""
LEARNED, FORETOLD = ("small", "double"), "other"
_COLUMNS = (
    *("stage", "component", "terms", "storage", "known", "held"),
    *("seconds", "stored", "read", "peak", "cold"),
)


def recorded(run: str) -> list[Sample]:
    """What the cells of a run took."""
    with (FOLDER / f"{run}.csv").open(encoding="utf-8", newline="") as file:
        return [_sample(row) for row in csv.DictReader(file)]


def write(run: str, samples: Iterable[Sample]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{run}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for s in samples:
            w = s.work
            told = (w.stage, w.component, _text(w.terms), _text(w.storage), f"{w.known:g}", f"{w.held:g}")
            writer.writerow((*told, f"{s.seconds:.4g}", s.stored, s.read, s.peak or "", int(s.cold)))


def errors(foretold: Mapping[str, float], taken: Mapping[str, float]) -> dict[str, float]:
    """By name, how much more was foretold than was taken, as a share of it."""
    return {name: foretold.get(name, 0.0) / value - 1 for name, value in taken.items() if value}


def _sample(row: Mapping[str, str]) -> Sample:
    terms, storage = _numbers(row["terms"]), _numbers(row["storage"])
    figures = float(row["known"]), float(row["held"])
    work = Work(row["stage"], row["component"], terms, storage, *figures)
    peak = int(row["peak"]) if row["peak"] else None
    took = float(row["seconds"]), int(row["stored"]), int(row["read"]), peak
    return Sample(work, *took, "cpu", {}, row["cold"] == "1")


def _text(terms: Mapping[str, float]) -> str:
    return "; ".join(f"{name}={value:.10g}" for name, value in terms.items())


def _numbers(text: str) -> dict[str, float]:
    return {name: float(value) for name, _, value in (part.rpartition("=") for part in text.split("; "))}
