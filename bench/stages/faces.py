"""Stage `faces`: one pool of a dataset, decoded once for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench import discover
from bench.cells import Job
from bench.faces import Attribute, Faces
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: dataset, source, fingerprint (of this pool, covering files and options), size, seed, pool."""
    p, there = job.params, job.environment
    dataset = discover.load_class("dataset", p["dataset"])(
        there.data, size=p["size"], seed=p["seed"], **there.dataset_options
    )
    job.context.report(0, 1, "reading")
    return pack(dataset.load(p["pool"]))


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


def attribute_params(attributes: Sequence[Attribute]) -> list[list[Any]]:
    """Attributes as JSON."""
    return [[a.name, list(a.classes), a.unit] for a in attributes]


def attributes_of(params: Sequence[Sequence[Any]]) -> tuple[Attribute, ...]:
    """Inverse of `attribute_params`."""
    return tuple(Attribute(name, tuple(classes), unit) for name, classes, unit in params)
