"""Real photographs, where BENCH_DATA and BENCH_WEIGHTS name the folders that have them: a few of each set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.api import POOLS, TEST
from bench.data_check import check
from bench.datasets.att import ATT
from bench.datasets.lfw import LFW
from bench.geometry import CELEBA_LANDMARKS
from bench.weights import WeightsFolder

DATA = os.environ.get("BENCH_DATA", "")
LFW_PACK, ATT_PACK = Path(DATA) / "lfw_view2", Path(DATA) / "att_faces"
NOT_THERE = "real {0} is not at hand: set BENCH_DATA to the folder with {0}"

needs_lfw = pytest.mark.skipif(
    not (DATA and LFW_PACK.is_dir()),
    reason=NOT_THERE.format("lfw_view2"),
)
needs_att = pytest.mark.skipif(
    not (DATA and ATT_PACK.is_dir()),
    reason=NOT_THERE.format("att_faces"),
)
needs_detector = pytest.mark.skipif(
    not os.environ.get("BENCH_WEIGHTS"), reason="the face detector is not at hand: set BENCH_WEIGHTS"
)


@needs_lfw
def test_lfw_view2_is_all_there() -> None:
    dataset = LFW([LFW_PACK], pools="view2")
    pairs = dataset.pairs()
    assert (len(pairs.left), int(pairs.mated.sum()), len(np.unique(pairs.fold))) == (6000, 3000, 10)
    assert len(dataset.photos) == 7701
    assert len({photo.identity for photo in dataset.photos}) == 4281
    rows = pairs.rows([photo.key for photo in dataset.photos])
    people = np.array([photo.identity for photo in dataset.photos])
    assert np.array_equal(people[rows[:, 0]] == people[rows[:, 1]], pairs.mated)
    genders = [photo.labels.get("gender") for photo in dataset.photos]
    # Two photos stand in both lists of genders, four in neither.
    assert (genders.count(1.0), genders.count(0.0), genders.count(None)) == (5763, 1932, 6)


@needs_lfw
def test_lfw_people_are_dealt_out_whole() -> None:
    dataset = LFW([LFW_PACK])
    people = [{photo.identity for photo in dataset._pool(pool)} for pool in POOLS]
    assert sum(map(len, people)) == len(set.union(*people)) == 4281


@needs_lfw
@needs_detector
def test_lfw_faces_lie_where_celebas_do() -> None:
    dataset = LFW([LFW_PACK], weights=WeightsFolder.find(), limit=40)
    faces = dataset.load(TEST)
    assert faces.acquired.all()
    assert faces.landmarks is not None
    expected = (np.array(CELEBA_LANDMARKS) - (0, 20) + 0.5) * 112 / 178 - 0.5
    assert np.abs(faces.landmarks.mean(axis=0) - expected).max() < 2


@needs_att
@needs_detector
def test_att_faces_are_found() -> None:
    dataset = ATT([ATT_PACK], weights=WeightsFolder.find(), limit=30)
    faces = dataset.load(TEST)
    assert len(np.unique(faces.identities)) == 3
    assert faces.acquired.mean() > 0.9
    assert faces.labels == {}


@needs_att
def test_att_is_sound() -> None:
    found = check(ATT([ATT_PACK]))
    assert found.is_sound
    assert found.survey is not None
    assert (found.survey.photos, found.survey.people) == (400, 40)
