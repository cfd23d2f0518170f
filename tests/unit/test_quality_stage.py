"""The stages `niqe_fit` and `quality` on made-up faces and weights, and the rows made of what they store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from quality_files import backbone, images, save_backbone, save_niqe
from test_niqe import natural

from bench.cells import Cell, Environment, Recent
from bench.engines.work import make_job
from bench.faces import Faces
from bench.metrics.niqe import MIN_BLOCKS
from bench.metrics.quality import ssim
from bench.metrics.uncertainty import identity_weights
from bench.quality import features, naturalness
from bench.quality.perceptual import BACKBONES, Lpips
from bench.report.tables import METRICS, QUALITY
from bench.results import OK, UNDEFINED, Row
from bench.scoring.quality import HIGHER_IS, quality_rows
from bench.scoring.rows import Population, RowMaker
from bench.stages import niqe_fit, quality
from bench.stages.faces import pack
from bench.store import Artefact, Store

SIDE, COUNT = 64, 30
PEOPLE = np.repeat(np.arange(COUNT // 2), 2)
ORIGINALS = natural(COUNT, SIDE, SIDE)
NOISY = np.clip(ORIGINALS + np.random.default_rng(0).normal(0, 30, ORIGINALS.shape), 0, 255).astype(np.uint8)
NETWORKS = {"lpips": ["a"], "niqe": ["b"]}
SETS = {"fd_squeeze": ["a"], "kd_squeeze": ["a"]}


class Bench:
    """Runs cells on images at hand, with made-up weights."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.store, self.recent = Store(folder), Recent(10**9)
        self.environment = Environment(folder, weights=weights)
        names = np.array([str(n) for n in range(COUNT)])
        self.faces = self.save("faces", pack(Faces(ORIGINALS, PEOPLE, names)))
        self.originals = self.protected("originals", ORIGINALS)

    def save(self, key: str, artefact: Artefact) -> str:
        key = key.encode().hex().ljust(64, "0")
        self.store.save(key, artefact, {})
        return key

    def protected(self, key: str, stack: NDArray[np.uint8], failed: tuple[int, ...] = ()) -> str:
        lost = np.zeros(len(stack), bool)
        lost[list(failed)] = True
        return self.save(key, Artefact({"images": stack, "failed": lost}))

    def run(self, stage: Any, params: dict[str, Any], inputs: dict[str, str]) -> Artefact:
        cell = Cell(stage.__name__.rpartition(".")[2], params, inputs)
        found: Artefact = stage.run(
            make_job(cell, self.store, self.environment, self.recent, lambda *_: None)
        )
        return found

    def fitted(self, stack: NDArray[np.uint8]) -> Artefact:
        names, people = (np.arange(len(stack)) for _ in range(2))
        faces = self.save(f"attack {stack.sum()}", pack(Faces(stack, people, names.astype(np.str_))))
        return self.run(niqe_fit, {}, {"faces": faces})

    def quality(self, protected: str, **changed: Any) -> Artefact:
        params = {"images": 20, "set_images": 160, "networks": NETWORKS, "sets": SETS}
        params |= {"resamples": 100, "seed": 0} | changed
        niqe_model = params.pop("niqe_fit", "")
        inputs = {"faces": self.faces, "images": protected, "originals": self.originals}
        return self.run(quality, params, inputs | ({"niqe_fit": niqe_model} if niqe_model else {}))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    weights = tmp_path / "weights"
    weights.mkdir()
    squeeze = save_backbone(weights / "squeeze.safetensors", backbone("lpips"))
    monkeypatch.setitem(BACKBONES, "lpips", ("squeeze", squeeze))
    monkeypatch.setattr(features, "SQUEEZENET", squeeze)
    monkeypatch.setattr(naturalness, "NIQE", save_niqe(weights / "niqe.mat"))
    return Bench(tmp_path / "store", weights)


def rows_of(found: Artefact) -> pd.DataFrame:
    draw = identity_weights(PEOPLE, 100, 0)
    template = Row("m", "v", "method", "d", "", None, flags="", seed=0, cell="c")
    made = quality_rows(RowMaker(template, COUNT // 2), found.arrays, found.facts, Population(PEOPLE, draw))
    return pd.DataFrame([vars(row) for row in made]).set_index("metric")


# -- niqe_fit ----------------------------------------------------------------------------------------


def test_the_model_is_of_the_images_it_is_given(bench: Bench) -> None:
    first = bench.fitted(natural(MIN_BLOCKS, SIDE, SIDE))
    assert first.facts["block"] == 32
    assert first.facts["images"] == MIN_BLOCKS <= first.facts["blocks"]
    assert first.arrays["covariance"].shape == (36, 36)
    other = bench.fitted(images(MIN_BLOCKS, SIDE))
    assert other.facts["checksum"] != first.facts["checksum"]


@pytest.mark.parametrize(
    ("stack", "reason"),
    [(natural(3, SIDE, SIDE), "a model needs"), (images(9, 31), "too small for NIQE")],
    ids=["few", "small"],
)
def test_where_there_can_be_no_model_the_figure_is_undefined(
    bench: Bench, stack: NDArray[np.uint8], reason: str
) -> None:
    fitted = bench.fitted(stack)
    assert reason in fitted.facts["refused"]
    found = bench.quality(bench.protected("noisy", NOISY), niqe_fit=bench.save("fit", fitted))
    row = rows_of(found).loc["niqe_fitted"]
    assert row["status"] == UNDEFINED
    assert reason in row["reason"]


# -- quality -----------------------------------------------------------------------------------------


def test_every_row_holds_its_whole_recipe_and_a_figure(bench: Bench) -> None:
    fit = bench.save("fit", bench.fitted(natural(MIN_BLOCKS, SIDE, SIDE)))
    rows = rows_of(bench.quality(bench.protected("noisy", NOISY), niqe_fit=fit))
    assert set(rows.index) == {"psnr", "ssim", "niqe_fitted", *NETWORKS, *SETS}
    assert (rows["status"] == OK).all()
    assert (rows["component_kind"] == "quality").all()
    for metric, recipe in rows["component"].items():
        assert recipe.startswith(f"{metric}:")
        assert "size=" in recipe
        assert "crop=0" in recipe
    assert rows.loc["lpips", "n"] == 20
    assert rows.loc["kd_squeeze", "n"] == COUNT
    assert "images=160" in rows.loc["kd_squeeze", "component"]
    assert f"of={MIN_BLOCKS} originals of attack" in rows.loc["niqe_fitted", "component"]
    figures = rows.drop(index="fd_squeeze")
    assert (figures["ci_low"] <= figures["value"]).all()
    assert (figures["value"] <= figures["ci_high"]).all()
    assert np.isnan(rows["ci_low"].astype(float)["fd_squeeze"])
    assert rows.loc["fd_squeeze", "reason"].startswith("no interval")


def test_originals_are_at_the_good_end(bench: Bench) -> None:
    plain = rows_of(bench.quality(bench.originals))
    assert plain.loc["fd_squeeze", "value"] == pytest.approx(0, abs=1e-6)
    assert plain.loc["kd_squeeze", "value"] == pytest.approx(0, abs=1e-9)
    assert plain.loc["lpips", "value"] == 0
    assert plain.loc["ssim", "value"] == pytest.approx(1)
    assert plain.loc["psnr", "status"] == UNDEFINED
    assert "20 of 20 images equal the original" in plain.loc["psnr", "reason"]
    damaged = rows_of(bench.quality(bench.protected("noisy", NOISY)))
    for metric in ("fd_squeeze", "kd_squeeze", "lpips"):
        assert damaged.loc[metric, "value"] > plain.loc[metric, "value"] + 1e-3


def test_the_same_images_saved_twice_are_at_nothing_too(bench: Bench) -> None:
    """Then features are computed anew, not taken from the originals."""
    rows = rows_of(bench.quality(bench.protected("again", ORIGINALS)))
    assert rows.loc["fd_squeeze", "value"] == pytest.approx(0, abs=1e-6)
    assert rows.loc["kd_squeeze", "value"] == pytest.approx(0, abs=1e-9)


def test_originals_are_looked_at_once_for_all_variants(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again where other faces failed, or the originals are others."""
    passed: list[int] = []
    maps = Lpips._maps
    monkeypatch.setattr(
        Lpips, "_maps", lambda self, image: (passed.append(int(image.sum())), maps(self, image))[1]
    )
    noisy = bench.protected("noisy", NOISY)
    first, count = bench.quality(noisy), len(passed)
    assert count == 2 * 20
    assert np.array_equal(bench.quality(noisy).arrays["value:lpips"], first.arrays["value:lpips"])
    assert len(passed) - count == 20
    bench.quality(bench.protected("other", NOISY[::-1].copy()))
    assert len(passed) - count == 2 * 20
    fewer = bench.quality(bench.protected("fewer", NOISY, failed=(0,)))
    assert len(passed) - count == 2 * 20 + 2 * 19
    assert np.array_equal(fewer.arrays["value:lpips"], first.arrays["value:lpips"][1:])


def test_failed_faces_are_left_out_and_counted(bench: Bench) -> None:
    stack = NOISY.copy()
    stack[4:7] = 0
    found = bench.quality(bench.protected("some", stack, failed=(4, 5, 6)))
    rows = rows_of(found)
    assert rows.loc["kd_squeeze", ["n", "n_failed"]].tolist() == [COUNT - 3, 3]
    looked_at = found.arrays["rows:ssim"]
    assert not {4, 5, 6} & set(looked_at.tolist())
    assert rows.loc["ssim", "n"] + rows.loc["ssim", "n_failed"] == 20
    assert rows.loc["ssim", "value"] == pytest.approx(ssim(ORIGINALS, stack)[looked_at].mean(), rel=1e-6)


def test_images_without_texture_are_counted_as_failed(bench: Bench) -> None:
    stack = NOISY.copy()
    stack[:10] = 90
    row = rows_of(bench.quality(bench.protected("flat", stack), images=COUNT)).loc["niqe"]
    assert row[["n", "n_failed"]].tolist() == [COUNT - 10, 10]
    assert row["status"] == OK
    assert row["reason"] == f"10 of {COUNT} images have no texture, so they have no niqe"
    none = rows_of(bench.quality(bench.protected("all flat", np.full_like(NOISY, 90)))).loc["niqe"]
    assert none["status"] == UNDEFINED


def test_a_method_that_lost_all_faces_but_one_has_no_distance_of_sets(bench: Bench) -> None:
    lost = bench.protected("one", NOISY, failed=tuple(range(1, COUNT)))
    rows = rows_of(bench.quality(lost, images=COUNT))
    assert rows.loc["kd_squeeze", "status"] == UNDEFINED
    assert "two faces at least, there are 1" in rows.loc["fd_squeeze", "reason"]
    assert rows.loc["ssim", "n"] == 1


def test_a_constant_face_is_far_from_all(bench: Bench) -> None:
    constant = rows_of(bench.quality(bench.protected("constant", np.repeat(ORIGINALS[:1], COUNT, axis=0))))
    assert constant.loc["fd_squeeze", "value"] > 0
    assert constant.loc["kd_squeeze", "value"] > 0


def test_every_quality_metric_is_in_the_catalogue_and_says_which_way_is_better() -> None:
    assert set(HIGHER_IS) == set(QUALITY) <= set(METRICS)
    for metric, way in HIGHER_IS.items():
        assert METRICS[metric].best.startswith("high" if way == "better" else "low")
