"""Faces in a report: drawn ones always, photographs only when asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.collected import samples
from bench.config import load_config
from bench.engines.outcome import Outcome
from bench.reproduce import command_of
from bench.store import Artefact, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    kept = Store(tmp_path)
    images = np.arange(8 * 2 * 2 * 3, dtype=np.uint8).reshape(8, 2, 2, 3)
    kept.save("a" * 64, Artefact({"images": images}, {}), {})
    return kept


def plan(*, photographs: bool, **given: Any) -> Any:
    subject = SimpleNamespace(name="blur", protect="planned", label_source="truth", seed=0)
    dataset = SimpleNamespace(photographs=photographs)
    return SimpleNamespace(dataset=dataset, config=load_config(None, given), subjects=[subject])


@pytest.mark.parametrize(
    ("photographs", "asked", "shown"),
    [(False, False, True), (True, False, False), (True, True, True)],
)
def test_photographs_are_shown_on_request_alone(
    store: Store, photographs: bool, asked: bool, shown: bool
) -> None:
    found = samples(
        plan(photographs=photographs, show_faces=asked), Outcome(done={"planned": "a" * 64}), store
    )
    assert (found is not None) == shown
    if found is not None:
        assert found["blur"].shape == (6, 2, 2, 3)


def test_the_command_of_a_report_never_asks_for_faces() -> None:
    asked = command_of(load_config(None, {"show_faces": True}), {}, weights=False)
    assert asked == command_of(load_config(None, {}), {}, weights=False)
