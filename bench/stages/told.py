"""Stage `told`: the labels that methods are told of one pool, where they are not the true ones."""

from __future__ import annotations

import numpy as np

from bench import discover
from bench.cells import Job
from bench.components.attacker import Attacker
from bench.components.method_base import sample_seeds
from bench.faces import Attribute, Faces
from bench.stages.faces import attributes_of, faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: label_source, attributes, seed, source. inputs: faces; for predictions also their embeddings
    (vectors), and develop with develop_vectors, on which the predictor learns.

    label:<attribute>: float32 (N,). `random`: a class drawn for each face, all equally likely; numbers are
    drawn from those of the pool. `predicted`: what a support vector machine says that learned on DEVELOP,
    people whom neither attackers nor tests see; NaN where the extractor failed, and for numbers, which it
    does not predict.
    """
    faces = faces_of(job, "faces")
    attributes = attributes_of(job.params["attributes"])
    if job.params["label_source"] == "random":
        return Artefact({f"label:{a.name}": _drawn(job.params["seed"], a, faces) for a in attributes})
    predictor: Attacker = discover.load_class("attacker", "svm")()
    develop, learned = faces_of(job, "develop"), job.artefact("develop_vectors").arrays["vectors"]
    rows = np.isfinite(learned).all(axis=1)
    classes = [a for a in attributes if not a.is_number]
    labels = {a.name: develop.labels[a.name][rows] for a in classes}
    predictor.fit(learned[rows], labels, classes, job.context)
    vectors = job.artefact("vectors").arrays["vectors"]
    rows = np.isfinite(vectors).all(axis=1)
    arrays = {f"label:{a.name}": np.full(len(faces), np.nan, np.float32) for a in attributes}
    right = {}
    for name, scores in predictor.scores(vectors[rows], job.context).items():
        arrays[f"label:{name}"][rows] = scores.argmax(axis=1)
        known = rows & np.isfinite(faces.labels[name])
        right[name] = float(np.mean(arrays[f"label:{name}"][known] == faces.labels[name][known]))
    return Artefact(arrays, {"accuracy": right})


def _drawn(seed: int, attribute: Attribute, faces: Faces) -> np.ndarray:
    draws = sample_seeds(seed, f"label {attribute.name}", faces.keys)
    if not attribute.is_number:
        return (draws % np.uint64(len(attribute.classes))).astype(np.float32)
    known = faces.labels[attribute.name][np.isfinite(faces.labels[attribute.name])]
    found: np.ndarray = known[(draws % np.uint64(len(known))).astype(np.int64)]
    return found
