"""The contract of every component, checked on tiny faces in seconds. `bench check` and the tests run the
same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import discover
from bench.auxiliaries import untrained
from bench.components.base import Context
from bench.components.embedding_method import EmbeddingMethod, Templates
from bench.components.method import Method, Protected, Verdict
from bench.components.method_base import AnyMethod, Variant
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
    method: AnyMethod = discover.load_class("method", name)(faces.attributes, preset=CHECK_PRESET)
    metadata = _try("has a title and variants", lambda: _method_metadata(method))
    yield metadata
    if not metadata.ok:
        return
    if isinstance(method, EmbeddingMethod):
        yield from _check_embedding_method(method)
        return
    assert isinstance(method, Method)
    for part in method.parts():
        method.part = part
        yield from _check_part(method, [v for v in method.variants() if v.part == part])


def _check_part(method: Method, variants: list[Variant]) -> Iterator[Finding]:
    if type(method).trained:
        of = f" ({method.part})" if method.part else ""
        learned = _try(f"learns, stores and restores what it learned{of}", lambda: _learn(method, variants))
        yield learned
        if not learned.ok:
            return
    shown = [v for v in variants if not v.oracle]
    for variant in shown:
        yield _try(f"protects ({variant.name})", partial(_protects, method, variant))
    if method.needs_labels:
        check = partial(_unknown_label, method, shown)
        yield _try("counts a face whose label is unknown as failed", check)


def _method_metadata(method: AnyMethod) -> None:
    if not type(method).title:
        raise ContractError("title is empty")
    if not method.variants():
        raise ContractError(f"no variant for attributes {', '.join(method.attributes)}; set `obfuscates`")


def _learn(method: Method, variants: list[Variant]) -> None:
    faces, validation = _two_pools()
    opponents: Any = untrained(faces.attributes, _Indifferent(), type(method).extra_auxiliaries)
    with tempfile.TemporaryDirectory() as folder:
        method.fit(faces, validation, opponents, _context(folder))
    state = method.state()
    if not state:
        raise ContractError("`state` is empty after `fit`, so nothing would be stored")
    twin = type(method)(faces.attributes, preset=CHECK_PRESET)
    twin.part = method.part
    twin.restore(state)
    variant = next(v for v in variants if not v.oracle)
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


def _unknown_label(method: Method, variants: list[Variant]) -> None:
    faces, _ = _two_pools()
    for variant in variants:
        needed = method.needs_labels if variant.needs is None else variant.needs
        for name in needed[:1]:
            if name not in faces.labels:
                continue
            labels = {**faces.labels, name: faces.labels[name].copy()}
            labels[name][0] = np.nan
            result = method.protect(replace(faces, labels=labels), variant)
            if not result.failed[0] or result.images[0].any():
                raise ContractError(f"{variant.name}: a face without {name} must fail and come out black")
            return


class _Indifferent:
    """Judges who find everything equally good."""

    def verdict(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        protect(_two_pools()[1])
        return Verdict({"tiny": 0.5}, {"tiny": 0.5}, 0.5, 0.0)


# -- methods that work on templates ----------------------------------------------------------------------


def _check_embedding_method(method: EmbeddingMethod) -> Iterator[Finding]:
    for part in method.parts():
        method.part = part
        of = f" ({part})" if part else ""
        variants = [v for v in method.variants() if v.part == part]
        if type(method).trained:
            check = partial(_learn_templates, method, variants[0])
            learned = _try(f"learns, stores and restores what it learned{of}", check)
            yield learned
            if not learned.ok:
                return
        for variant in variants:
            yield _try(f"protects ({variant.name})", partial(_protects_templates, method, variant))


@cache
def _template_pools() -> tuple[Templates, Templates]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2, 32)).astype(np.float32)
    pools = []
    for faces in _two_pools():
        vectors = _unit_vectors(centres, faces, rng)
        pools.append(Templates(vectors, faces.identities, faces.keys, faces.labels, faces.attributes))
    return pools[0], pools[1]


def _learn_templates(method: EmbeddingMethod, variant: Variant) -> None:
    templates, validation = _template_pools()
    with tempfile.TemporaryDirectory() as folder:
        method.fit(templates, validation, _context(folder))
    state = method.state()
    if not state:
        raise ContractError("`state` is empty after `fit`, so nothing would be stored")
    twin = type(method)(templates.attributes, preset=CHECK_PRESET)
    twin.part = method.part
    twin.restore(state)
    _same(method.protect(templates, variant), twin.protect(templates, variant), "after `restore`")


def _protects_templates(method: EmbeddingMethod, variant: Variant) -> None:
    templates, _ = _template_pools()
    before = templates.vectors.copy()
    whole = method.protect(templates, variant, seed=5)
    if np.isnan(whole).all():
        raise ContractError("every template failed")
    _same(templates.vectors, before, "of its input, which must not be changed")
    _same(whole, method.protect(templates, variant, seed=5), "when repeated with the same seed")
    some = templates.take(slice(7))
    if np.abs(whole[:7] - method.protect(some, variant, seed=5)).max() > 1e-5:
        raise ContractError("the result depends on its company; use `request.normal` for randomness")


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
            numbers = type(attacker).learns == "numbers"
            learnable = [
                a
                for a in faces.attributes
                if a.is_number == numbers and len(np.unique(faces.labels[a.name])) > 1
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
