"""The contract of every component, checked on tiny faces in seconds. `bench check` and the tests run the
same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench import discover
from bench.components.base import Context
from bench.components.method import Method, Protected, Variant, Verdict
from bench.errors import BenchError, ContractError, Unavailable, unknown_name
from bench.faces import Faces
from bench.weights import WeightsFolder

CHECK_PRESET = "check"
"""The preset a trained component offers for this: the same code, a handful of steps."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. `why` says what went wrong."""

    what: str
    ok: bool
    why: str = ""


def check_component(name: str, kind: str = "") -> list[Finding]:
    """All findings about the component `name`; of every kind that has one so called unless `kind` is given.

    Raises UsageError for an unknown name, Unavailable when its pretrained file is not at hand.
    """
    kinds = [k for k in discover.PACKAGES if (not kind or k == kind) and name in discover.components(k)]
    if not kinds:
        known = [n for k in discover.PACKAGES for n in discover.components(k)]
        raise unknown_name("component", name, known)
    return [finding for k in kinds for finding in _CHECKS[k](name)]


def _try(what: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except Unavailable:
        raise
    except BenchError as error:
        return Finding(what, False, str(error))
    except Exception as error:  # the component's own fault, which is what we are here to find
        return Finding(what, False, f"{type(error).__name__}: {error}")
    return Finding(what, True)


@cache
def tiny_faces(people: int = 24) -> Faces:
    """Three procedural faces of each of `people` people, numbered from 0, at 64 px with all labels."""
    dataset = discover.load_class("dataset", "synthetic")(test_people=people, test_images=3, size=64, seed=7)
    faces: Faces = dataset.load("test")
    return replace(faces, identities=faces.identities - faces.identities.min())


@cache
def _two_pools() -> tuple[Faces, Faces]:
    """Faces to learn from and faces of other people."""
    faces = tiny_faces()
    return faces.take(faces.identities < 16), faces.take(faces.identities >= 16)


def _context(folder: str) -> Context:
    return Context(seed=3, workdir=Path(folder), weights=WeightsFolder.find(None))


# -- methods -----------------------------------------------------------------------------------------


def _check_method(name: str) -> Iterator[Finding]:
    faces, _ = _two_pools()
    method: Method = discover.load_class("method", name)(faces.attributes, preset=CHECK_PRESET)
    metadata = _try("has a title and variants", lambda: _method_metadata(method))
    yield metadata
    if not metadata.ok:
        return
    if type(method).trained:
        learned = _try("learns, stores and restores what it learned", lambda: _learn(method))
        yield learned
        if not learned.ok:
            return
    for variant in method.variants():
        yield _try(f"protects ({variant.name})", lambda v=variant: _protects(method, v))  # type: ignore[misc]
    if method.needs_labels:
        yield _try("counts a face whose label is unknown as failed", lambda: _unknown_label(method))


def _method_metadata(method: Method) -> None:
    if not type(method).title:
        raise ContractError("title is empty")
    if not method.variants():
        raise ContractError(f"no variant for attributes {', '.join(method.attributes)}; set `obfuscates`")


def _learn(method: Method) -> None:
    faces, validation = _two_pools()
    with tempfile.TemporaryDirectory() as folder:
        method.fit(faces, validation, _TinyAuxiliaries(faces), _context(folder))
    state = method.state()
    if not state:
        raise ContractError("`state` is empty after `fit`, so nothing would be stored")
    twin = type(method)(faces.attributes, preset=CHECK_PRESET)
    twin.restore(state)
    variant = method.variants()[0]
    _same(method.protect(faces, variant).images, twin.protect(faces, variant).images, "after `restore`")


def _protects(method: Method, variant: Variant) -> None:
    faces, _ = _two_pools()
    before = faces.images.copy()
    whole = method.protect(faces, variant, seed=5)
    if whole.images.shape != faces.images.shape or whole.failed.all():
        raise ContractError("every face failed" if whole.failed.all() else "wrong shape")
    _same(faces.images, before, "of its input, which must not be changed")
    _same(whole.images, method.protect(faces, variant, seed=5).images, "when repeated with the same seed")
    # Another batch size may take another path through the same arithmetic: one grey level is rounding.
    parts = method.protect(faces, variant, seed=5, batch=5).images
    if np.abs(whole.images.astype(int) - parts.astype(int)).max() > 1:
        raise ContractError("the result depends on the batch size; use `request.normal` for randomness")


def _unknown_label(method: Method) -> None:
    faces, _ = _two_pools()
    needed = next((a for a in method.needs_labels if a in faces.labels), None)
    if needed is None:
        return
    labels = {**faces.labels, needed: faces.labels[needed].copy()}
    labels[needed][0] = np.nan
    result = method.protect(replace(faces, labels=labels), method.variants()[0])
    if not result.failed[0] or result.images[0].any():
        raise ContractError(f"a face without {needed} must fail and come out black")


class _TinyAuxiliaries:
    """Untrained networks of the right shapes: enough to run a method's training code, no more."""

    names = ("tiny matcher", "tiny classifier", "tiny classifier")

    def __init__(self, faces: Faces) -> None:
        import torch

        torch.manual_seed(0)
        self._embed = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 16)
        ).requires_grad_(False)
        sizes = {a.name: len(a.classes) for a in faces.attributes if not a.is_number}
        self._heads = torch.nn.ModuleDict(
            {name: torch.nn.Linear(16, count) for name, count in sizes.items()}
        ).requires_grad_(False)
        self.classifiers = [self._classify, self._classify]

    def matcher(self, images: Any) -> Any:
        import torch

        return torch.nn.functional.normalize(self._embed(images), dim=1)

    def _classify(self, images: Any) -> dict[str, Any]:
        features = self._embed(images)
        return {name: head(features) for name, head in self._heads.items()}

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        protect(_two_pools()[1])
        return Verdict({"tiny": 0.5}, {"tiny": 0.5}, 0.5, 0.0)


# -- attackers, matchers, datasets ---------------------------------------------------------------------


def _check_attacker(name: str) -> Iterator[Finding]:
    attacker = discover.load_class("attacker", name)(preset=CHECK_PRESET)
    yield _try("scores every attribute, before and after being stored", lambda: _attacks(attacker))


def _attacks(attacker: Any) -> None:
    faces, others = _two_pools()
    inputs: Any = faces
    probes: Any = others
    if attacker.reads == "embedding":
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((2, 24)).astype(np.float32)
        inputs, probes = (_unit_vectors(centres, f, rng) for f in (faces, others))
    with tempfile.TemporaryDirectory() as folder:
        context = _context(folder)
        twin = type(attacker)(preset=CHECK_PRESET)
        if attacker.trained:
            learnable = [
                a for a in faces.attributes if not a.is_number and len(np.unique(faces.labels[a.name])) > 1
            ]
            attacker.fit(inputs, faces.labels, learnable, context)
            twin.restore(attacker.state())
        attacker.prepare(context)
        twin.prepare(context)
        scores, again = attacker.scores(probes, context), twin.scores(probes, context)
    if not scores:
        raise ContractError("no attribute is scored")
    for attribute, values in scores.items():
        classes = len(faces.attribute(attribute).classes) or 1
        if values.shape != (len(probes), classes):
            raise ContractError(
                f"scores of {attribute} must be ({len(probes)}, {classes}), got {values.shape}"
            )
        _same(values, again[attribute], f"of {attribute} after `restore`")


def _unit_vectors(centres: np.ndarray, faces: Faces, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((len(faces), centres.shape[1])).astype(np.float32)
    vectors = centres[faces.labels["gender"].astype(int)] + 0.5 * noise
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def _check_matcher(name: str) -> Iterator[Finding]:
    matcher = discover.load_class("matcher", name)(preset=CHECK_PRESET)
    yield _try("embeds, before and after being stored", lambda: _embeds(matcher))


def _embeds(matcher: Any) -> None:
    faces, others = _two_pools()
    with tempfile.TemporaryDirectory() as folder:
        context = _context(folder)
        twin = type(matcher)(preset=CHECK_PRESET)
        if matcher.trained:
            matcher.fit(faces, context)
            twin.restore(matcher.state())
        matcher.prepare(context)
        twin.prepare(context)
        vectors = matcher.embed(others, context)
        if np.isnan(vectors).all():
            raise ContractError("every face failed to be acquired")
        _same(vectors, twin.embed(others, context), "after `restore`")
        if np.abs(vectors - matcher.embed(others, context, batch=5)).max() > 1e-3:
            raise ContractError("the embeddings depend on the batch size")


def _check_dataset(name: str) -> Iterator[Finding]:
    if discover.load_class("dataset", name).needs_data:
        yield Finding("needs the publisher's files: `run --dataset` checks them", True)
        return
    yield _try("delivers four pools that share nobody", lambda: _pools(name))


def _pools(name: str) -> None:
    options = {
        f"{p}_{w}": 3 for p in ("develop", "validation", "attack", "test") for w in ("people", "images")
    }
    dataset = discover.load_class("dataset", name)(**options)
    seen: set[int] = set()
    for pool in ("develop", "validation", "attack", "test"):
        people = set(dataset.load(pool).identities.tolist())
        if people & seen:
            raise ContractError(f"pool {pool} shares a person with another")
        seen |= people


def _same(first: np.ndarray, second: np.ndarray, when: str) -> None:
    if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
        raise ContractError(f"the output differs {when}")


_CHECKS: dict[str, Callable[[str], Iterator[Finding]]] = {
    "method": _check_method,
    "attacker": _check_attacker,
    "matcher": _check_matcher,
    "dataset": _check_dataset,
}
