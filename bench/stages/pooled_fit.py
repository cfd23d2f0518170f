"""Stage `pooled_fit` (rung A3): attackers learned on what all outputs of the run make of other people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.base import State
from bench.components.method_base import sample_seeds
from bench.errors import InputError
from bench.faces import Faces
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import Material, learn, new_attackers
from bench.stages.scores import IMAGES, by_reader
from bench.store import Artefact

VERSION = 1
DRAWS = 2
"""Outputs that each known face is seen under."""
_BETWEEN = "|"


def run(job: Job) -> Artefact:
    """params: units, hunted, outputs, seed. inputs: known (people of ATTACK), and of each output that did
    not fail known:<extractor>:<output> and known_images:<output>.

    Each face is seen under `DRAWS` outputs chosen by chance, as by an attacker who collects protected faces
    without knowing what protected them. arrays: <attacker>|<its state>.
    """
    units, people = job.params["units"], faces_of(job, "known")
    attributes = attributes_of(job.params["hunted"])
    readers = sorted(by_reader(units, list(units)))
    outputs = [o for o in job.params["outputs"] if all(_role(r, o) in job.cell.inputs for r in readers)]
    if not outputs:
        raise InputError("no output left protected faces of ATTACK to learn from; see what failed before")
    drawn = np.concatenate([_draws(job.params["seed"], n, people) % len(outputs) for n in range(DRAWS)])
    faces = _repeated(people)
    seen = _mixed(job, readers, outputs, drawn, faces)
    attackers, lost = learn(new_attackers(units), units, seen, faces.labels, attributes, job.context)
    arrays = {
        f"{name}{_BETWEEN}{key}": values for name, a in attackers.items() for key, values in a.state().items()
    }
    return Artefact(arrays, {"outputs": outputs, "faces": len(faces), "lost": lost})


def states(arrays: Mapping[str, NDArray[Any]]) -> dict[str, State]:
    """Attacker -> its state, from the arrays of this stage."""
    found: dict[str, State] = {}
    for path, values in arrays.items():
        name, _, key = path.partition(_BETWEEN)
        found.setdefault(name, {})[key] = values
    return found


def _role(reader: str, output: str) -> str:
    return f"known_images:{output}" if reader == IMAGES else f"known:{reader}:{output}"


def _draws(seed: int, number: int, people: Faces) -> NDArray[np.uint64]:
    return sample_seeds(seed, f"pooled {number}", people.keys)


def _repeated(people: Faces) -> Faces:
    """The same faces `DRAWS` times, under different names."""
    rows = np.tile(np.arange(len(people)), DRAWS)
    keys = np.concatenate([np.char.add(people.keys, f" {n}") for n in range(DRAWS)])
    return Faces(
        images=people.images[rows].copy(),
        identities=people.identities[rows],
        keys=keys,
        labels={name: values[rows] for name, values in people.labels.items()},
        attributes=people.attributes,
        landmarks=None if people.landmarks is None else people.landmarks[rows],
    )


def _mixed(
    job: Job, readers: list[str], outputs: list[str], drawn: NDArray[np.uint64], faces: Faces
) -> Material:
    """Every face as the output drawn for it shows it."""
    images, failed = faces.images, np.zeros(len(faces), bool)
    vectors: dict[str, NDArray[np.float32]] = {}
    source = np.tile(np.arange(len(faces) // DRAWS), DRAWS)
    for number, output in enumerate(outputs):
        rows = np.flatnonzero(drawn == number)
        for reader in readers:
            arrays = job.artefact(_role(reader, output)).arrays
            if reader == IMAGES:
                images[rows], failed[rows] = arrays["images"][source[rows]], arrays["failed"][source[rows]]
            else:
                width = arrays["vectors"].shape[1]
                target = vectors.setdefault(reader, np.full((len(faces), width), np.nan, np.float32))
                target[rows] = arrays["vectors"][source[rows]]
        job.context.report(number, 2 * len(outputs), f"faces of {output}")
    shown = replace(faces, images=images) if IMAGES in readers else None
    return Material(vectors, shown, failed if shown is not None else None)
