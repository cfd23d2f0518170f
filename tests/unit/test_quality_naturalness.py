"""NIQE and PI against pyiqa with made-up parameters, and with the real ones where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from quality_files import images, save_niqe, save_nrqm
from scipy.io import loadmat, savemat
from test_niqe import natural

from bench.errors import Unavailable
from bench.metrics.niqe import block_for, fit_niqe, niqe
from bench.quality import measures, naturalness
from bench.quality.naturalness import FittedNiqe, Niqe, PerceptualIndex, at_common_size
from bench.weights import WeightsFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsFolder:
    monkeypatch.setattr(naturalness, "NIQE", save_niqe(tmp_path / "niqe.mat"))
    monkeypatch.setattr(naturalness, "NRQM", save_nrqm(tmp_path / "nrqm.mat"))
    return WeightsFolder(tmp_path)


def tensor(stack: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255


# -- NIQE --------------------------------------------------------------------------------------------


def test_niqe_as_pyiqa_by_the_same_file(folder: WeightsFolder) -> None:
    from pyiqa.archs.niqe_arch import NIQE

    faces = np.concatenate([natural(2), images(2, 224)])  # with colours that round either way
    expected = NIQE(pretrained_model_path=str(folder.root / "niqe.mat"))(tensor(faces)).numpy()
    assert np.allclose(Niqe(folder)(faces), expected, rtol=1e-5)


@pytest.mark.skipif("BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights")
def test_niqe_as_pyiqa_with_the_released_parameters() -> None:
    from pyiqa.archs.niqe_arch import NIQE

    weights = WeightsFolder(Path(os.environ["BENCH_WEIGHTS"]))
    faces = natural(3)
    expected = NIQE(pretrained_model_path=str(weights.path(measures.NIQE)))(tensor(faces)).numpy()
    assert np.allclose(Niqe(weights)(faces), expected, rtol=1e-5)


def test_niqe_is_taken_at_one_size(folder: WeightsFolder) -> None:
    measure = Niqe(folder)
    native = images(2, 224)
    assert np.allclose(measure(native), niqe(native, measure.mean, measure.covariance), rtol=1e-3)
    for size in (64, 112, 300):
        found = measure(images(2, size))
        assert found.shape == (2,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_the_recipe_of_niqe_says_everything(folder: WeightsFolder) -> None:
    measure, pinned = Niqe(folder), naturalness.NIQE.sha256[:8]
    rest = f"luma=bt601,crop=0,block=96,parameters={pinned}"
    assert measure.recipe(224, 224) == f"niqe:size=224x224,{rest}"
    assert measure.recipe(64, 64) == f"niqe:size=224x224,from=64x64,bicubic,{rest}"
    assert measure.recipe(300, 200) == f"niqe:size=224x224,from=300x200,area,{rest}"


# -- a model fitted in the run -----------------------------------------------------------------------


def test_the_fitted_model_judges_small_images_at_their_own_size() -> None:
    faces = natural(40, 64, 64)
    block = block_for(64)
    fitted = FittedNiqe(fit_niqe(faces, block), "model=1,of=40")
    plain = fitted(faces)
    assert fitted.recipe(64, 64) == (
        "niqe_fitted:size=64x64,luma=bt601,crop=0,block=32,sharpness=0.75,model=1,of=40"
    )
    noisy = np.clip(faces + np.random.default_rng(0).normal(0, 40, faces.shape), 0, 255).astype(np.uint8)
    assert (fitted(noisy) > plain).mean() > 0.9


# -- PI ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pi_is_made_of_pyiqas_nrqm_and_niqe_without_the_border_on_matlabs_luma(folder: WeightsFolder) -> None:
    """2 PI - 10 + NRQM = NIQE of that recipe, which is not the stand-alone one."""
    from pyiqa.archs.niqe_arch import NIQE
    from pyiqa.archs.nrqm_arch import NRQM

    faces = natural(1)
    form = {"crop_border": 4, "color_space": "ycbcr"}
    nrqm = float(NRQM(**form, pretrained_model_path=str(folder.root / "nrqm.mat"))(tensor(faces)))
    pirm = float(NIQE(**form, pretrained_model_path=str(folder.root / "niqe.mat"))(tensor(faces)))
    measure = PerceptualIndex(folder)
    assert measure.niqe(faces)[0] == pytest.approx(pirm, rel=1e-5)
    rest = 2 * measure(faces)[0] - 10 + nrqm
    assert rest == pytest.approx(pirm, rel=1e-5)
    assert rest != pytest.approx(Niqe(folder)(faces)[0], rel=1e-3)
    assert nrqm != 0


def test_pi_by_its_parts(folder: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = PerceptualIndex(folder)
    faces = natural(3)
    monkeypatch.setattr(measure, "nrqm", lambda images: np.array([0.0, 5.0, 10.0]))
    assert 2 * measure(faces) == pytest.approx(measure.niqe(faces) + np.array([10, 5, 0]), rel=1e-6)
    flat = np.full((3, 64, 64, 3), 7, np.uint8)
    assert np.isnan(measure(flat)).all()


def test_the_recipe_of_pi_says_everything(folder: WeightsFolder) -> None:
    recipe = PerceptualIndex(folder).recipe(64, 64)
    for part in ("pirm2018", "size=224x224", "from=64x64", "luma=matlab", "crop=4", "block=96"):
        assert part in recipe
    assert f"nrqm={naturalness.NRQM.sha256[:8]}" in recipe
    assert f"pyiqa={naturalness.version('pyiqa')}" in recipe


@pytest.mark.parametrize("what", ["another struct", "another forest", "no linear model"])
def test_a_file_that_is_not_nrqms(what: str, folder: WeightsFolder) -> None:
    from quality_files import declare

    path = folder.root / "nrqm.mat"
    content = {"model": loadmat(path)["model"]}
    if what == "another struct":
        content = {"other": np.zeros(3)}
    elif what == "another forest":
        content["model"]["rf"][0, 0][0, 0][0, 0][6][:] = 19
    else:
        content["model"]["linear"][0, 0] = np.zeros((3, 1))
    savemat(path, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naturalness, "NRQM", declare(path))
        with pytest.raises(Unavailable, match="does not hold NRQM's model"):
            PerceptualIndex(folder)


# -- all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("measure", "pretrained"), [(Niqe, measures.NIQE), (PerceptualIndex, measures.NIQE)])
def test_a_missing_file_is_told_at_construction(measure: type, pretrained, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unavailable) as caught:
        measure(WeightsFolder(tmp_path))
    assert pretrained.file in caught.value.reason
    assert pretrained.source in caught.value.remedy


def test_images_of_the_common_size_are_left_alone() -> None:
    faces = images(2, 224)
    assert at_common_size(faces) is faces
    assert at_common_size(images(2, 64)).shape == (2, 224, 224, 3)
