"""Makes a method ready for photographs: which weights, which frame, which labels it must be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import discover, shipped
from bench.components.method import Method
from bench.components.method_base import AnyMethod, Variant
from bench.config import RunConfig
from bench.detection import DETECTOR, LANDMARKS
from bench.errors import InputError, Unavailable, UsageError
from bench.faces import DEVELOP, TEST, Attribute
from bench.planning.cells import CellMaker
from bench.planning.plan import Plan
from bench.results import ORIGINAL
from bench.run import execute
from bench.selection import Selection
from bench.stages.faces import attributes_of
from bench.stages.fit import as_float, new_method
from bench.store import Artefact, Store, digest
from bench.user_photos.frame import Frame
from bench.user_photos.labels import LabelReaders
from bench.weights import WeightsFolder, pretrained_file

_LEARNED_FACES = 256
"""Faces whose mean landmarks say where a method expects them."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """All that a worker process needs to protect faces with one variant of a method.

    params: of `new_method`. fit: key of its weights in `store`, or empty; weights: SHA-256 of shipped ones,
    or empty. frame: where the faces it learned on lie, on average. told, needed: attributes whose labels it
    is told, and those without which it cannot do. settings: digest of all that shapes an output.
    """

    params: Mapping[str, Any]
    variant: str
    store: Path
    fit: str
    weights: str
    frame: Frame
    told: tuple[str, ...]
    needed: tuple[str, ...]
    folder: Path | None
    seed: int
    device: str
    paste: bool
    settings: str

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        return attributes_of(self.params["attributes"])

    def weights_folder(self) -> WeightsFolder | None:
        return WeightsFolder(self.folder) if self.folder else None

    def method(self) -> Method:
        """The method with its weights."""
        found = new_method(self.params)
        assert isinstance(found, Method)
        if self.fit:
            found.restore(as_float(dict(Store(self.store).load(self.fit).arrays)))
        elif self.weights:
            found.restore(as_float(shipped.load(self.weights)))
        return found


def prepare(config: RunConfig, name: str, say: Say, *, paste: bool, finds_faces: bool = True) -> Recipe:
    """The recipe of `name`, a method or method:variant; trains the method first if no weights are at hand.

    finds_faces: whether the networks that find faces must be there. Raises UsageError for a method that makes
    no images of its own, Unavailable for one that cannot run here.
    """
    weights = WeightsFolder.find(config.weights)
    if finds_faces:
        for pretrained in (DETECTOR, LANDMARKS):
            pretrained_file(pretrained, weights)
    choice = Selection(config.model_copy(update={"methods": (name,), "variants": "default"}))
    method, variant = _chosen(choice, name)
    plan = Plan(config, choice.dataset)
    cells = CellMaker(plan, choice, config.seed, "truth")
    inputs, params = cells.weights_of(method, variant)
    learned = cells.learned(DEVELOP if DEVELOP in choice.learning.pools else TEST, _LEARNED_FACES)
    for note in (*choice.notes, *_cautions(choice, method)):
        say(f"note: {note}")
    outcome = execute(plan, say)
    for failure in outcome.failures.values():
        raise InputError(f"{failure.cell.title} failed: {failure.message}")
    store, fit = Store(config.store), outcome.done.get(inputs.get("fit", ""), "")
    frame = Frame(choice.dataset.size, _mean_landmarks(store.load(outcome.done[learned]), choice.dataset.id))
    described = cells.protect_params(method, variant)
    told = tuple(n for n in method.needs_labels if n in method.attributes)
    readers = LabelReaders([method.attributes[n] for n in told], weights)
    settings = {
        "method": described,
        "learned": fit or params["weights"],
        "frame": [frame.size, np.round(frame.landmarks, 3).tolist()],
        "networks": [DETECTOR.sha256, LANDMARKS.sha256],
        "readers": readers.names,
        "paste": paste,
        "source": discover.code_hash("bench.user_photos.photo"),
    }
    needed = told if variant.needs is None else tuple(n for n in told if n in variant.needs)
    for attribute in needed:
        if attribute not in readers.names:
            say(f"note: no network at hand tells {attribute}: faces without it in --labels are not protected")
    return Recipe(
        params=described,
        variant=variant.name,
        store=config.store.resolve(),
        fit=fit,
        weights=params["weights"],
        frame=frame,
        told=told,
        needed=needed,
        folder=weights.root.resolve() if weights else None,
        seed=config.seed,
        device=config.device,
        paste=paste,
        settings=digest(settings),
    )


def _chosen(choice: Selection, name: str) -> tuple[Method, Variant]:
    """The one variant that `name` says. Raises UsageError when it says several, or one without images."""
    asked, _, which = name.partition(":")
    kind: type[AnyMethod] = discover.load_class("method", asked)
    if kind.level == "template":
        raise UsageError(
            f"{asked} changes the templates of a matcher, not images, so there is no picture to write; "
            "choose a method that `list methods` shows without (template)"
        )
    if asked == ORIGINAL:
        raise UsageError(
            f"{asked} changes nothing, so its output would be the original; choose another method"
        )
    found = next((pair for pair in choice.methods if pair[0].id == asked), None)
    if found is None:
        missing = next(m for m in choice.missing if m.name == asked)
        raise Unavailable(missing.reason, missing.remedy)
    method, variants = found
    if not which and len(variants) > 1:
        usable = ", ".join(f"{asked}:{v.name}" for v in variants if not v.oracle)
        raise UsageError(f"{asked} has several outputs, say which: {usable}")
    if not variants:
        raise UsageError(f"{asked} has no output on {choice.dataset.id}; choose another method or --dataset")
    (variant,) = variants
    if variant.oracle:
        raise UsageError(f"{name} is a bound over other outputs and makes no image; choose one of those")
    assert isinstance(method, Method)
    return method, variant


def _cautions(choice: Selection, method: Method) -> list[str]:
    notes = []
    if type(method).trained and not choice.learning.photographs:
        notes.append(
            f"{method.id} learned on faces drawn by a program and protects nobody with that; for real people "
            "add --dataset celeba --data FOLDER with the publisher's files"
        )
    if type(method).role == "control":
        notes.append(f"{method.id} is a yardstick for methods, not a protection anybody has proposed")
    return notes


def _mean_landmarks(faces: Artefact, dataset: str) -> NDArray[np.float64]:
    landmarks = faces.arrays.get("landmarks")
    if landmarks is None or not np.isfinite(landmarks).all(axis=(1, 2)).any():
        raise InputError(
            f"the faces of {dataset} have no landmarks, so nobody knows how to align others to them"
        )
    known = landmarks[np.isfinite(landmarks).all(axis=(1, 2))]
    mean: NDArray[np.float64] = known.mean(axis=0, dtype=np.float64)
    return mean
