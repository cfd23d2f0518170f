"""Stage `fit`: trains a privacy method on DEVELOP against the auxiliaries."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import auxiliaries, discover
from bench.cells import Job
from bench.components.base import State
from bench.components.method import Auxiliaries, Method
from bench.components.method_base import AnyMethod
from bench.stages.faces import acquired_faces_of, attributes_of
from bench.store import Artefact

VERSION = 2


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, seed. inputs: develop, validation,
    auxiliary:<name>."""
    method = new_method(job.params)
    assert isinstance(method, Method)
    develop, validation = acquired_faces_of(job, "develop"), acquired_faces_of(job, "validation")
    opponents = assembled(job) if method.needs_auxiliaries else None
    figures = method.fit(develop, validation, opponents, job.context)
    return Artefact(as_stored(method.state()), {"figures": figures})


def new_method(params: Any) -> AnyMethod:
    """The method that `params` describes, not yet fitted."""
    found: AnyMethod = discover.load_class("method", params["method"])(
        attributes_of(params["attributes"]), **params["settings"]
    )
    found.part = params["part"]
    return found


def assembled(job: Job) -> Auxiliaries:
    """The auxiliaries among the job's inputs, ready to be trained against and to judge."""
    prefix = "auxiliary:"
    states = {
        role.removeprefix(prefix): dict(job.artefact(role).arrays)
        for role in job.cell.inputs
        if role.startswith(prefix)
    }
    validation = acquired_faces_of(job, "validation")
    found: Auxiliaries = auxiliaries.assemble(states, validation, validation.attributes, job.context)
    return found


def as_stored(state: State) -> State:
    """A method's state as it is stored and shipped: floating arrays in half precision."""
    return {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in state.items()}


def as_float(state: State) -> State:
    """A stored state, back in single precision."""
    return {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in state.items()}
