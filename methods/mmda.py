"""Controllable face privacy by multimodal discriminant analysis (Sim and Zhang, FG 2015).

At inference: the face, and the class of the attribute that is moved to another class; midpoints and age
groups to go to need no label. A face is whitened by PCA and split into orthogonal subspaces of gender, race
and age and a residual (see `_blocks/discriminant.py`); an attribute is edited by replacing its coefficients
with the centroid of another class, or with the midpoint of all of them (`...-neutral`).

Choices where the paper is silent or asks for more than is at hand:

- Faces: the paper encodes shape and texture by an active appearance model; here the vector is the pixels of
  the aligned face as they are, without any warp.
- Balance: MMDA asks for the full factorial of all modes in equal numbers. At most `faces` faces are drawn, as
  many of each combination of classes as there are, and weighted so that every combination weighs the same.
  Where combinations are missing, class means are those of an additive model, so that one mode's difference
  is not taken for another's. Faces with an unknown class are left out.
- Orthogonality: with more faces than dimensions, which is what keeps the eigenvalues honest, the modes' class
  means overlap a little; their directions are brought to the nearest orthonormal set. The Fisher
  eigenvalues are recorded: 1 is a direction that varies between classes only.
- Age groups where they are labelled, else young or not: never both, which are the same mode.
- `keep_residual`: what PCA does not represent is added back, so only the edit changes the image. The paper
  reconstructs from the subspace alone (False), which blurs; preset `quick` keeps it (and adds its change to
  larger images, `keep_detail`). `reconstruct` is the control without an edit.
- 150 dimensions at 128 px and at most 4000 faces stand for sizes that are not printed.

Threat notes:

- A move to another centroid writes the label into the image: the coefficient of all faces of one class is
  then the same number, and the other class's another. Who knows or estimates the axis reads the label.
- The midpoint removes the coefficient for good, but only that linear subspace: whoever uses other cues, or
  non-linear ones, still reads the attribute, the more so with `keep_residual`.
- Race and age move with gender as far as their directions overlap in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api import (
    Auxiliaries,
    Claim,
    Context,
    Faces,
    Figure,
    InputError,
    Method,
    Request,
    State,
    Variant,
    resize,
    to_tensor,
)

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.discriminant import Mode

MODES = ("gender", "race", "age_group", "young")
SELECTED = ("gender", "gender-neutral")


class Mmda(Method):
    """A face whose gender, race or age coefficient is that of another class, or of none."""

    title = "Controllable face privacy (MMDA)"
    paper = "Sim, Zhang: Controllable Face Privacy, FG 2015"
    obfuscates = MODES
    needs_labels = ("gender", "race", "young")
    trained = True
    uses_auxiliaries = False
    options = {
        "size": 128,
        "keep_detail": False,
        "keep_residual": False,
        "dimensions": 150,
        "faces": 4000,
    }
    presets = {
        "paper": {},
        "quick": {"size": 64, "keep_detail": True, "keep_residual": True, "dimensions": 100},
        "check": {"size": 32, "dimensions": 16},
    }
    claims = (
        Claim(
            id="mmda-gender-disturbs-race",
            text="changing gender also disturbs race",
            source="Section 4.1, Fig. 6",
            holds=(Figure.lost("mmda:gender", "race").above(0.0),),
            paper="Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing 2020",
        ),
        Claim(
            id="mmda-diminishes-matching",
            text="matching utility is severely diminished",
            source="Section 4.2, Figs. 8 and 9; severely is chosen here: at most half of the originals' TMR",
            holds=(Figure.matched("mmda:gender", "tmr_kept").at_most(0.5),),
            paper="Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing 2020",
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        found = [v for name in self._mode_names() for v in _edits(name, len(self.attributes[name].classes))]
        if found and not self.settings["keep_residual"]:
            found.append(Variant("reconstruct", (), {"goals": {}}, selected=False, needs=()))
        return found

    def _mode_names(self) -> tuple[str, ...]:
        names = [m for m in MODES if m in self.attributes]
        return tuple(n for n in names if n != "young" or "age_group" not in names)

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        from methods._blocks.discriminant import balancing_weights, decompose, effective_samples

        s = self.settings
        chosen = balanced_rows(faces, self._mode_names(), s["faces"], ctx.seed)
        labels = {n: faces.labels[n][chosen].astype(np.int64) for n in self._mode_names()}
        weights = balancing_weights(labels)
        ctx.report(0, 1, f"decomposing {len(chosen)} faces")
        vectors = self._vectors(faces, chosen)
        exact = decompose(vectors, labels, weights, s["dimensions"], ctx.seed)
        self.restore((exact.on_modes() if s["keep_residual"] else exact).state())
        return {
            "faces": len(chosen),
            "effective_faces": effective_samples(weights),
            "fisher": {name: mode.fisher.tolist() for name, mode in exact.modes.items()},
        }

    def _vectors(self, faces: Faces, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Pixels in [0, 1] of the faces at `rows`, (N, 3 x size x size)."""
        size = self.native_size or faces.size
        vectors = np.empty((len(rows), 3 * size * size), np.float32)
        for start in range(0, len(rows), 256):
            images = to_tensor(faces.images[rows[start : start + 256]])
            vectors[start : start + 256] = resize(images, size).flatten(1).numpy()
        return vectors

    def state(self) -> State:
        return self._state

    def restore(self, state: State) -> None:
        from methods._blocks.discriminant import restored

        # What is used is what is stored: a restored twin must not differ by rounding.
        self._state, self._parts = state, restored(state)

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        import torch

        parts = self._parts
        flat = images.flatten(1)
        if flat.shape[1] != len(parts.mean):
            raise InputError(f"MMDA was fitted on vectors of {len(parts.mean)}, got {flat.shape[1]}")

        def tensor(array: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(images.device)

        whitened = (flat - tensor(parts.mean)) @ tensor(parts.encoder).T
        change = torch.zeros_like(whitened)
        goals = request.variant.parameters["goals"]
        for name, goal in goals.items():
            mode = parts.modes[name]
            directions = tensor(mode.directions)
            wanted = self._wanted(mode, name, goal, request).to(images.device)
            change = change + (wanted - whitened @ directions) @ directions.T
        decoder = tensor(parts.decoder)
        if self.settings["keep_residual"]:
            edited = flat + change @ decoder.T
        else:
            edited = tensor(parts.mean) + (whitened + change) @ decoder.T
        return edited.view_as(images).clamp(0, 1)

    def _wanted(self, mode: Mode, name: str, goal: Any, request: Request) -> Tensor:
        """Coefficients (N or 1, C - 1) that the edit puts in place of the face's own."""
        import torch

        from methods._blocks.labels import target_labels

        centroids = torch.from_numpy(mode.centroids)
        if goal == "neutral":
            return centroids.mean(0, keepdim=True)
        if goal != "other":
            return centroids[goal : goal + 1]
        own = {name: request.labels[name].cpu()}
        wanted = target_labels(own, {name: "other"}, {name: len(centroids)}, request.uniform(1).cpu())
        return centroids[wanted[name]]


def _edits(name: str, classes: int) -> list[Variant]:
    """To another class (or each age group), and to the midpoint."""
    if name == "age_group":
        edits = [Variant(f"age{k}", (name,), {"goals": {name: k}}, needs=()) for k in range(classes)]
        neutral = "age-neutral"
    else:
        edits = [Variant(name, (name,), {"goals": {name: "other"}}, needs=(name,))]
        neutral = f"{name}-neutral"
    edits.append(Variant(neutral, (name,), {"goals": {name: "neutral"}}, needs=()))
    return [replace(edit, selected=edit.name in SELECTED) for edit in edits]


def balanced_rows(faces: Faces, modes: Sequence[str], most: int, seed: int) -> NDArray[np.intp]:
    """Rows of at most `most` faces with known classes of all `modes`, as evenly spread over their
    combinations as there are faces: drawn by `seed`, in the order of `faces`.

    Raises InputError when a mode has a class without a face.
    """
    codes = np.stack([faces.labels[m] for m in modes], 1)
    known = np.flatnonzero(np.isfinite(codes).all(1))
    for mode in modes:
        missing = set(range(len(faces.attribute(mode).classes))) - set(faces.labels[mode][known].tolist())
        if missing:
            raise InputError(f"MMDA needs faces of every class; {mode} {min(missing)} is missing in DEVELOP")
    _, cell = np.unique(codes[known], axis=0, return_inverse=True)
    order = np.random.default_rng([seed, 2]).permutation(len(known))
    cell = cell.reshape(-1)[order]
    # The k-th face of every combination before the k+1-th of any.
    by_cell = np.argsort(cell, kind="stable")
    counts = np.bincount(cell)
    turn = np.empty(len(cell), np.int64)
    turn[by_cell] = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(known[order[np.argsort(turn, kind="stable")[:most]]])
