"""Where the datasets of a run are, and which of them methods learn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import discover
from bench.cells import Source
from bench.components.dataset import Dataset
from bench.config import RunConfig
from bench.errors import InputError, UsageError, unknown_name
from bench.faces import Attribute
from bench.joined import join_attributes
from bench.store import digest
from bench.weights import WeightsFolder


def sources(config: RunConfig) -> dict[str, Source]:
    """Files and options of the evaluated dataset and of those in `train_on`, by name.

    With several datasets each is given the roots that hold something of it. Raises UsageError for unknown
    datasets or misplaced options, InputError for a root that holds nothing of any of them.
    """
    names = sorted({config.dataset, *config.train_on})
    options = _options(config)
    if len(names) == 1:
        return {names[0]: Source(config.data, options[names[0]])}
    roots = fitting_roots(config.data, names)
    return {name: Source(roots[name], options[name]) for name in names}


def evaluations(config: RunConfig) -> tuple[RunConfig, ...]:
    """One configuration for each dataset to evaluate on: `config` itself, or one for each of its `test_on`.

    Each is given the folders that hold something of its own datasets. Raises UsageError where it stays open
    which options or dataset are meant, InputError for a folder that holds nothing of any of them.
    """
    if not config.test_on:
        if config.test_on_options:
            raise UsageError("test_on_options need --test-on; options of the dataset are dataset_options")
        return (config,)
    if "dataset" in config.model_fields_set:
        raise UsageError(f"--test-on names the datasets to evaluate on: leave out --dataset {config.dataset}")
    if config.dataset_options:
        raise UsageError("options of datasets in --test-on belong in test_on_options.<dataset>")
    for name in config.test_on_options:
        if name not in config.test_on:
            raise unknown_name("dataset in test_on_options", name, config.test_on)
    tested = list(dict.fromkeys(config.test_on))
    roots = fitting_roots(config.data, [*tested, *config.train_on])
    out = config.out or Path("runs") / "+".join(tested)
    return tuple(
        config.model_copy(
            update={
                "dataset": name,
                "dataset_options": config.test_on_options.get(name, {}),
                "data": tuple(r for r in config.data if any(r in roots[n] for n in (name, *config.train_on))),
                "train_on_options": {k: v for k, v in config.train_on_options.items() if k != name},
                "test_on": (),
                "test_on_options": {},
                "out": out / name,
            }
        )
        for name in tested
    )


def fitting_roots(data: Sequence[Path], names: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Dataset -> the folders of `data` that hold something of it.

    Raises InputError for a folder that is not there or holds nothing of any of them.
    """
    for root in data:
        if not root.is_dir():
            raise InputError(f"no such folder: {root}; give --data the folders of {' and '.join(names)}")
    roots: dict[str, tuple[Path, ...]] = {}
    for name in names:
        dataset: type[Dataset] = discover.load_class("dataset", name)
        roots[name] = tuple(r for r in data if dataset.holds(r)) if dataset.needs_data else ()
    for root in data:
        if not any(root in held for held in roots.values()):
            raise InputError(f"{root} holds nothing of {' or '.join(names)}; give --data their folders")
    return roots


def _options(config: RunConfig) -> dict[str, dict[str, object]]:
    others = set(config.train_on) - {config.dataset}
    for name in config.train_on_options:
        if name == config.dataset:
            raise UsageError(f"options of {name}, the evaluated dataset, belong in dataset_options")
        if name not in others:
            raise unknown_name("dataset in train_on_options", name, others)
    return {config.dataset: config.dataset_options} | {n: config.train_on_options.get(n, {}) for n in others}


def open_dataset(
    name: str, source: Source, *, size: int, seed: int, weights: WeightsFolder | None = None
) -> Dataset:
    """The dataset called `name`. size: side of the images in pixels, 0 for its own default. weights: where
    the networks are that find faces in photographs."""
    found: Dataset = discover.load_class("dataset", name)(
        source.roots, size=size, seed=seed, weights=weights, **source.options
    )
    return found


@dataclass(frozen=True)
class Learning:
    """What methods and their auxiliaries learn on: DEVELOP and VALIDATION of `datasets`, in order of name.

    The evaluated dataset sets the size of the images and the place of the face in them. Where it is among
    `datasets`, its pools share no identity; that two publishers did not photograph one person is their word.
    """

    evaluated: Dataset
    datasets: tuple[Dataset, ...]

    @classmethod
    def of(cls, evaluated: Dataset, config: RunConfig, found: Mapping[str, Source]) -> Learning:
        """The datasets that `config.train_on` names, or the evaluated one alone. found: see `sources`."""
        others = {
            name: open_dataset(
                name, found[name], size=evaluated.size, seed=config.seed, weights=evaluated.weights
            )
            for name in config.train_on
            if name != evaluated.id
        }
        by_name = others | {evaluated.id: evaluated}
        names = sorted(set(config.train_on) or {evaluated.id})
        return cls(evaluated, tuple(by_name[name] for name in names))

    @property
    def is_joined(self) -> bool:
        """Whether it is anything but the evaluated dataset's own pools."""
        return [d.id for d in self.datasets] != [self.evaluated.id]

    @property
    def pools(self) -> frozenset[str]:
        """The pools that all of them have people for."""
        return frozenset.intersection(*(frozenset(d.pools()) for d in self.datasets))

    @property
    def photographs(self) -> bool:
        """Whether networks pretrained on photographs have any business with all of its images."""
        return all(d.photographs for d in self.datasets)

    def attributes(self) -> tuple[Attribute, ...]:
        """All that methods can learn. Raises InputError when two datasets, the evaluated one among them,
        disagree on an attribute."""
        learned = {d.id: d.attributes() for d in self.datasets}
        join_attributes({self.evaluated.id: self.evaluated.attributes()} | learned)
        return join_attributes(learned)

    def fingerprint(self, pool: str) -> str:
        """Changes whenever one of the joined pools would."""
        if not self.is_joined:
            return self.evaluated.fingerprint(pool)
        return digest({d.id: d.fingerprint(pool) for d in self.datasets})
