"""Findings, and the tiny faces that components are checked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench import discover
from bench.components.base import Context
from bench.components.method_base import AnyMethod
from bench.errors import BenchError, ContractError, Unavailable
from bench.faces import Faces
from bench.weights import WeightsFolder

M = TypeVar("M", bound=AnyMethod)

CHECK_PRESET = "check"
"""The preset a trained component offers for this: the same code, a handful of steps."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. `why` says what went wrong."""

    what: str
    ok: bool
    why: str = ""


def tried(what: str, check: Callable[[], None]) -> Finding:
    """Whether `check` raises nothing. Unavailable passes through: it is no fault of the component."""
    try:
        check()
    except Unavailable:
        raise
    except BenchError as error:
        return Finding(what, False, str(error))
    except (Exception, SystemExit) as error:  # the component's own fault, which is what we are here to find
        return Finding(what, False, f"{type(error).__name__}: {error}{_line(error)}")
    return Finding(what, True)


def _line(error: BaseException) -> str:
    """Where the error was raised: file and line of its last step."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return ""
    return f" ({Path(step.tb_frame.f_code.co_filename).name}, line {step.tb_lineno})"


@cache
def tiny_faces(people: int = 24) -> Faces:
    """Three procedural faces of each of `people` people, numbered from 0, at 64 px with all labels."""
    dataset = discover.load_class("dataset", "synthetic")(test_people=people, test_images=3, size=64, seed=7)
    faces: Faces = dataset.load("test")
    return replace(faces, identities=faces.identities - faces.identities.min())


def two_pools() -> tuple[Faces, Faces]:
    """Faces to learn from and faces of other people; copies, since a component may spoil its own."""
    faces = tiny_faces()
    return faces.take(faces.identities < 16), faces.take(faces.identities >= 16)


def unit_vectors(faces: Faces, centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Embeddings (N, D) that tell gender: noise around the two `centres` (2, D)."""
    noise = rng.standard_normal((len(faces), centres.shape[1])).astype(np.float32)
    vectors = centres[faces.labels["gender"].astype(int)] + 0.5 * noise
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def context(folder: str) -> Context:
    """What a component is lent while it is checked."""
    return Context(seed=3, workdir=Path(folder), weights=WeightsFolder.find(None))


def same(first: NDArray[np.generic], second: NDArray[np.generic], when: str) -> None:
    """Raises ContractError where two outputs are not equal to the bit."""
    if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
        raise ContractError(f"the output differs {when}")


def stored_twin(method: M) -> M:
    """Another instance that takes up what a fitted `method` stores; ContractError if that is nothing."""
    state = method.state()
    if not state:
        raise ContractError("`state` is empty after `fit`, so nothing would be stored")
    twin = type(method)(tuple(method.attributes.values()), preset=CHECK_PRESET)
    twin.part = method.part
    twin.restore(state)
    return twin


def untouched(now: NDArray[np.generic], before: NDArray[np.generic], hook: str) -> None:
    """Raises ContractError where `hook` wrote into its input."""
    if not np.array_equal(now, before, equal_nan=now.dtype.kind == "f"):
        raise ContractError(f"`{hook}` changes the array it was given, which others use too; copy it first")
