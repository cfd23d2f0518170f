"""The command that makes a run again, from the choices that were made and not from what was typed.

A configuration file, a shell's quoting and the order of options leave no trace in it; folders are named by
what must be in them, since only one machine knows where they are.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bench.cells import Source
from bench.config import RunConfig, load_config
from bench.machine_paths import plain

WEIGHTS = "WEIGHTS"
"""Stands for the folder of pretrained networks."""

ELSEWHERE = frozenset({"workers", "engine", "address", "gpu_share", "store", "out", "show_faces"})
"""Choices that change where and how fast a run works or what its page shows, never what it finds."""

_TOLD_FIRST = frozenset(
    {"dataset", "data", "weights", "protocol", "quick", "throughput", "methods", "test_on", "test_on_options"}
)
_LISTS = frozenset(
    {"methods", "attackers", "matchers", "extractors", "attributes", "train_on", "threats", "label_source"}
)
_SINGLE = frozenset(
    {"variants", "pairs", "size", "preset", "train_precision", "inference", "seed", "seeds", "device"}
)


def command_of(config: RunConfig, found: Mapping[str, Source], *, weights: bool) -> str:
    """`python -m bench run` with every choice that differs from the defaults, or from those of the protocol
    or the first look that it names.

    config: of one dataset. found: see `bench.sources.sources`. weights: whether there was a folder of
    pretrained networks. Folders read as the dataset in capitals, as `--data CELEBA`.
    """
    words = ["python", "-m", "bench", "run", "--dataset", config.dataset]
    for word in data_names(config, found):
        words += ["--data", word]
    words += ["--weights", WEIGHTS] if weights else []
    words += ["--protocol", config.protocol] if config.protocol else []
    words += ["--quick"] if config.quick else []
    words += _said("methods", plain(config.methods), ())
    usual = _usual(config)
    for key in RunConfig.model_fields:
        value = getattr(config, key)
        if key not in ELSEWHERE | _TOLD_FIRST and value != getattr(usual, key):
            words += _said(key, plain(value), getattr(usual, key))
    for table in config.throughput:
        words += ["--throughput", plain(table)]
    return shlex.join(words)


def data_names(config: RunConfig, found: Mapping[str, Source]) -> list[str]:
    """A name for each folder of `config.data`: the datasets it holds something of, in capitals; numbered
    from the second of a name."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for root in config.data:
        held = [name for name, source in sorted(found.items()) if root in source.roots]
        name = "_".join(held or [config.dataset]).upper()
        seen[name] += 1
        names.append(f"{name}_{seen[name]}" if seen[name] > 1 else name)
    return names


def _usual(config: RunConfig) -> RunConfig:
    """The configuration that the protocol or the first look of this one alone would give."""
    given = {"dataset": config.dataset, "protocol": config.protocol, "quick": config.quick}
    return load_config(None, {key: value for key, value in given.items() if value})


def _said(key: str, value: Any, usual: Any) -> Iterator[str]:
    """The words for one choice: its option if it has one that can carry the value, else `--set`."""
    option = f"--{key.replace('_', '-')}"
    if key in _LISTS and value and all(_can_be_listed(name) for name in value):
        yield from (option, ",".join(value))
    elif key in _SINGLE and not (isinstance(value, str) and value.startswith("-")):
        yield from (option, str(value))
    elif isinstance(value, dict) and not usual:
        for path, leaf in _leaves(value, key):
            yield from ("--set", f"{path}={_yaml(leaf)}")
    else:
        yield from ("--set", f"{key}={_yaml(value)}")


def _can_be_listed(name: str) -> bool:
    return name == name.strip() != "" and "," not in name and not name.startswith("-")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """`options.knn.k` and 5; a mapping with a key that dots cannot carry, or an empty one, stays whole."""
    whole = not isinstance(value, dict) or not value
    if whole or any("." in key or "=" in key or key != key.strip() for key in value):
        yield path, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{path}.{key}")


def _yaml(value: Any) -> str:
    """On one line, as `yaml.safe_load` reads it back."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
