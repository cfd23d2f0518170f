"""Where the datasets of a run are, and which of them methods learn on."""

from __future__ import annotations

from collections.abc import Mapping
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


def sources(config: RunConfig) -> dict[str, Source]:
    """Files and options of the evaluated dataset and of those in `train_on`, by name.

    With several datasets each is given the roots that hold something of it. Raises UsageError for unknown
    datasets or misplaced options, InputError for a root that holds nothing of any of them.
    """
    names = sorted({config.dataset, *config.train_on})
    options = _options(config)
    if len(names) == 1:
        return {names[0]: Source(config.data, options[names[0]])}
    for root in config.data:
        if not root.is_dir():
            raise InputError(f"no such folder: {root}; give --data the folders of {' and '.join(names)}")
    roots: dict[str, tuple[Path, ...]] = {}
    for name in names:
        dataset: type[Dataset] = discover.load_class("dataset", name)
        roots[name] = tuple(r for r in config.data if dataset.holds(r)) if dataset.needs_data else ()
    for root in config.data:
        if not any(root in held for held in roots.values()):
            raise InputError(f"{root} holds nothing of {' or '.join(names)}; give --data their folders")
    return {name: Source(roots[name], options[name]) for name in names}


def _options(config: RunConfig) -> dict[str, dict[str, object]]:
    others = set(config.train_on) - {config.dataset}
    for name in config.train_on_options:
        if name == config.dataset:
            raise UsageError(f"options of {name}, the evaluated dataset, belong in dataset_options")
        if name not in others:
            raise unknown_name("dataset in train_on_options", name, others)
    return {config.dataset: config.dataset_options} | {n: config.train_on_options.get(n, {}) for n in others}


def open_dataset(name: str, source: Source, *, size: int, seed: int) -> Dataset:
    """The dataset called `name`. size: side of the images in pixels, 0 for its own default."""
    found: Dataset = discover.load_class("dataset", name)(
        source.roots, size=size, seed=seed, **source.options
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
            name: open_dataset(name, found[name], size=evaluated.size, seed=config.seed)
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
    def photographs(self) -> bool:
        """Whether networks pretrained on photographs have any business with all of its images."""
        return all(d.photographs for d in self.datasets)

    def attributes(self) -> tuple[Attribute, ...]:
        """All that methods can learn. Raises InputError when two datasets disagree on an attribute."""
        return join_attributes({d.id: d.attributes() for d in self.datasets})

    def fingerprint(self, pool: str) -> str:
        """Changes whenever one of the joined pools would."""
        if not self.is_joined:
            return self.evaluated.fingerprint(pool)
        return digest({d.id: d.fingerprint(pool) for d in self.datasets})
