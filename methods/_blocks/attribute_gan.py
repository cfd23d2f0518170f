"""What PrivacyNet and its baseline share: a label-conditioned generator against a Wasserstein critic."""

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
    from torch import Tensor

    from methods._blocks.networks import TranslationGenerator


class AttributeGan(Method):
    """Selective attribute editing: one output for each choice of attributes to keep or to change.

    Options name the networks' shapes (see `methods/_blocks/networks.py`), the schedule and the loss weights.
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
    def _parts(self) -> list[str]:
        """Names of the variants that change one attribute; the others are made of these, joined by `+`.

        A strength is chosen for each; a variant of several parts takes their mean.
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
        from methods._blocks.gan_training import GanTask
        from methods._blocks.selection import choose
        from methods._blocks.training import Plan, train

        s = self.settings
        self._network = self._new_network(ctx.seed)
        size = self.native_size or faces.size
        task = GanTask(self._network, self.code, size, auxiliaries, s, seed=ctx.seed)
        plan = Plan(
            s["steps"],
            s["batch"],
            ctx.seed,
            s["decay_from"],
            s["average"],
            s["snapshots"],
            snapshots_from=0.6,
        )
        snapshots, curves = train(task, faces, plan, ctx, size=size, name=self.id)

        def apply(index: int, strength: float) -> Any:
            load_module(self._network, snapshots[index].state)
            self._strengths = dict.fromkeys(self._parts, strength)
            return partial(self.protect, seed=ctx.seed, device=ctx.device)

        singles = [v for v in self.variants() if v.name in self._parts]
        chosen = choose(
            apply,
            len(snapshots),
            s["strengths"],
            singles,
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
            "strengths": np.array([self._strengths[p] for p in self._parts], np.float32),
            **module_state(self._network, "network/", half=True),
        }

    def restore(self, state: State) -> None:
        self._strengths = dict(zip(self._parts, map(float, state["strengths"]), strict=True))
        self._network = self._new_network(0)
        load_module(self._network, {k: v for k, v in state.items() if k != "strengths"}, "network/")

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        network = self._network.to(images.device).eval()
        goals = request.variant.parameters["goals"]
        wanted = target_labels(request.labels, goals, self.code.classes, request.uniform(len(goals)))
        drawn = network(images * 2 - 1, self.code.encode(wanted)) / 2 + 0.5
        parts = request.variant.name.split("+")
        strength = sum(self._strengths[p] for p in parts) / len(parts)
        return (images + strength * (drawn - images)).clamp(0, 1)

    def _new_network(self, seed: int) -> TranslationGenerator:
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
