"""Face mixing: the face morphed with one of the opposite gender (Othman and Ross, ECCV Workshops 2014).

At inference: the face's gender (to pick a donor of the other one), five landmarks, and the donors kept from
DEVELOP. Shape S = (1 - b) S1 + b S2, texture T = (1 - a) T1 + a T2, both warped to S triangle by triangle;
a = b = .5 is the paper's gender-neutral mix, other weights are its progressive mixing.

Choices where the paper is silent or asks for more than is at hand:

- Landmarks: the paper fits an active shape model of some 76 points; here five landmarks and eight fixed
  points of the border are triangulated (Delaunay, on the mixed shape of each pair).
- Donors: `nearest_shape` takes the kept donor whose landmarks lie nearest; `fixed` one donor a gender, of
  those kept the one nearest to their mean shape; `random` any kept donor, drawn by the sample's seed.
- Without landmarks (of the faces or of DEVELOP) nothing can be warped: aligned images are cross-dissolved,
  `nearest_shape` has no shape to go by and takes a random donor, and the recorded `mode` is `mix_nolandmark`
  instead of `mix`. A face whose landmarks are not finite fails.

Threat notes:

- The output shows two people. Verification must also be run against the donor, and the donors are faces of
  DEVELOP that are published with the weights.
- Who knows the donors subtracts the right one and is left with the face: the mix is a convex combination.
- The donor's gender is a function of the label: an attacker trained on mixes may read it off what the donors
  have in common, the more so the fewer they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api import (
    Attribute,
    Auxiliaries,
    Claim,
    Context,
    Faces,
    Figure,
    InputError,
    Method,
    Request,
    State,
    UsageError,
    Variant,
    resize,
    to_tensor,
)

if TYPE_CHECKING:
    from torch import Tensor

CHOICES = ("nearest_shape", "fixed", "random")


class FaceMixing(Method):
    """A face in which the features of a man and of a woman are mixed.

    Variants `a=...` mix texture and shape by the same weight; .5 is the neutral one.
    """

    title = "Face mixing"
    paper = "Othman, Ross: Privacy of Facial Soft Biometrics, ECCV Workshops 2014"
    obfuscates = ("gender",)
    needs_labels = ("gender",)
    trained = True
    uses_auxiliaries = False
    options = {"donors": "nearest_shape", "donors_kept": 64}
    presets = {"paper": {}, "quick": {"donors_kept": 16}, "check": {"donors_kept": 3}}
    claims = (
        Claim(
            id="mixing-confounds-and-destroys",
            text="mixing confounds gender, AUC about 0.5, and destroys matching",
            source="Section IV-A; bounds chosen here: AUC within 0.1, at most half of the originals' TMR",
            holds=(
                Figure.read("face_mixing:a=0.5", "gender", "auc").within(0.1, of=0.5),
                Figure.matched("face_mixing:a=0.5", "tmr_kept").at_most(0.5),
            ),
            paper="Mirjalili, Raschka, Ross: FlowSAN, IEEE Access 2019",
        ),
    )

    def __init__(self, attributes: Sequence[Attribute] = (), *, preset: str = "", **overrides: Any) -> None:
        super().__init__(attributes, preset=preset, **overrides)
        if self.settings["donors"] not in CHOICES:
            raise UsageError(
                f"option donors of {self.id} is {' or '.join(CHOICES)}, got {self.settings['donors']!r}"
            )

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        return [Variant(f"a={a:g}", ("gender",), {"weight": a}, selected=a == 0.5) for a in (0.3, 0.5, 0.7)]

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        rows = choose_donors(faces, self.settings["donors_kept"], ctx.seed)
        self._images = faces.images[rows]
        self._landmarks = None if faces.landmarks is None else faces.landmarks[rows].astype(np.float32)
        return {
            "mode": "mix_nolandmark" if self._landmarks is None else "mix",
            "donors": [[str(key) for key in faces.keys[of_gender]] for of_gender in rows],
        }

    def state(self) -> State:
        images: State = {"images": self._images}
        return images if self._landmarks is None else {**images, "landmarks": self._landmarks}

    def restore(self, state: State) -> None:
        self._images, self._landmarks = state["images"], state.get("landmarks")

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        import torch

        size = images.shape[-1]
        weight = float(request.variant.parameters["weight"])
        genders, kept = self._images.shape[:2]
        donors = resize(to_tensor(self._images.reshape(genders * kept, *self._images.shape[2:])), size)
        first = (1 - request.labels["gender"]) * kept
        if request.landmarks is None or self._landmarks is None:
            chosen = first + self._without_shape(request, kept)
            return torch.lerp(images, donors.to(images.device)[chosen], weight)
        shapes = _scaled(self._landmarks, size / self._images.shape[2]).to(images.device)
        own = request.landmarks
        chosen = first + self._with_shape(own, shapes.view(genders, kept, -1, 2), request)
        return mix(images, own, donors.to(images.device)[chosen], shapes[chosen], weight, weight)

    def _with_shape(self, own: Tensor, shapes: Tensor, request: Request) -> Tensor:
        """Places (N,) among the donors of the opposite gender."""
        if self.settings["donors"] != "nearest_shape":
            return self._without_shape(request, shapes.shape[1])
        opposite = shapes[1 - request.labels["gender"]]
        return (opposite - own[:, None]).square().sum((2, 3)).argmin(1)

    def _without_shape(self, request: Request, kept: int) -> Tensor:
        drawn = (request.uniform(1)[:, 0] * kept).long().clamp(max=kept - 1)
        return drawn * 0 if self.settings["donors"] == "fixed" else drawn


def _scaled(landmarks: NDArray[np.float32], scale: float) -> Tensor:
    """Landmarks (2, K, 5, 2) of the donors as (2 x K, 5, 2), in pixels of images `scale` times as large."""
    import torch

    return (torch.from_numpy(landmarks.reshape(-1, *landmarks.shape[2:])) + 0.5) * scale - 0.5


def mix(
    images: Tensor, shapes: Tensor, donors: Tensor, donor_shapes: Tensor, texture: float, shape: float
) -> Tensor:
    """Morph of `images` with `donors`, both (N, C, S, S), whose landmarks are (N, K, 2) in pixels.

    texture, shape: weights a and b of the donor in [0, 1]; both 0 give the images, both 1 the donors.
    """
    import torch

    from methods._blocks.warp import PiecewiseAffine, with_frame

    size = images.shape[-1]
    own, other = with_frame(shapes, size), with_frame(donor_shapes, size)
    warp = PiecewiseAffine(torch.lerp(own, other, shape), size)
    return torch.lerp(warp(images, own), warp(donors, other), texture).clamp(0, 1)


def choose_donors(faces: Faces, most: int, seed: int) -> NDArray[np.intp]:
    """Rows (2, K) of female and male faces, K <= `most`: drawn by `seed`, no person twice.

    With landmarks, those nearest to the mean shape of the gender's drawn faces come first. Raises InputError
    when a gender is missing.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = []
    for gender in (0, 1):
        rows = rng.permutation(np.flatnonzero(faces.labels["gender"] == gender))
        if faces.landmarks is not None:
            rows = rows[np.isfinite(faces.landmarks[rows]).all((1, 2))]
        _, firsts = np.unique(faces.identities[rows], return_index=True)
        drawn.append(rows[np.sort(firsts)])
    kept = min(most, *(len(rows) for rows in drawn))
    if kept < 1:
        raise InputError(
            f"face mixing needs donors of both genders in DEVELOP, found {len(drawn[0])} female and "
            f"{len(drawn[1])} male people (with finite landmarks), and donors_kept = {most}"
        )
    return np.stack([_central_first(faces, rows[:kept]) for rows in drawn])


def _central_first(faces: Faces, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    if faces.landmarks is None:
        return rows
    shapes = faces.landmarks[rows]
    return rows[np.argsort(((shapes - shapes.mean(0)) ** 2).sum((1, 2)), kind="stable")]
