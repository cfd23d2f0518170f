"""How a Semi-Adversarial Network of the family learns: one step, and a whole training with its choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, l1_loss

from bench.api import Auxiliaries, Context, Faces, Variant, load_module
from bench.errors import unknown_name
from bench.inference.algebra import form
from bench.training import adam, descend
from methods._blocks.images import luma
from methods._blocks.opponents import Opponents, kept_loss, matching_loss
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.san_family import Stage
from methods._blocks.selection import Protect, choose
from methods._blocks.training import Batch, Plan, Task, train

_CHOICES = {
    "pixel_loss": ("bce", "l1"),
    "matching_on": ("op", "sm", "mean"),
    "pixel_reference": ("original", "stage", "none"),
}
_HIDDEN = frozenset({"gender"})


class SanTask(Task):
    """J_D on the same-gender output, J_G on both, J_M as `matching_on` says (see `methods/san.py`).

    prototypes: mean female and mean male face, float32 (2, 3, S, S) in [0, 1].
    settings: options of the method, `steps` being those of this training. Faces of unknown gender are left
        out of the step.
    before: stages, frozen, whose output for the opposite gender is what the network is given; the matching
        loss stays with the originals (FlowSAN, section III-B).
    pixel_reference: what J_D compares with: the `original`, what the network was given (`stage`), or `none`.
    """

    def __init__(
        self,
        network: SanAutoencoder,
        prototypes: Tensor,
        opponents: Opponents,
        settings: Mapping[str, Any],
        *,
        before: Sequence[Stage] = (),
        pixel_reference: str = "original",
    ) -> None:
        for name, value in {**settings, "pixel_reference": pixel_reference}.items():
            if value not in _CHOICES.get(name, (value,)):
                raise unknown_name(name, value, _CHOICES[name])
        self.network = self.product = network
        self.modules = {"network": network}
        self.optimisers = {"adam": adam(network.parameters(), settings["rate"])}
        self.prototypes = prototypes
        self.opponents = opponents
        self.settings = settings
        self.before = before
        self.pixel_reference = pixel_reference

    def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
        (known,) = torch.where(batch.labels["gender"] >= 0)
        if not len(known):
            descend(self.optimisers["adam"], None)
            return {}
        images, gender = batch.images[known], batch.labels["gender"][known]
        losses = self.losses(images, gender, number, batch.generator)
        total = sum((self.settings[f"lambda_{k}"] * v for k, v in losses.items()), images.new_zeros(()))
        descend(self.optimisers["adam"], total)
        return losses

    def losses(
        self, images: Tensor, gender: Tensor, number: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """`gender`, and where they are asked for `pixel`, `match` and `kept`, in step `number`.

        images: (N, 3, S, S) in [0, 1]; gender: int64 (N,), 0 or 1.
        """
        original = luma(images)
        same_face, opposite_face = self.prototypes[gender], self.prototypes[1 - gender]
        given = self._after_others(original, same_face, opposite_face)
        maps = self.network.features(given, same_face)
        same = self.network.combine(maps, same_face, given).float()
        opposite = self.network.combine(maps, opposite_face, given).float()
        shown = torch.cat([same, opposite]).expand(-1, 3, -1, -1)
        wanted = {"gender": torch.cat([gender, 1 - gender])}
        looks = self.opponents.look(shown, number, generator)
        losses = {}
        if self.pixel_reference != "none":
            losses["pixel"] = self._pixel(same, original if self.pixel_reference == "original" else given)
        # The paper adds the losses of the two outputs; the mean over both is half of that.
        losses["gender"] = 2 * self.opponents.towards(looks, wanted)
        if self._matching(number):
            losses["match"] = self._match(shown[: len(images)], shown[len(images) :], images)
        if self.settings["lambda_kept"]:
            before = self.opponents.look_at_originals(torch.cat([images, images]), number)
            losses["kept"] = kept_loss(looks, before, _HIDDEN)
        return losses

    @torch.no_grad()
    def _after_others(self, grey: Tensor, same: Tensor, opposite: Tensor) -> Tensor:
        with form("trained"):  # what a later stage learns from stays the same to the last bit
            for stage in self.before:
                grey = stage(grey, same, opposite)
        return grey

    def _matching(self, number: int) -> bool:
        return number >= self.settings["matching_from"] * self.settings["steps"]

    def _pixel(self, same: Tensor, grey: Tensor) -> Tensor:
        if self.settings["pixel_loss"] == "l1":
            return l1_loss(same, grey)
        return binary_cross_entropy(same, grey)

    def _match(self, same: Tensor, opposite: Tensor, originals: Tensor) -> Tensor:
        with torch.no_grad():
            reference = self.opponents.embedding(originals)
        on = self.settings["matching_on"]
        if on == "mean":
            both = self.opponents.embedding(torch.cat([same, opposite]))
            return matching_loss((both[: len(same)] + both[len(same) :]) / 2, reference)
        return matching_loss(self.opponents.embedding(same if on == "sm" else opposite), reference)


def fit_stage(
    stage: Stage,
    task: SanTask,
    faces: Faces,
    auxiliaries: Auxiliaries,
    ctx: Context,
    *,
    seed: int,
    size: int,
    name: str,
    protect: Protect,
    variant: Variant,
) -> dict[str, Any]:
    """Train `stage`, whose network is the task's; choose its snapshot and strength on VALIDATION.

    The task's settings say how. seed: of the order of the data. size: px to train at, 0: as the faces come.
    protect: the method's, which uses `stage` to make `variant`. Returns figures.
    """
    s = task.settings
    plan = Plan(
        s["steps"], s["batch"], seed, s["decay_from"], s["average"], s["snapshots"], snapshots_from=0.6
    )
    snapshots, curves = train(task, faces, plan, ctx, size=size, name=name)

    def apply(index: int, strength: float) -> Protect:
        load_module(stage.network, snapshots[index].state)
        stage.strength = strength
        return protect

    chosen = choose(
        apply,
        len(snapshots),
        s["strengths"],
        [variant],
        auxiliaries,
        ctx,
        keep_matching=s["keep_matching"],
    )
    apply(chosen.snapshot, chosen.strengths[variant.name])
    return {
        "curves": curves,
        "step": snapshots[chosen.snapshot].step,
        "strength": stage.strength,
        "candidates": chosen.figures,
    }
