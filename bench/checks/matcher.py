"""The contract of matchers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from bench import discover
from bench.checks.common import CHECK_PRESET, Finding, context, same, tried, two_pools, untouched
from bench.components.matcher import Matcher
from bench.errors import ContractError

_ROUNDING = 1e-3


def check_matcher(name: str) -> Iterator[Finding]:
    """Findings about the matcher called `name`."""
    matcher: Matcher = discover.load_class("matcher", name)(preset=CHECK_PRESET)
    yield tried("embeds, before and after being stored", lambda: _embeds(matcher))


def _embeds(matcher: Matcher) -> None:
    faces, others = two_pools()
    before = faces.images.copy(), others.images.copy()
    with tempfile.TemporaryDirectory() as folder:
        lent = context(folder)
        twin = type(matcher)(preset=CHECK_PRESET)
        if matcher.trained:
            matcher.fit(faces, lent)
            untouched(faces.images, before[0], "_fit")
            twin.restore(matcher.state())
        matcher.prepare(lent)
        twin.prepare(lent)
        vectors = matcher.embed(others, lent)
        untouched(others.images, before[1], "_embed")
        if np.isnan(vectors).all():
            raise ContractError("every face failed to be acquired")
        same(vectors, twin.embed(others, lent), "after `restore`")
        backwards = np.arange(len(others))[::-1]
        parts = matcher.embed(others.take(backwards), lent, batch=5)[::-1]
        if np.abs(vectors - parts).max() > _ROUNDING:
            raise ContractError(
                "the embeddings depend on the batch size or order: a face must have its own in any company"
            )
