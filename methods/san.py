"""SAN: semi-adversarial networks (Mirjalili, Raschka, Namboodiri and Ross, ICB 2018).

Choices where the paper, FlowSAN's account of it and the authors' public code differ:

- Pixel loss J_D: binary cross-entropy, mean over pixels as in FlowSAN eq. 2 (`pixel_loss` = `bce`; ICB
  eq. 2 prints the sum, the code uses the mean absolute difference, `l1`). It is kept throughout, as in
  FlowSAN eq. 6; ICB eq. 5 drops it after a pre-training.
- Matching loss J_M: on the opposite-gender output, the one that is published (FlowSAN eq. 4,
  `matching_on` = `op`); ICB eq. 4 takes the same-gender output (`sm`), the code 8 x the mean descriptor
  of both (`mean`). Mean over samples.
- Prototypes are the mean male and mean female face of DEVELOP, not aligned to each image as in the code.
- The matching reference is the image as it came, in colour where it has colour: that is what galleries hold.
- Schedule of the code: Adam 2e-4, batch 8, 20 epochs of 157,350 images, matching off for the first 5.

Preset `quick` adds what small faces and minutes of training need: narrower layers, an output that starts
as the input (`residual`), classifiers that look at changed views, need only be 80 % sure and are asked in
turn (every other time the one that reads the matcher's embedding: pixels and embeddings weigh the same), and
a strength chosen on VALIDATION. It works at 64 px and adds its change to larger images (`keep_detail`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import (
    Auxiliaries,
    Context,
    Faces,
    InputError,
    Method,
    Request,
    State,
    Variant,
    load_module,
    resize,
    to_tensor,
)

if TYPE_CHECKING:
    from torch import Tensor


class San(Method):
    """A grey face whose gender a classifier misreads and whose identity a matcher still sees.

    Outputs share one pass up to the last feature maps and differ in the prototype these are joined with:
    `op` the opposite gender's (the privacy output), `sm` the face's own, `nt` the mean of both by their
    proportions in DEVELOP; `sm` and `nt` are the method's own controls.
    """

    title = "SAN"
    paper = "Mirjalili, Raschka, Namboodiri, Ross: Semi-Adversarial Networks, ICB 2018"
    obfuscates = ("gender",)
    needs_labels = ("gender",)
    trained = True
    options = {
        "size": 224,
        "keep_detail": False,
        "widths": [8, 12, 256, 128],
        "residual": False,
        "steps": 393_375,
        "batch": 8,
        "rate": 2e-4,
        "decay_from": 1.0,
        "average": 0.0,
        "snapshots": 1,
        "pixel_loss": "bce",
        "matching_on": "op",
        "matching_from": 0.25,
        "lambda_pixel": 1.0,
        "lambda_gender": 1.0,
        "lambda_match": 1.0,
        "lambda_kept": 0.0,
        "confidence": 1.0,
        "viewed": False,
        "turns": [],
        "strengths": [1.0],
        "keep_matching": 0.85,
    }
    presets = {
        "paper": {},
        "san_public_code": {"pixel_loss": "l1", "matching_on": "mean", "lambda_match": 8.0},
        "quick": {
            "size": 64,
            "keep_detail": True,
            "widths": [16, 24, 64, 32],
            "residual": True,
            "steps": 1000,
            "batch": 16,
            "rate": 2e-3,
            "decay_from": 0.5,
            "average": 0.99,
            "snapshots": 2,
            "matching_from": 0.0,
            "lambda_match": 4.0,
            "lambda_kept": 0.5,
            "confidence": 0.8,
            "viewed": True,
            "turns": [0, 2, 1, 2],
            "strengths": [1.25, 1.5, 1.75],
            "keep_matching": 0.75,
        },
        "check": {
            "size": 0,
            "widths": [4, 4, 8, 8],
            "steps": 4,
            "viewed": True,
            "turns": [0, 2, 1, 2],
            "lambda_kept": 0.5,
        },
    }

    def _variants(self) -> Sequence[Variant]:
        if "gender" not in self.attributes:
            return []
        return [
            Variant("op", ("gender",), {"prototype": "opposite"}),
            Variant("sm", (), {"prototype": "same"}),
            Variant("nt", (), {"prototype": "neutral"}),
        ]

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        from methods._blocks.san_training import SanTask
        from methods._blocks.selection import choose
        from methods._blocks.training import Plan, train

        s = self.settings
        self._prototypes, self._male_share = mean_faces(faces, self.native_size or faces.size)
        self._strength = 1.0
        self._network = self._new_network(ctx.seed)
        task = SanTask(self._network, self._prototype_tensor(ctx.device), auxiliaries, s)
        plan = Plan(
            s["steps"],
            s["batch"],
            ctx.seed,
            s["decay_from"],
            s["average"],
            s["snapshots"],
            snapshots_from=0.6,
        )
        snapshots, curves = train(task, faces, plan, ctx, size=self.native_size, name=self.id)

        def apply(index: int, strength: float) -> Any:
            load_module(self._network, snapshots[index].state)
            self._strength = strength
            return partial(self.protect, seed=ctx.seed, device=ctx.device)

        chosen = choose(
            apply,
            len(snapshots),
            s["strengths"],
            [self.variant("op")],
            auxiliaries,
            ctx,
            keep_matching=s["keep_matching"],
        )
        apply(chosen.snapshot, chosen.strengths["op"])
        return {
            "curves": curves,
            "step": snapshots[chosen.snapshot].step,
            "strength": self._strength,
            "candidates": chosen.figures,
            "trained_against": list(auxiliaries.names),
        }

    def state(self) -> State:
        from bench.api import module_state

        return {
            "prototypes": self._prototypes,
            "male_share": np.array([self._male_share], np.float32),
            "strength": np.array([self._strength], np.float32),
            **module_state(self._network, "network/", half=True),
        }

    def restore(self, state: State) -> None:
        self._prototypes = state["prototypes"]
        self._male_share = float(state["male_share"][0])
        self._strength = float(state["strength"][0])
        self._network = self._new_network(0)
        load_module(self._network, {k: v for k, v in state.items() if k.startswith("network/")}, "network/")

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from methods._blocks.images import luma

        network = self._network.to(images.device).eval()
        prototypes = resize(self._prototype_tensor(images.device), images.shape[-1])
        female, male = prototypes[:1], prototypes[1:]
        gender = request.labels["gender"]
        joined = {
            "same": prototypes[gender],
            "opposite": prototypes[1 - gender],
            "neutral": (self._male_share * male + (1 - self._male_share) * female).expand_as(images),
        }[request.variant.parameters["prototype"]]
        grey = luma(images)
        drawn = network.combine(network.features(grey, prototypes[gender]), joined, grey)
        return (grey + self._strength * (drawn - grey)).clamp(0, 1).expand_as(images).contiguous()

    def _new_network(self, seed: int) -> Any:
        import torch

        from methods._blocks.san_autoencoder import SanAutoencoder

        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return SanAutoencoder(self.settings["widths"], residual=self.settings["residual"])

    def _prototype_tensor(self, device: Any) -> Tensor:
        return to_tensor(self._prototypes, device)


def mean_faces(faces: Faces, size: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], float]:
    """Mean female and mean male face, uint8 (2, size, size, 3), and the share of male faces.

    Faces of unknown gender count in neither. Raises InputError when one of the two is missing.
    """
    from bench.api import to_uint8

    gender = faces.labels["gender"]
    means = []
    for value in (0, 1):
        rows = np.flatnonzero(gender == value)
        if not rows.size:
            raise InputError(f"SAN needs faces of both genders in DEVELOP; gender {value} is missing")
        total = sum(
            faces.images[part].sum(0, dtype=np.float64) for part in np.array_split(rows, len(rows) // 512 + 1)
        )
        means.append((total / len(rows)).round().astype(np.uint8))
    share = float((gender == 1).sum() / np.isfinite(gender).sum())
    return to_uint8(resize(to_tensor(np.stack(means)), size)), share
