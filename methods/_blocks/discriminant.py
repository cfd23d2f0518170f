"""Multimodal discriminant analysis (Sim, Zhang, Li and Chen, ICCV 2009): faces as a sum of orthogonal modes.

A vector is whitened by PCA so that the total scatter is I. Between-class and within-class scatter of a mode
(gender, race, ...) then add up to I and share their eigenvectors; a Fisher eigenvalue of 1 means that a
direction varies between classes only. The directions of a mode's class means span its subspace; what is
orthogonal to all of them is the residual, where identity is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.api import InputError, State

Floats = NDArray[np.floating]

_MODE_PARTS = ("directions", "centroids", "fisher")

_TOGETHER = 1e-3
"""Least eigenvalue of the Gram matrix of all modes' directions: below it some are the same direction."""


@dataclass(frozen=True)
class Mode:
    """directions: (D, C - 1), orthonormal, and orthogonal to those of every other mode.

    centroids: (C, C - 1), coefficients of the class means. fisher: (C - 1,), eigenvalues of the mode's
    between-class scatter, before modes were made orthogonal: on balanced data in (0, 1].
    """

    directions: Floats
    centroids: Floats
    fisher: Floats


@dataclass(frozen=True)
class Decomposition:
    """x = mean + decoder y, y = encoder (x - mean), for vectors x of length P and whitened y of length D.

    mean: (P,). encoder: (D, P). decoder: (P, D). modes: by name.
    """

    mean: Floats
    encoder: Floats
    decoder: Floats
    modes: Mapping[str, Mode]

    def on_modes(self) -> Decomposition:
        """Of the modes' subspaces alone: enough to change their coefficients, not to reconstruct."""
        joint = np.concatenate([m.directions for m in self.modes.values()], 1)
        modes = {
            name: Mode(joint.T @ mode.directions, mode.centroids, mode.fisher)
            for name, mode in self.modes.items()
        }
        return Decomposition(self.mean, joint.T @ self.encoder, self.decoder @ joint, modes)

    def state(self) -> State:
        """Arrays for `restored`; vectors of length P in half precision."""
        arrays: State = {
            "mean": self.mean.astype(np.float32),
            "encoder": self.encoder.astype(np.float16),
            "decoder": self.decoder.astype(np.float16),
        }
        for name, mode in self.modes.items():
            for part in _MODE_PARTS:
                arrays[f"mode/{name}/{part}"] = getattr(mode, part).astype(np.float32)
        return arrays


def restored(state: State) -> Decomposition:
    """The decomposition that `Decomposition.state` wrote down, up to its rounding."""
    names = sorted({key.split("/")[1] for key in state if key.startswith("mode/")})
    modes = {name: Mode(*(state[f"mode/{name}/{part}"] for part in _MODE_PARTS)) for name in names}
    encoder, decoder = (state[k].astype(np.float32) for k in ("encoder", "decoder"))
    return Decomposition(state["mean"], encoder, decoder, modes)


def balancing_weights(labels: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Weights (N,), summing to 1, under which every combination of classes that occurs weighs the same.

    labels: mode -> class of each sample (N,). Where all combinations occur, the classes of a mode then are
    equally frequent and modes independent; where some are missing, `decompose` still tells modes apart.
    """
    codes = np.stack(list(labels.values()), 1)
    _, cells, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return (1 / (counts * len(counts)))[cells.reshape(-1)]


def effective_samples(weights: NDArray[np.float64]) -> float:
    """How many equally weighted samples tell as much (Kish)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def decompose(
    vectors: NDArray[np.float32],
    labels: Mapping[str, NDArray[np.int64]],
    weights: NDArray[np.float64],
    dimensions: int,
    seed: int,
) -> Decomposition:
    """Whitening and mode subspaces of `vectors` (N, P).

    labels: mode -> class index (N,), each mode with two classes or more. weights: (N,), summing to 1.
    Raises InputError unless the effective number of samples is above `dimensions` (fewer would make every
    eigenvalue 1 whatever the labels), and when modes cannot be told apart.
    """
    found = effective_samples(weights)
    if found <= dimensions:
        raise InputError(
            f"{dimensions} PCA dimensions need more samples than that; these faces, balanced over "
            f"{', '.join(labels)}, count as {found:.0f}: lower `dimensions` or give more faces"
        )
    mean = (weights @ vectors).astype(np.float32)
    centred = vectors - mean
    components, deviations = _principal(
        centred * np.sqrt(weights, dtype=np.float32)[:, None], dimensions, seed
    )
    encoder = (components / deviations).T
    whitened = centred @ encoder.T
    return Decomposition(
        mean, encoder, components * deviations, _modes(_centroids(whitened, labels, weights))
    )


def _principal(rows: Floats, dimensions: int, seed: int) -> tuple[Floats, Floats]:
    """Components (P, D) and standard deviations (D,) of `rows` (N, P), whose scatter is `rows`' Gram matrix.

    Raises InputError when the rows do not span that many dimensions.
    """
    from sklearn.utils.extmath import randomized_svd

    # Of the transpose, so that components are exact eigenvectors of the scatter within the subspace found.
    components, deviations, _ = randomized_svd(
        rows.T, dimensions, n_iter=4, transpose=False, random_state=seed % 2**32
    )
    if len(deviations) < dimensions or deviations[-1] < 1e-6 * deviations[0]:
        raise InputError(f"the faces do not vary in {dimensions} dimensions; lower `dimensions`")
    return components, deviations


def _centroids(
    whitened: Floats, labels: Mapping[str, NDArray[np.int64]], weights: NDArray[np.float64]
) -> dict[str, Floats]:
    """Class means (C, D) of each mode with the classes of all others held even.

    The additive model's (weighted least squares on effect-coded classes), which on balanced data are the
    plain class means and on others do not take one mode's difference for another's.
    """
    columns, places = [np.ones(len(whitened))], {}
    for name, classes in labels.items():
        count = int(classes.max()) + 1
        coded = np.vstack([np.eye(count - 1), -np.ones(count - 1)])
        places[name] = coded, slice(len(columns), len(columns) + count - 1)
        columns += list(coded[classes].T)
    design = np.stack(columns, 1)
    root = np.sqrt(weights)[:, None]
    effects, _, rank, _ = np.linalg.lstsq(root * design, root * whitened, rcond=1e-8)
    if rank < len(columns):
        raise InputError(
            f"{', '.join(labels)} cannot be told apart: their classes go together in these faces"
        )
    return {name: effects[0] + coded @ effects[own] for name, (coded, own) in places.items()}


def _modes(centroids: Mapping[str, Floats]) -> dict[str, Mode]:
    """Between-class directions of each mode, brought to the nearest orthonormal set together."""
    spans, eigenvalues = [], {}
    for name, centres in centroids.items():
        scattered = (centres - centres.mean(0)) / np.sqrt(len(centres))
        _, values, directions = np.linalg.svd(scattered, full_matrices=False)
        spans.append(directions[: len(centres) - 1].T)
        eigenvalues[name] = values[: len(centres) - 1] ** 2
    joint = np.concatenate(spans, 1)
    left, overlap, right = np.linalg.svd(joint, full_matrices=False)
    if joint.shape[1] > joint.shape[0] or overlap[-1] ** 2 < _TOGETHER:
        raise InputError(
            f"{joint.shape[0]} PCA dimensions cannot hold {', '.join(centroids)} apart; raise `dimensions`"
        )
    # The polar factor changes all modes alike; Gram-Schmidt would keep the first as it is at others' cost.
    ends = np.cumsum([span.shape[1] for span in spans])[:-1]
    orthogonal = np.split(left @ right, ends, axis=1)
    return {
        name: Mode(directions, centres @ directions, eigenvalues[name])
        for (name, centres), directions in zip(centroids.items(), orthogonal, strict=True)
    }
