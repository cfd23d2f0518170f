"""What the stages put in place of a component's own evaluation when a run asks for the fastest path."""

from __future__ import annotations

from typing import Any

from bench.cells import Job
from bench.components.matcher import Matcher
from bench.components.method import Method
from bench.components.method_base import Variant
from bench.inference.fastest import FastestHook, FastestNetwork
from bench.store import digest

_IDENTITY = ("method", "matcher", "source", "settings", "attributes", "part")
"""Parameters that say which code runs, with which options; weights are checked, not remembered."""

_BYTES = 4_000_000
"""About what the graphs of one component take."""


def hook_through(job: Job, method: Method, variant: Variant) -> FastestHook | None:
    """The stand-in for the hook of an image-level `method`; None where evaluation is exact. Its choices last
    as long as the method is at hand."""
    if not _asked(job):
        return None

    def made() -> tuple[FastestHook, int]:
        return FastestHook(method, variant, _what(job), job.environment.device, **_how(job)), _BYTES

    return job.recent.get(_key(job, method, variant.name), made)


def network_through(job: Job, matcher: Matcher) -> FastestNetwork | None:
    """The stand-in for calls of the matcher's network; None where evaluation is exact."""
    if not _asked(job):
        return None

    def made() -> tuple[FastestNetwork, int]:
        return FastestNetwork(_what(job), job.environment.device, **_how(job)), _BYTES

    return job.recent.get(_key(job, matcher), made)


def told_of(through: FastestHook | FastestNetwork | None) -> dict[str, Any]:
    """Facts for the artefact: one choice for each size of images; nothing where evaluation is exact."""
    return {"inference": [choice.facts() for choice in through.choices]} if through else {}


def _asked(job: Job) -> bool:
    return job.params.get("inference", "exact") != "exact"


def _what(job: Job) -> dict[str, Any]:
    return {name: job.params[name] for name in _IDENTITY if name in job.params}


def _how(job: Job) -> dict[str, Any]:
    return {"compiled": job.params["inference"] == "compiled"}


def _key(job: Job, component: Any, *more: str) -> tuple[str, ...]:
    """Of this very object: another one has other weights."""
    return ("inference", job.params["inference"], digest(_what(job)), str(id(component)), *more)
