"""Kernel least squares on small pixels, fine differences and spectra of face images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import ArrayAttacker, Task, reported, spread, tasks
from attackers._blocks.ridge import class_ridge
from attackers._blocks.traces import BLOCK, Float32, residuals, small_pixels, spectra
from bench.api import Attribute, Context, Faces, InputError, Scores, State

_BATCH = 256


class PixelKernel(ArrayAttacker):
    """Reads faces, and the traces that a method left in them, without a network: cheap enough to be trained
    again on every method's output.

    Regularised least squares (`class_ridge`) with the sum of three kernels, each on features that are centred
    and scaled to a mean square length of 1:

    - (1 + x.y)^2 on the image shrunk to `size` px: the face itself;
    - x.y on its compressed high-pass residual: patterns too weak or too fine for recognition networks;
    - (1 + x.y)^2 on the log-spectrum of 8x8 blocks: noise, compression and resampling, wherever they are.

    That manipulations are read off high-pass residuals by a plain classifier is the experience of
    steganalysis (Fridrich and Kodovsky, TIFS 2012). penalty: ridge, relative to the kernel's diagonal.
    """

    title = "Pixel kernels"
    reads = "image"
    options = {"size": 24, "penalty": 0.1}

    def _fit(
        self,
        inputs: Faces,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found, images = tasks(labels, attributes, ctx.seed), inputs.images
        if images.shape[1] < BLOCK:
            raise InputError(f"{self.id} needs faces of at least {BLOCK} px, got {images.shape[1]}")
        if (images == images[:1]).all():
            return self._learn_nothing(images, found)
        features = self._features(images)
        state: State = {"side": np.array([images.shape[1]])}
        for name, values in features.items():
            state |= _scaling(name, values)
        self._scale(features, state)
        kernel = _polynomial(features["pixels"], features["pixels"])
        kernel += _polynomial(features["spectrum"], features["spectrum"])
        kernel += features["residual"] @ features["residual"].T
        for task in reported(found, self.id, ctx):
            dual = class_ridge(kernel, task, self.settings["penalty"])
            linear = features["residual"].T @ dual.astype(np.float32)
            learned: State = {"dual": dual, "linear": linear, **task.facts}
            state |= {f"{task.name}/{key}": values for key, values in learned.items()}
        self.restore(state | {f"{name}_references": features[name] for name in ("pixels", "spectrum")})
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _learn_nothing(self, images: NDArray[np.uint8], found: Sequence[Task]) -> Mapping[str, Any]:
        """Equal images: no kernel tells them apart, so all faces are given the same score, 0."""
        state: State = {"side": np.array([images.shape[1]])}
        for task in found:
            state |= {f"{task.name}/{key}": values for key, values in task.facts.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _scores(self, inputs: Faces, ctx: Context) -> Scores:
        state, models = self.state(), self._models()
        side = int(state["side"][0])
        if inputs.size != side:
            raise InputError(f"{self.id} learned from faces of {side} px, got {inputs.size} px")
        values = {name: np.zeros((len(inputs), len(model["present"]))) for name, model in models.items()}
        if "pixels_references" in state:
            for start in range(0, len(inputs), _BATCH):
                self._add_scores(inputs.images[start : start + _BATCH], models, values, start)
        return {name: spread(found, models[name]) for name, found in values.items()}

    def _add_scores(
        self,
        images: NDArray[np.uint8],
        models: Mapping[str, State],
        values: Mapping[str, NDArray[np.float64]],
        start: int,
    ) -> None:
        state, features = self.state(), self._features(images)
        self._scale(features, state)
        kernel = _polynomial(features["pixels"], state["pixels_references"])
        kernel += _polynomial(features["spectrum"], state["spectrum_references"])
        for name, model in models.items():
            found = kernel @ model["dual"] + features["residual"] @ model["linear"]
            values[name][start : start + len(images)] = found

    def _features(self, images: NDArray[np.uint8]) -> dict[str, Float32]:
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        return {
            "pixels": np.concatenate([small_pixels(part, self.settings["size"]) for part in parts]),
            "residual": np.concatenate([residuals(part) for part in parts]),
            "spectrum": np.concatenate([spectra(part) for part in parts]),
        }

    def _scale(self, features: Mapping[str, Float32], state: State) -> None:
        for name, values in features.items():
            values -= state[f"{name}_centre"]
            values *= state[f"{name}_scale"]


def _scaling(name: str, values: Float32) -> State:
    """Centre, and what brings features (N, D) to a mean square length of 1; spectra one by one first."""
    spreads = values.std(axis=0, dtype=np.float64)
    if name == "spectrum":
        varies = spreads > 0
        scale = np.where(varies, 1 / np.where(varies, spreads, 1), 0) / np.sqrt(max(1, varies.sum()))
    else:
        length = np.sqrt(np.square(spreads).sum())
        scale = np.array([1 / length if length else 0.0])
    centre = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    return {f"{name}_centre": centre, f"{name}_scale": scale.astype(np.float32)}


def _polynomial(vectors: Float32, references: Float32) -> NDArray[np.float64]:
    """(1 + x.y)^2 of each of `vectors` (N, D) and `references` (M, D)."""
    kernel = (vectors @ references.T).astype(np.float64)
    kernel += 1
    return np.square(kernel, out=kernel)
