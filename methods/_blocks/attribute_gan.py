"""What the GAN family shares: a generator that is told attributes, trained against a Wasserstein critic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import (
    Auxiliaries,
    Context,
    Faces,
    Method,
    Request,
    State,
    Variant,
    load_module,
    module_state,
)
from methods._blocks.labels import AGE_NAMES, LabelCode, selective_variants, target_labels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from methods._blocks.gan_training import GanTask
    from methods._blocks.training import Plan

TRAINING: dict[str, Any] = {
    "size": 224,
    "keep_detail": False,
    "residual": False,
    "critic_width": 64,
    "critic_depth": 6,
    "steps": 200_000,
    "critic_steps": 5,
    "batch": 16,
    "rate": 1e-4,
    "critic_rate": 1e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "decay_from": 0.5,
    "average": 0.0,
    "snapshots": 1,
    "change": 0.5,
    "lambda_penalty": 10.0,
    "lambda_critic_labels": 1.0,
    "lambda_labels": 4.0,
    "lambda_match": 0.0,
    "lambda_rec": 4.0,
    "lambda_pixel": 0.0,
    "lambda_classifiers": 0.0,
    "lambda_kept": 0.0,
    "confidence": 1.0,
    "viewed": False,
    "turns": [],
    "strengths": [1.0],
    "keep_matching": 0.85,
}
"""Options of every member: StarGAN's schedule with PrivacyNet's batch, iterations and weights.

change: probability that an attribute of a training face is changed. keep_matching: share of matching that a
candidate must keep to be chosen. The rest: see `GanTask`, `Opponents`, `Plan` and `selection.choose`.
"""

STARGAN: dict[str, Any] = {
    "stem": 64,
    "down": [128, 256],
    "up": [128, 64],
    "blocks": 6,
    "head_kernel": 7,
    "head_bias": False,
    "upsampling": "transposed",
    "norm": True,
}
"""Options of those whose generator is StarGAN's or like it: see `TranslationGenerator`."""

QUICK: dict[str, Any] = {
    "size": 64,
    "keep_detail": True,
    "residual": True,
    "critic_width": 16,
    "critic_depth": 4,
    "steps": 1200,
    "critic_steps": 1,
    "rate": 1e-3,
    "critic_rate": 5e-4,
    "average": 0.99,
    "snapshots": 2,
    "lambda_labels": 0.5,
    "lambda_rec": 0.0,
    "lambda_pixel": 4.0,
    "lambda_classifiers": 1.0,
    "lambda_kept": 0.5,
    "confidence": 0.8,
    "viewed": True,
    "turns": [0, 2, 1, 2],
    "strengths": [1.0, 1.25],
}
"""What small faces and minutes of training need of `TRAINING`.

A generator that draws a change of the image, and the auxiliary classifiers beside the critic's own, asked in
turn, every other time the one that reads the matcher's embedding: pixels and embeddings weigh the same. It
works at 64 px and adds its change to larger images.
"""

STARGAN_QUICK: dict[str, Any] = {
    "stem": 0,
    "down": [32, 48],
    "up": [32, 16],
    "blocks": 2,
    "head_kernel": 3,
    "head_bias": True,
    "upsampling": "nearest",
    "norm": False,
}
STARGAN_CHECK: dict[str, Any] = {
    "size": 0,
    "stem": 4,
    "down": [4, 8],
    "up": [8, 4],
    "blocks": 1,
    "critic_width": 4,
    "steps": 4,
    "critic_steps": 2,
}


class AttributeGan(Method):
    """Selective attribute editing: one output for each choice of attributes to keep or to change.

    Labels that a face lacks count as the mean of all classes when they are fed in, and in no loss.
    """

    selected: tuple[str, ...] = ()

    @property
    def code(self) -> LabelCode:
        """The attributes that are edited, with their channels; age groups stand in for `young`."""
        names = [a for a in self.obfuscates if a in self.attributes and not self.attributes[a].is_number]
        if "age_group" in names:
            names = [a for a in names if a != "young"]
        return LabelCode([self.attributes[a] for a in names])

    @property
    def _tuned(self) -> list[str]:
        """Names of the variants that have a strength of their own: those that change one attribute.

        The others are made of these, joined by `+`, and take the mean of their strengths.
        """
        return [v.name for v in self._variants() if "+" not in v.name]

    def _variants(self) -> Sequence[Variant]:
        found = selective_variants(self.code.attributes, self.selected)
        return [replace(v, obfuscates=self._with_synonyms(v.obfuscates)) for v in found]

    def _with_synonyms(self, names: Sequence[str]) -> tuple[str, ...]:
        ages = tuple(a for a in AGE_NAMES if a in self.attributes) if set(names) & set(AGE_NAMES) else ()
        return tuple(dict.fromkeys([*names, *ages]))

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        from methods._blocks.selection import choose
        from methods._blocks.training import train

        s = self.settings
        self._network = self._new_network(ctx.seed)
        size = self.native_size or faces.size
        task = self._new_task(size, auxiliaries, ctx.seed)
        snapshots, curves = train(task, faces, self._plan(ctx.seed), ctx, size=size, name=self.id)

        def apply(index: int, strength: float) -> Any:
            load_module(self._network, snapshots[index].state)
            self._strengths = dict.fromkeys(self._tuned, strength)
            return partial(self.protect, seed=ctx.seed, device=ctx.device)

        chosen = choose(
            apply,
            len(snapshots),
            s["strengths"],
            [v for v in self.variants() if v.name in self._tuned],
            auxiliaries,
            ctx,
            keep_matching=s["keep_matching"],
        )
        apply(chosen.snapshot, 1.0)
        self._strengths = chosen.strengths
        return {
            "curves": curves,
            "step": snapshots[chosen.snapshot].step,
            **{f"strength_{name}": value for name, value in chosen.strengths.items()},
            "candidates": chosen.figures,
            "trained_against": list(auxiliaries.names),
        }

    def state(self) -> State:
        return {
            "strengths": np.array([self._strengths[name] for name in self._tuned], np.float32),
            **module_state(self._network, "network/", half=True),
        }

    def restore(self, state: State) -> None:
        self._strengths = dict(zip(self._tuned, map(float, state["strengths"]), strict=True))
        self._network = self._new_network(0)
        load_module(self._network, state, "network/")

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        import torch

        from bench.inference.algebra import evaluated

        network = evaluated(self._network, images.device)
        code, goals = self.code, request.variant.parameters["goals"]
        unknown = torch.full((len(images),), -1, device=images.device)
        source = {name: request.labels.get(name, unknown) for name in code.classes}
        wanted = target_labels(source, goals, code.classes, request.uniform(len(goals)))
        drawn = network(images * 2 - 1, code.guide(source, wanted)) / 2 + 0.5
        names = request.variant.name.split("+")
        strength = sum(self._strengths[name] for name in names) / len(names)
        return (images + strength * (drawn - images)).clamp(0, 1)

    def _plan(self, seed: int) -> Plan:
        from methods._blocks.training import Plan

        s = self.settings
        return Plan(
            s["steps"], s["batch"], seed, s["decay_from"], s["average"], s["snapshots"], snapshots_from=0.6
        )

    def _new_task(self, size: int, auxiliaries: Auxiliaries, seed: int) -> GanTask:
        from methods._blocks.gan_training import GanTask

        return GanTask(self._network, self.code, size, auxiliaries, self.settings, seed=seed)

    def _new_network(self, seed: int) -> nn.Module:
        import torch

        from methods._blocks.networks import TranslationGenerator

        s = self.settings
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return TranslationGenerator(
                self.code.width,
                stem=s["stem"],
                down=s["down"],
                up=s["up"],
                blocks=s["blocks"],
                head_kernel=s["head_kernel"],
                head_bias=s["head_bias"],
                upsampling=s["upsampling"],
                norm=s["norm"],
                residual=s["residual"],
            )
