"""The contract of methods that work on templates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from bench.checks.common import (
    Finding,
    context,
    same,
    stored_twin,
    tried,
    two_pools,
    unit_vectors,
    untouched,
)
from bench.components.embedding_method import EmbeddingMethod, Templates
from bench.components.method_base import Variant
from bench.errors import ContractError


def check_embedding_method(method: EmbeddingMethod) -> Iterator[Finding]:
    """Findings about a method whose metadata are sound."""
    for part in method.parts():
        method.part = part
        of = f" ({part})" if part else ""
        variants = [v for v in method.variants() if v.part == part]
        if type(method).trained:
            check = partial(_learns, method, variants[0])
            learned = tried(f"learns, stores and restores what it learned{of}", check)
            yield learned
            if not learned.ok:
                return
        for variant in variants:
            yield tried(f"protects ({variant.name})", partial(_protects, method, variant))


@cache
def _pools() -> tuple[Templates, Templates]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2, 32)).astype(np.float32)
    pools = []
    for faces in two_pools():
        vectors = unit_vectors(faces, centres, rng)
        pools.append(Templates(vectors, faces.identities, faces.keys, faces.labels, faces.attributes))
    return pools[0], pools[1]


def _learns(method: EmbeddingMethod, variant: Variant) -> None:
    templates, validation = _pools()
    before = templates.vectors.copy()
    with tempfile.TemporaryDirectory() as folder:
        method.fit(templates, validation, context(folder))
    untouched(templates.vectors, before, "_fit")
    twin = stored_twin(method)
    same(method.protect(templates, variant), twin.protect(templates, variant), "after `restore`")


def _protects(method: EmbeddingMethod, variant: Variant) -> None:
    templates, _ = _pools()
    before = templates.vectors.copy()
    whole = method.protect(templates, variant, seed=5)
    if np.isnan(whole).all():
        raise ContractError("every template failed")
    untouched(templates.vectors, before, "_protect")
    again = method.protect(templates, variant, seed=5)
    same(whole, again, "when repeated with the same seed; draw with `request.normal` or `uniform`")
    rows = np.arange(7)[::-1]
    if np.abs(whole[rows] - method.protect(templates.take(rows), variant, seed=5)).max() > 1e-5:
        raise ContractError(
            "the result depends on its company: a template must come out alike in any; use `request.normal` "
            "for randomness and no statistics of the batch"
        )
