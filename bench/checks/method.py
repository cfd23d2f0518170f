"""The contract of methods that work on images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

import numpy as np

from bench import discover
from bench.auxiliaries import untrained
from bench.checks.common import (
    CHECK_PRESET,
    Finding,
    context,
    same,
    stored_twin,
    tiny_faces,
    tried,
    two_pools,
    untouched,
)
from bench.checks.embedding_method import check_embedding_method
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method, Protected, Verdict, resize, to_tensor
from bench.components.method_base import AnyMethod, Variant
from bench.errors import ContractError
from bench.faces import SOFT_BIOMETRICS, Faces

_SEED = 5


def check_method(name: str) -> Iterator[Finding]:
    """Findings about the method called `name`, of either level."""
    faces, _ = two_pools()
    method: AnyMethod = discover.load_class("method", name)(faces.attributes, preset=CHECK_PRESET)
    metadata = tried("has a title and variants", lambda: _metadata(method))
    yield metadata
    if not metadata.ok:
        return
    if isinstance(method, EmbeddingMethod):
        yield from check_embedding_method(method)
        return
    assert isinstance(method, Method)
    for part in method.parts():
        method.part = part
        yield from _part(method, [v for v in method.variants() if v.part == part])


def _metadata(method: AnyMethod) -> None:
    cls = type(method)
    if not cls.title:
        raise ContractError("title is empty")
    for field in ("obfuscates", "needs_labels"):
        names = getattr(cls, field)
        if isinstance(names, str):
            raise ContractError(f'{field} must be a tuple: write {field} = ("{names}",) with the comma')
        for name in names:
            _refuse_misspelt(name)
    if not method.variants():
        raise ContractError(f"no variant for attributes {', '.join(method.attributes)}; set `obfuscates`")
    hides = any(v.obfuscates for v in method.variants()) or bool(cls.obfuscates)
    if cls.role == "method" and not hides:
        raise ContractError(
            'hides nothing, so that no table would list it; set obfuscates = ("gender",), or role = "control"'
        )


def _refuse_misspelt(name: str) -> None:
    """Raises ContractError for what is nearly, but not quite, called as a well-known attribute."""
    known = {a.name for a in tiny_faces().attributes} | set(SOFT_BIOMETRICS)
    near = get_close_matches(name, known, n=1, cutoff=0.8)
    if near and name not in known:
        raise ContractError(f"no dataset labels an attribute {name}; did you mean {near[0]}?")


def _part(method: Method, variants: list[Variant]) -> Iterator[Finding]:
    if type(method).trained:
        of = f" ({method.part})" if method.part else ""
        learned = tried(f"learns, stores and restores what it learned{of}", lambda: _learns(method, variants))
        yield learned
        if not learned.ok:
            return
    shown = [v for v in variants if not v.oracle]
    for variant in shown:
        yield tried(f"protects ({variant.name})", partial(_protects, method, variant))
    if method.needs_labels:
        check = partial(_unknown_label, method, shown)
        yield tried("counts a face whose label is unknown as failed", check)


def _learns(method: Method, variants: list[Variant]) -> None:
    faces, validation = two_pools()
    opponents: Any = untrained(faces.attributes, _Indifferent(), type(method).extra_auxiliaries)
    before = faces.images.copy()
    with tempfile.TemporaryDirectory() as folder:
        method.fit(faces, validation, opponents, context(folder))
    untouched(faces.images, before, "_fit")
    twin = stored_twin(method)
    variant = next(v for v in variants if not v.oracle)
    with _told(method):
        same(method.protect(faces, variant).images, twin.protect(faces, variant).images, "after `restore`")


def _protects(method: Method, variant: Variant) -> None:
    faces, _ = two_pools()
    before = faces.images.copy()
    with _told(method):
        whole = method.protect(faces, variant, seed=_SEED)
    if whole.images.shape != faces.images.shape or whole.failed.all():
        raise ContractError("every face failed" if whole.failed.all() else "wrong shape")
    untouched(faces.images, before, "_protect")
    again = method.protect(faces, variant, seed=_SEED).images
    same(whole.images, again, "when repeated with the same seed; draw with `request.normal` or `uniform`")
    _alone(method, variant, faces, whole)
    _leaves_batch(method, variant, faces)


def _alone(method: Method, variant: Variant, faces: Faces, whole: Protected) -> None:
    """Raises ContractError where what becomes of a face depends on its company."""
    backwards = np.arange(len(faces))[::-1]
    parts = method.protect(faces.take(backwards), variant, seed=_SEED, batch=5).images[::-1]
    if _apart(whole.images, parts):
        ordered = method.protect(faces, variant, seed=_SEED, batch=5).images
        on = "the batch size" if _apart(whole.images, ordered) else "the order of the batch"
        raise ContractError(
            f"the result depends on {on}: a face must come out alike in any company; use `request.normal` "
            "for randomness and no statistics of the batch"
        )


def _apart(first: np.ndarray, second: np.ndarray) -> bool:
    """Another batch may take another path through the same arithmetic: one grey level is rounding."""
    return bool(np.abs(first.astype(int) - second.astype(int)).max() > 1)


def _leaves_batch(method: Method, variant: Variant, faces: Faces) -> None:
    import torch

    some = faces.take(slice(5))
    size = method.native_size or some.size
    images = resize(to_tensor(some.images), size)
    before = images.clone()
    with torch.no_grad():
        method._protect(images, method._request(some, variant, _SEED, "cpu", size))
    if not torch.equal(images, before):
        raise ContractError(
            "`_protect` changes the images it was given; start from `images.clone()`, or use operations "
            "without a trailing underscore"
        )


@contextmanager
def _told(method: AnyMethod) -> Iterator[None]:
    """Explains a KeyError for a label that the method did not ask for."""
    try:
        yield
    except KeyError as error:
        name = error.args[0] if error.args else ""
        if name in method.needs_labels or name not in method.attributes:
            raise
        needs = (*method.needs_labels, name)
        raise ContractError(
            f"reads the label {name} without asking for it: add needs_labels = {needs}"
        ) from error


def _unknown_label(method: Method, variants: list[Variant]) -> None:
    faces, _ = two_pools()
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
        protect(two_pools()[1])
        return Verdict({"tiny": 0.5}, {"tiny": 0.5}, 0.5, 0.0)
