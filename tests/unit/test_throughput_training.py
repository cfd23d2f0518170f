"""Steps a second: both loops train the same problem, and rows say what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.api import Context
from bench.errors import Unavailable, UsageError
from bench.inference.clock import DeviceClock
from bench.throughput.training import handed_by, own_steps, public_steps, training_rows

FACES = 16


def handed(name: str = "privacynet") -> Any:
    return handed_by(name, "check", 64, Context(), faces=FACES)


def weights(found: Any) -> dict[str, torch.Tensor]:
    return {
        f"{n}.{k}": v.clone()
        for n, module in found.task.modules.items()
        for k, v in module.state_dict().items()
    }


@pytest.mark.parametrize("steps", [own_steps, public_steps])
def test_a_call_trains_every_network_of_the_method(steps: Any) -> None:
    found = handed()
    before, call = weights(found), steps(found)
    call()
    changed = {k.split(".")[0] for k, v in weights(found).items() if not torch.equal(v, before[k])}
    assert changed == {"generator", "critic"}


def test_the_public_style_reads_the_same_faces() -> None:
    found, seen = handed(), []

    def step(number: int, batch: Any) -> dict[str, torch.Tensor]:
        seen.append(batch)
        return {}

    found.task.step = step
    public_steps(found)()
    batch = seen[0]
    size = found.size or 64
    assert batch.images.shape == (found.plan.batch, 3, size, size)
    assert batch.images.min() >= 0
    assert batch.images.max() <= 1
    genders = found.faces.labels["gender"]
    assert set(batch.labels["gender"].tolist()) <= set(np.unique(genders).astype(int).tolist())
    assert "age" not in batch.labels


def test_rows_of_a_method_are_complete() -> None:
    ((base, rows),) = training_rows(["san"], "check", 64, "cpu", ["fp32", "bf16"], 0.001)
    found = rows(DeviceClock("cpu"))
    assert [(r.path, r.precision) for r in found] == [
        ("peer", "fp32"),
        ("own loop", "fp32"),
        ("own loop", "bf16"),
    ]
    assert {(r.kind, r.name, r.item, r.status) for r in found} == {("training", "san", "step", "ok")}
    assert all(r.per_second > 0 and r.batch >= 2 for r in found)
    assert found[0].speedup is None
    assert found[1].speedup == pytest.approx(found[1].per_second / found[0].per_second)
    assert base.per_second is None


def test_what_trains_nothing_says_so() -> None:
    ((_, rows),) = training_rows(["constant"], "check", 64, "cpu", ["fp32"], 0.001)
    (row,) = rows(DeviceClock("cpu"))
    assert (row.status, row.per_second) == ("unavailable", None)
    with pytest.raises(Unavailable, match="trains nothing on images"):
        handed("pixelate")


def test_all_means_what_is_trained_on_images() -> None:
    names = {base.name for base, _ in training_rows(["all"], "check", 64, "cpu", ["fp32"], 0.001)}
    assert {"san", "privacynet", "flowsan", "gender_an"} <= names
    assert not {"pixelate", "pfrnet", "original"} & names
    with pytest.raises(UsageError, match="sann"):
        list(training_rows(["sann"], "check", 64, "cpu", ["fp32"], 0.001))
