"""The contract of every component, checked on tiny faces in seconds. `bench check` and the tests run the
same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench import discover
from bench.checks.attacker import check_attacker
from bench.checks.common import Finding
from bench.checks.dataset import check_dataset
from bench.checks.matcher import check_matcher
from bench.checks.method import check_method
from bench.checks.metric import check_metric
from bench.errors import BenchError, UsageError, unknown_name


def check_component(name: str, kind: str = "", data: Sequence[Path] = ()) -> list[Finding]:
    """All findings about the component `name`; of every kind that has one so called unless `kind` is given.

    data: folders with the files of a dataset. Raises UsageError for an unknown name, Unavailable when its
    file cannot be read or a pretrained one is not at hand.
    """
    kinds = [k for k in discover.PACKAGES if (not kind or k == kind) and name in discover.components(k)]
    if not kinds:
        known = [n for k in discover.PACKAGES for n in discover.components(k)]
        raise unknown_name("component", name, known)
    if data and "dataset" not in kinds:
        raise UsageError(f"--data is for datasets; {name} is a {' and a '.join(kinds)}")
    checks: dict[str, Callable[[str], Iterator[Finding]]] = {
        "method": check_method,
        "attacker": check_attacker,
        "matcher": check_matcher,
        "metric": check_metric,
        "dataset": partial(check_dataset, data=data),
    }
    return [finding for k in kinds for finding in _until_it_breaks(checks[k](name))]


def _until_it_breaks(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; where a component breaks between two of them, that is one more."""
    try:
        yield from findings
    except BenchError:
        raise
    except (Exception, SystemExit) as error:  # the component's own fault
        yield Finding("can be made and asked what it is", False, f"{type(error).__name__}: {error}")
