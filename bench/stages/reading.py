"""What attackers read of one set of faces, and how several of them read it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import discover
from bench.cells import Job
from bench.components.attacker import Attacker, Scores
from bench.components.base import Context
from bench.errors import BenchError
from bench.faces import Attribute, Faces
from bench.stages.distinct import distinct, distinct_faces
from bench.stages.faces import faces_of
from bench.stages.scores import IMAGES, Table, by_reader
from bench.together import fit_together, scores_together


@dataclass(frozen=True)
class Material:
    """N faces as attackers meet them. vectors: embeddings (N, D) by extractor, NaN where not acquired.

    faces: with protected images, or None where there are none to see. failed: bool (N,), of the images.
    """

    vectors: Mapping[str, NDArray[np.float32]]
    faces: Faces | None = None
    failed: NDArray[np.bool_] | None = None

    def take(self, rows: NDArray[np.bool_]) -> Material:
        """The faces where `rows` (N,) holds."""
        return Material(
            {name: values[rows] for name, values in self.vectors.items()},
            None if self.faces is None else self.faces.take(rows),
            None if self.failed is None else self.failed[rows],
        )

    def acquired(self, reader: str) -> tuple[Any, NDArray[np.bool_]]:
        """What attackers of `reader` look at, and of which faces (N,) it is."""
        if reader != IMAGES:
            vectors = self.vectors[reader]
            rows = np.asarray(np.isfinite(vectors).all(axis=1))
            return vectors[rows], rows
        assert self.faces is not None
        assert self.failed is not None
        return self.faces.take(~self.failed), ~self.failed


def material(job: Job, faces_role: str, images_role: str, prefix: str) -> Material:
    """From inputs of a cell: embeddings `<prefix><extractor>`, and images where there are some."""
    vectors = {
        role.removeprefix(prefix): job.artefact(role).arrays["vectors"]
        for role in job.cell.inputs
        if role.startswith(prefix)
    }
    if images_role not in job.cell.inputs:
        return Material(vectors)
    arrays = job.artefact(images_role).arrays
    return Material(vectors, replace(faces_of(job, faces_role), images=arrays["images"]), arrays["failed"])


def here(job: Job) -> Material:
    """The protected faces of TEST."""
    return material(job, "faces", IMAGES, "here:")


def known(job: Job) -> Material:
    """The protected faces of ATTACK, of which attackers know the labels."""
    return material(job, "known", "known_images", "known:")


def new_attackers(units: Mapping[str, Mapping[str, Any]]) -> dict[str, Attacker]:
    """Untrained attackers by name."""
    return {
        name: discover.load_class("attacker", unit["attacker"])(**unit["settings"])
        for name, unit in units.items()
    }


def static_attackers(job: Job) -> dict[str, Attacker]:
    """The cell's attackers as they learned on originals; one whose training failed is left out."""

    def ready(name: str) -> tuple[Attacker, int]:
        attacker = new_attackers({name: job.params["units"][name]})[name]
        if f"fit:{name}" in job.cell.inputs:
            attacker.restore(dict(job.artefact(f"fit:{name}").arrays))
        attacker.prepare(job.context)
        return attacker, 4_000_000

    found = {}
    for name, unit in job.params["units"].items():
        if not unit["trained"] or f"fit:{name}" in job.cell.inputs:
            key = job.cell.inputs.get(f"fit:{name}", f"{unit['attacker']} {unit['settings']}")
            found[name] = job.recent.get(("attacker", key), partial(ready, name))
    return found


def learn(
    attackers: Mapping[str, Attacker],
    units: Mapping[str, Mapping[str, Any]],
    seen: Material,
    labels: Mapping[str, NDArray[np.float32]],
    attributes: Sequence[Attribute],
    ctx: Context,
) -> tuple[dict[str, Attacker], dict[str, str]]:
    """Train the attackers on what is seen: those that could be, and why the others could not.

    labels: attribute -> float32 (N,), NaN where unknown.
    """
    lost: dict[str, str] = {}
    for reader, names in by_reader(units, list(attackers)).items():
        inputs, rows = seen.acquired(reader)
        told = {a.name: labels[a.name][rows] for a in attributes}
        if reader == IMAGES:
            for name in names:
                try:
                    attackers[name].fit(inputs, told, attributes, ctx)
                except BenchError as error:
                    lost[name] = str(error)
        else:
            chosen = {name: attackers[name] for name in names}
            answers = fit_together(chosen, inputs, told, attributes, ctx)
            lost |= {n: str(answer) for n, answer in answers.items() if isinstance(answer, BenchError)}
    return {name: one for name, one in attackers.items() if name not in lost}, lost


def read(
    attackers: Mapping[str, Attacker],
    units: Mapping[str, Mapping[str, Any]],
    seen: Material,
    ctx: Context,
) -> tuple[Table, dict[str, str]]:
    """What every attacker says of every face, and why some could not. Equal inputs get equal answers."""
    table: Table = {}
    lost: dict[str, str] = {}
    for reader, names in by_reader(units, list(attackers)).items():
        inputs, rows = seen.acquired(reader)
        if reader == IMAGES:
            for name in names:
                aligned = attackers[name].pretrained is not None
                some, inverse = distinct_faces(inputs, aligned=aligned)
                try:
                    table[name] = placed(attackers[name].scores(some, ctx), rows, inverse)
                except BenchError as error:
                    lost[name] = str(error)
        else:
            first, inverse = distinct([inputs])
            chosen = {name: attackers[name] for name in names}
            for name, answer in scores_together(chosen, inputs[first], ctx).items():
                if isinstance(answer, BenchError):
                    lost[name] = str(answer)
                else:
                    table[name] = placed(answer, rows, inverse)
    return table, lost


def placed(found: Scores, rows: NDArray[np.bool_], inverse: NDArray[np.intp] | slice = slice(None)) -> Scores:
    """Scores of the faces at `rows` (N,) among all N, NaN for the others. inverse: which row of `found` each
    of these faces has; by default its own."""
    table = {}
    for attribute, values in found.items():
        table[attribute] = np.full((len(rows), values.shape[1]), np.nan, np.float32)
        table[attribute][rows] = values[inverse]
    return table
