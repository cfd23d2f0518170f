"""What the SAN ensemble and FlowSAN share: several networks, each trained against a classifier of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api import (
    Auxiliaries,
    Context,
    ContractError,
    Faces,
    Method,
    Request,
    State,
    UsageError,
    Variant,
    load_module,
    module_state,
)
from methods._blocks.san_family import Prototypes, Stage, new_network

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.opponents import Opponents

RESAMPLED = tuple(f"resampled_{place}" for place in range(1, 6))
"""The gender classifiers G_1 .. G_5: each saw another fifth of the rarer race's people 40 times."""


class SanSeries(Method):
    """SAN_1 .. SAN_n, SAN_i being trained against G_i, with one matcher for all (FlowSAN, section III).

    Options beside SAN's: members: n, 1 to 5. common_classifiers: places among the auxiliaries' own
    classifiers (modulo their number) that every network is trained against beside its G_i; in `turns`, G_i
    is 0 and these are 1, 2, ...; the papers name none. `strengths` are chosen for each network by itself.
    """

    extra_auxiliaries = RESAMPLED

    @property
    def length(self) -> int:
        """n. Raises UsageError unless there are as many classifiers."""
        wanted = int(self.settings["members"])
        if not 1 <= wanted <= len(RESAMPLED):
            raise UsageError(f"option members of {self.id} must be 1 to {len(RESAMPLED)}, got {wanted}")
        return wanted

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        self._prototypes = Prototypes.of(faces, self.native_size or faces.size)
        self._stages: list[Stage] = []
        figures: dict[str, Any] = {"curves": {}, "candidates": []}
        for place in range(1, self.length + 1):
            found = self._fit_member(place, faces, auxiliaries, self._context_of(place, ctx))
            figures[f"strength_{place}"] = found["strength"]
            figures["curves"] |= {f"{place}/{name}": curve for name, curve in found["curves"].items()}
            figures["candidates"] += found["candidates"]
        return {**figures, "trained_against": self._trained_against(auxiliaries)}

    @abstractmethod
    def _fit_member(
        self, place: int, faces: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        """Train network number `place` (from 1), append it to the stages, return `fit_stage`'s figures."""

    def _train_on_originals(
        self,
        place: int,
        faces: Faces,
        auxiliaries: Auxiliaries,
        ctx: Context,
        variant: Variant,
        **changes: Any,
    ) -> Mapping[str, Any]:
        """SAN_place of the ensemble. changes: settings that differ."""
        stage = Stage(new_network(self.settings, member_seed(ctx.seed, place)))
        return self._train_stage(stage, place, "member", faces, auxiliaries, ctx, variant, **changes)

    def _train_stage(
        self,
        stage: Stage,
        place: int,
        phase: str,
        faces: Faces,
        auxiliaries: Auxiliaries,
        ctx: Context,
        variant: Variant,
        *,
        before: Sequence[Stage] = (),
        pixel_reference: str = "original",
        **changes: Any,
    ) -> Mapping[str, Any]:
        """Train `stage` and put it into its place; see `SanTask`, and `fit_stage` for `variant`.

        phase: tells the trainings of one place apart. changes: settings that differ.
        """
        from methods._blocks.san_training import SanTask, fit_stage

        settings = {**self.settings, **changes}
        task = SanTask(
            stage.network,
            self._prototypes.tensor(ctx.device),
            self._opponents(place, auxiliaries),
            settings,
            before=before,
            pixel_reference=pixel_reference,
        )
        self._stages[place - 1 :] = [stage]
        return fit_stage(
            stage,
            task,
            faces,
            auxiliaries,
            ctx,
            seed=member_seed(ctx.seed, place, phase),
            size=self.native_size,
            name=f"{phase}_{place}",
            protect=partial(self.protect, seed=ctx.seed, device=ctx.device),
            variant=variant,
        )

    def _opponents(self, place: int, auxiliaries: Auxiliaries) -> Opponents:
        from methods._blocks.opponents import Opponents

        s = self.settings
        common = [auxiliaries.classifiers[k % len(auxiliaries.classifiers)] for k in s["common_classifiers"]]
        return Opponents(
            auxiliaries,
            confidence=s["confidence"],
            viewed=s["viewed"],
            turns=s["turns"],
            classifiers=[auxiliaries.extra(RESAMPLED[place - 1]), *common],
        )

    def _trained_against(self, auxiliaries: Auxiliaries) -> list[str]:
        matcher, *classifiers = auxiliaries.names
        common = [classifiers[k % len(classifiers)] for k in self.settings["common_classifiers"]]
        return [matcher, *common, *RESAMPLED[: self.length]]

    def _context_of(self, place: int, ctx: Context) -> Context:
        """The bar runs once over all members."""

        def report(done: float, total: float, text: str) -> None:
            ctx.report(place - 1 + done / total, self.length, f"SAN {place} of {self.length}: {text}")

        return replace(ctx, report=report)

    def state(self) -> State:
        strengths = np.array([stage.strength for stage in self._stages], np.float32)
        found = {**self._prototypes.state(), "strengths": strengths}
        for place, stage in enumerate(self._stages, 1):
            found |= module_state(stage.network, f"{place}/", half=True)
        return found

    def restore(self, state: State) -> None:
        strengths = state["strengths"].tolist()
        if len(strengths) != self.length:
            raise ContractError(f"stored weights are those of {len(strengths)} networks, not {self.length}")
        self._prototypes = Prototypes.restored(state)
        self._stages = []
        for place, strength in enumerate(strengths, 1):
            network = new_network(self.settings, 0)
            load_module(network, {k: v for k, v in state.items() if k.startswith(f"{place}/")}, f"{place}/")
            self._stages.append(Stage(network, strength))

    def _prototypes_for(self, images: Tensor, request: Request) -> tuple[Tensor, Tensor]:
        """Those of each original's own and of the other gender, (N, 3, H, W) in [0, 1]."""
        prototypes = self._prototypes.tensor(images.device, images.shape[-1])
        gender = request.labels["gender"]
        return prototypes[gender], prototypes[1 - gender]


def member_seed(seed: int, place: int, phase: str = "member") -> int:
    """Seed of one of the independent trainings; `place` counts from 1."""
    entropy = [seed, place, *phase.encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
