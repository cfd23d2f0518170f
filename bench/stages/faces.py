"""Stage `faces`: one pool of a dataset, decoded once for everybody, or the join of such pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.cells import Job
from bench.components.dataset import Dataset
from bench.faces import Attribute, Faces, whole_people
from bench.joined import join
from bench.sources import open_dataset
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: dataset, source, fingerprint (of this pool, covering files and options), size, seed, pool, and
    most: whole people with about so many faces, all if missing.

    Of a join, params: joined (names of datasets), source, pool, most. inputs: part:<dataset>, and frame, the
    faces that say where in an image a face belongs.
    """
    p = job.params
    if "joined" in p:
        parts = [faces_of(job, f"part:{name}") for name in p["joined"]]
        job.context.report(0, 1, "joining")
        joined = join(parts, p["joined"], faces_of(job, "frame"))
        return pack(whole_people(joined, p.get("most", len(joined))))
    dataset = opened(job)
    job.context.report(0, 1, "reading")
    return pack(dataset.load(p["pool"], most=p.get("most", 0)))


def opened(job: Job) -> Dataset:
    """The dataset that the parameters dataset, size and seed describe."""
    p = job.params
    return open_dataset(
        p["dataset"],
        job.environment.sources[p["dataset"]],
        size=p["size"],
        seed=p["seed"],
        weights=job.context.weights,
    )


def pack(faces: Faces) -> Artefact:
    """Faces as an artefact; `faces_of` is its inverse."""
    arrays: dict[str, Any] = {"images": faces.images, "identities": faces.identities}
    arrays |= {f"label:{name}": values for name, values in faces.labels.items()}
    if faces.landmarks is not None:
        arrays["landmarks"] = faces.landmarks
    if faces.parts is not None:
        arrays["parts"] = faces.parts
    facts = {
        "keys": [str(k) for k in faces.keys],
        "attributes": attribute_params(faces.attributes),
        "images": len(faces),
        "people": len(np.unique(faces.identities)),
        "lost": int((~faces.acquired).sum()),
    }
    return Artefact(arrays, facts)


def faces_of(job: Job, role: str) -> Faces:
    """The faces that the input `role` holds."""

    def unpack() -> Faces:
        artefact = job.artefact(role)
        return Faces(
            images=artefact.arrays["images"],
            identities=artefact.arrays["identities"],
            keys=np.array(artefact.facts["keys"], np.str_),
            labels={
                n.removeprefix("label:"): a for n, a in artefact.arrays.items() if n.startswith("label:")
            },
            attributes=attributes_of(artefact.facts["attributes"]),
            landmarks=artefact.arrays.get("landmarks"),
            parts=artefact.arrays.get("parts"),
        )

    return job.once("faces", role, unpack)


def acquired_faces_of(job: Job, role: str) -> Faces:
    """The faces of the input `role` to learn from: those that were found in their photographs."""
    faces = faces_of(job, role)
    return faces if faces.acquired.all() else faces.take(faces.acquired)


def attribute_params(attributes: Sequence[Attribute]) -> list[list[Any]]:
    """Attributes as JSON."""
    return [[a.name, list(a.classes), a.unit] for a in attributes]


def attributes_of(params: Sequence[Sequence[Any]]) -> tuple[Attribute, ...]:
    """Inverse of `attribute_params`."""
    return tuple(Attribute(name, tuple(classes), unit) for name, classes, unit in params)
