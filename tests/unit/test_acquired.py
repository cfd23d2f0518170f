"""A photograph without a face is counted everywhere and scored nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.cells import Cell, Environment, Job, Recent
from bench.discover import load_class
from bench.engines.work import make_job
from bench.faces import Faces
from bench.stages import embed
from bench.stages.faces import acquired_faces_of, pack
from bench.store import Store

LOST = [2, 7]


def faces(count: int = 10) -> Faces:
    rng = np.random.default_rng(0)
    landmarks = np.tile(
        np.array([(20, 24), (44, 24), (32, 36), (22, 46), (42, 46)], np.float32), (count, 1, 1)
    )
    landmarks[LOST] = np.nan
    return Faces(
        rng.integers(0, 256, (count, 64, 64, 3), np.uint8),
        np.arange(count) // 2,
        np.array([f"{i}" for i in range(count)]),
        landmarks=landmarks,
    )


def job(tmp_path: Path, stage: str, params: dict[str, object]) -> Job:
    store = Store(tmp_path)
    store.save("a" * 64, pack(faces()), {})
    cell = Cell(stage, params, {"faces": "a" * 64})
    return make_job(cell, store, Environment(tmp_path), Recent(10**8), lambda *_: None)


def test_which_faces_were_found() -> None:
    found = faces()
    assert list(np.flatnonzero(~found.acquired)) == LOST
    assert Faces(found.images, found.identities, found.keys).acquired.all(), "aligned by the publisher"


@pytest.mark.parametrize("method", ["original", "blur", "grey"])
def test_protecting_fails_for_a_face_that_was_not_found(method: str) -> None:
    chosen = load_class("method", method)()
    result = chosen.protect(faces(), chosen.variants()[0])
    assert list(np.flatnonzero(result.failed)) == LOST
    assert not result.images[LOST].any(), "black, never the original"
    assert result.images[0].any()


def test_embedding_gives_no_vector(tmp_path: Path) -> None:
    class Mean(load_class("matcher", "se_resnet")):  # type: ignore[misc]
        """Embeds by the mean colour of each quarter."""

        def _embed(self, some: Faces, ctx: object) -> np.ndarray:
            return (
                some.images.reshape(len(some), 2, 32, 2, 32, 3)
                .mean((2, 4))
                .reshape(len(some), -1)
                .astype("f4")
            )

    here = job(tmp_path, "embed", {"matcher": "se_resnet", "settings": {}})
    here.recent.get(("matcher", embed.digest(here.params)), lambda: (Mean(), 1))
    found = embed.run(here)
    assert list(np.flatnonzero(np.isnan(found.arrays["vectors"]).all(axis=1))) == LOST
    assert found.facts == {"images": 10, "lost": 2}


def test_nothing_is_learned_from_it(tmp_path: Path) -> None:
    here = job(tmp_path, "matcher_fit", {})
    assert list(acquired_faces_of(here, "faces").keys) == [
        k for i, k in enumerate(faces().keys) if i not in LOST
    ]
    assert here.artefact("faces").facts["lost"] == 2
