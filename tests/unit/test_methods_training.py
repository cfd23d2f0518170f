"""The training loop: resume to the same bytes, schedule, averaging, snapshots; the choice of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import tiny_faces
from torch import Tensor, nn

from bench.api import BenchError, Context, Faces, InputError, Protected, Variant, Verdict
from methods._blocks.selection import Choice, choose, score
from methods._blocks.training import Batch, Plan, Snapshot, Task, train

PLAN = Plan(steps=8, batch=4, seed=1, average=0.9, snapshots=2)


class MeanTask(Task):
    """Learns the mean colour; its only network is three numbers."""

    def __init__(self, rate: float = 0.1) -> None:
        self.colour = self.product = nn.Linear(1, 3, bias=False)
        nn.init.zeros_(self.colour.weight)
        self.modules = {"colour": self.colour}
        self.optimisers = {"adam": torch.optim.Adam(self.colour.parameters(), lr=rate)}
        self.batches: list[Batch] = []

    def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
        self.batches.append(batch)
        noise = 0.01 * batch.uniform(3)
        loss = (batch.images.mean((2, 3)) + noise - self.colour.weight[:, 0]).square().mean()
        self.optimisers["adam"].zero_grad()
        loss.backward()
        self.optimisers["adam"].step()
        return {"error": loss, "even": loss} if number % 2 == 0 else {"error": loss}


class Stopped(Exception):
    pass


def stop_after(calls: int) -> Context:
    told: list[float] = []

    def report(done: float, total: float, text: str) -> None:
        told.append(done)
        if len(told) == calls:
            raise Stopped

    return Context(report=report)


def same(a: list[Snapshot], b: list[Snapshot]) -> bool:
    return [s.step for s in a] == [s.step for s in b] and all(
        np.array_equal(x.state[k], y.state[k]) for x, y in zip(a, b, strict=True) for k in x.state
    )


def test_interrupted_training_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.checkpoint.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("bench.training.record.REPORT_SECONDS", 0.0)
    faces = tiny_faces(10, 8)
    expected, curves = train(MeanTask(), faces, PLAN, Context())
    for calls in (3, 2):
        context = stop_after(calls)
        with pytest.raises(Stopped):
            train(MeanTask(), faces, PLAN, Context(workdir=tmp_path, report=context.report))
    resumed = MeanTask()
    found, same_curves = train(resumed, faces, PLAN, Context(workdir=tmp_path))
    assert len(resumed.batches) < PLAN.steps
    assert same(expected, found)
    assert curves == same_curves
    assert not list(tmp_path.glob(".new-*"))


def test_another_plan_does_not_take_up_the_checkpoint(tmp_path: Path) -> None:
    faces = tiny_faces(10, 8)
    train(MeanTask(), faces, PLAN, Context(workdir=tmp_path))
    longer = MeanTask()
    train(longer, faces, Plan(steps=9, batch=4, seed=1), Context(workdir=tmp_path))
    assert len(longer.batches) == 9


def test_training_learns_and_reports_curves() -> None:
    faces = tiny_faces(10, 8)
    plan = Plan(steps=120, batch=10, seed=0)
    (snapshot,), curves = train(MeanTask(), faces, plan, Context())
    assert snapshot.step == 120
    assert np.allclose(snapshot.state["weight"][:, 0], faces.images.mean((0, 1, 2)) / 255 + 0.005, atol=0.03)
    assert curves["error"][-1] < 0.3 * curves["error"][0]
    assert len(curves["error"]) == 48


def test_snapshots_are_averages_in_half_precision() -> None:
    task = MeanTask()
    snapshots, _ = train(task, tiny_faces(10, 8), PLAN, Context())
    assert [s.step for s in snapshots] == [4, 8]
    assert snapshots[-1].state["weight"].dtype == np.float16
    # The averaged weights lag behind the raw ones, which move from 0 towards a positive colour.
    assert (snapshots[-1].state["weight"] < task.colour.weight.detach().numpy()).all()


def test_batches_carry_known_labels_and_mirrored_images() -> None:
    faces = tiny_faces(10, 8)
    faces.labels["race"][3] = np.nan
    task = MeanTask()
    train(task, faces, Plan(steps=10, batch=5, seed=0), Context(), size=16)
    races = torch.cat([b.labels["race"] for b in task.batches])
    assert set(races.tolist()) == {-1, 0, 1, 2}
    assert "age" not in task.batches[0].labels
    assert task.batches[0].images.shape == (5, 3, 16, 16)
    images = torch.cat([b.images.mean((1, 2)) for b in task.batches])
    lean = images[:, :8].mean(1) - images[:, 8:].mean(1)
    assert lean.min() < 0 < lean.max()


def test_rates_fall_linearly_to_zero() -> None:
    plan = Plan(steps=100, batch=2, seed=0, decay_from=0.5)
    assert [plan.rate(s) for s in (0, 50, 75, 99)] == pytest.approx([1, 1, 0.5, 0.02])
    assert Plan(steps=100, batch=2, seed=0, decay_from=1.0).rate(99) == 1


def test_divergence_is_named() -> None:
    class Diverging(MeanTask):
        def step(self, number: int, batch: Batch) -> Mapping[str, Tensor]:
            return {"error": torch.tensor(float("nan"))}

    with pytest.raises(BenchError, match=r"diverged at step 0 \(loss error\)"):
        train(Diverging(), tiny_faces(10, 8), PLAN, Context())


@pytest.mark.parametrize("plan", [Plan(0, 4, 0), Plan(4, 1, 0)])
def test_plans_that_cannot_run_are_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="cannot train"):
        train(MeanTask(), tiny_faces(4, 8), plan, Context())


# -- selection -----------------------------------------------------------------------------------------

HIDES_GENDER = Variant("op", ("gender",))


def verdict(leak: float = 0.2, matching: float = 0.9, kept_drop: float = 0.0) -> Verdict:
    return Verdict({"svm": leak, "cnn": leak}, {"svm": 1 - leak}, matching, kept_drop)


def test_score_prefers_less_leak_until_matching_suffers() -> None:
    assert score(verdict(leak=0.1), 0.85) > score(verdict(leak=0.3), 0.85)
    assert score(verdict(matching=0.99), 0.85) == score(verdict(matching=0.86), 0.85)
    assert score(verdict(leak=0.0, matching=0.7), 0.85) < score(verdict(leak=0.5), 0.85)
    assert score(verdict(kept_drop=0.2), 0.85) < score(verdict(), 0.85)
    assert score(verdict(kept_drop=-0.2), 0.85) == score(verdict(), 0.85)


class Judge:
    """Says that strength 1 of snapshot 1 hides best, and that more destroys matching."""

    def judge(self, protect: object, variant: Variant) -> Verdict:
        snapshot, strength = protect(None)  # type: ignore[operator]
        return verdict(0.9 - 0.3 * snapshot - 0.3 * strength, matching=1.0 if strength <= 1 else 0.5)


def apply(snapshot: int, strength: float):  # type: ignore[no-untyped-def]
    def protect(faces: Faces, variant: Variant) -> Protected:
        return (snapshot, strength)  # type: ignore[return-value]

    return protect


def chosen(snapshots: int, strengths: list[float], judge: Any) -> Choice:
    return choose(apply, snapshots, strengths, [HIDES_GENDER], judge, Context(), keep_matching=0.85)


def test_choose_takes_the_best_snapshot_and_then_the_best_strength() -> None:
    found = chosen(2, [0.5, 1.0, 1.5], Judge())
    assert (found.snapshot, found.strengths) == (1, {"op": 1.0})
    judged = [(f["snapshot"], f["strength"]) for f in found.figures]
    assert judged == [(0, 1.0), (1, 1.0), (1, 0.5), (1, 1.5)]
    assert found.figures[0]["matching"] == 1.0


def test_a_single_candidate_needs_no_judge() -> None:
    found = chosen(1, [1.0], None)
    assert (found.snapshot, found.strengths, found.figures) == (0, {"op": 1.0}, [])


def test_no_leak_at_all_is_an_error() -> None:
    with pytest.raises(BenchError, match="must label an obfuscated attribute"):
        score(Verdict({}, {}, 1.0, 0.0), 0.85)
