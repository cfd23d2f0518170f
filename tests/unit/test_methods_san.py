"""SAN: the authors' parameter names, the folded arithmetic, the three outputs, training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, TinyAuxiliaries, tiny_faces

from bench.api import Context, ContractError, InputError, load_module, to_tensor
from bench.faces import GENDER, YOUNG
from methods._blocks.images import luma
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.san_training import SanTask
from methods.san import San, mean_faces

AUTHORS_FILE = {
    "autoencoder.0.weight": (8, 4, 3, 3),
    "autoencoder.0.bias": (8,),
    "autoencoder.3.weight": (12, 8, 3, 3),
    "autoencoder.3.bias": (12,),
    "autoencoder.6.weight": (256, 12, 3, 3),
    "autoencoder.6.bias": (256,),
    "autoencoder.9.weight": (128, 256, 3, 3),
    "autoencoder.9.bias": (128,),
    "protocombiner.0.weight": (1, 131, 1, 1),
    "protocombiner.0.bias": (1,),
}
TINY: dict[str, Any] = {
    "size": 0,
    "keep_detail": False,
    "widths": [4, 4, 8, 8],
    "steps": 6,
    "batch": 6,
}


@pytest.fixture(scope="module")
def fitted() -> San:
    method = San(EMBEDDED, preset="quick", **TINY)
    method.fit(tiny_faces(), tiny_faces(first_identity=100), TinyAuxiliaries(), Context())
    return method


def test_parameters_are_named_as_in_the_authors_file() -> None:
    names = {k: tuple(v.shape) for k, v in SanAutoencoder().state_dict().items()}
    assert names == AUTHORS_FILE


def test_the_authors_file_loads() -> None:
    folder = os.environ.get("BENCH_WEIGHTS")
    path = Path(folder or ".") / "san_autoencoder_e20.safetensors"
    if not path.is_file():
        pytest.skip("san_autoencoder_e20.safetensors is not in BENCH_WEIGHTS")
    from safetensors.numpy import load_file

    network = SanAutoencoder()
    load_module(network, load_file(path))
    grey = torch.rand(1, 1, 224, 224, generator=torch.Generator().manual_seed(0))
    prototype = grey.expand(1, 3, -1, -1)
    drawn = network.combine(network.features(grey, prototype), prototype, grey)
    # A trained autoencoder gives back much of even an unusual image; an untrained one does not.
    assert torch.corrcoef(torch.stack([drawn.flatten(), grey.flatten()]))[0, 1] > 0.3


@pytest.mark.parametrize("residual", [False, True])
def test_folded_arithmetic_is_the_printed_network(residual: bool) -> None:
    torch.manual_seed(0)
    network = SanAutoencoder((4, 5, 7, 6), residual=residual).double()
    grey, same, other = (torch.rand(2, c, 16, 12, dtype=torch.float64) for c in (1, 3, 3))
    maps = network.autoencoder(torch.cat([grey, same], 1))
    logits = network.protocombiner[0](torch.cat([maps, other], 1))
    expected = torch.sigmoid(logits + torch.logit(grey, eps=1e-2)) if residual else torch.sigmoid(logits)
    found = network.combine(network.features(grey, same), other, grey)
    assert torch.allclose(found, expected, atol=1e-12)


def test_residual_network_starts_as_the_input() -> None:
    grey = torch.linspace(0.02, 0.98, 64).view(1, 1, 8, 8)
    prototype = torch.full((1, 3, 8, 8), 0.5)
    network = SanAutoencoder((4, 4, 8, 8), residual=True)
    drawn = network.combine(network.features(grey, prototype), prototype, grey)
    assert torch.allclose(drawn, grey, atol=0.01)


def test_variants() -> None:
    assert [(v.name, v.obfuscates) for v in San(EMBEDDED).variants()] == [
        ("op", ("gender",)),
        ("sm", ()),
        ("nt", ()),
    ]
    assert San((YOUNG,)).variants() == ()


def test_mean_faces_are_the_means_and_the_share() -> None:
    faces = tiny_faces(9, 16)
    faces.labels["gender"][0] = np.nan
    means, share = mean_faces(faces, 16)
    men = faces.labels["gender"] == 1
    assert share == pytest.approx(men.sum() / 8)
    assert np.abs(means[1] - faces.images[men].mean(0)).max() <= 0.51
    assert mean_faces(faces, 8)[0].shape == (2, 8, 8, 3)


def test_one_gender_is_not_enough() -> None:
    faces = tiny_faces(6, 16)
    faces.labels["gender"][:] = 1
    with pytest.raises(InputError, match="gender 0 is missing"):
        mean_faces(faces, 16)


def test_outputs_are_grey_and_differ_by_prototype(fitted: San) -> None:
    faces = tiny_faces(8, first_identity=300)
    images = {v.name: fitted.protect(faces, v).images for v in fitted.variants()}
    for drawn in images.values():
        assert np.array_equal(drawn[..., 0], drawn[..., 1])
    assert not np.array_equal(images["op"], images["sm"])
    prototypes = to_tensor(fitted.state()["prototypes"])
    network, grey = fitted._network, luma(to_tensor(faces.images))
    gender = torch.from_numpy(faces.labels["gender"]).long()
    drawn = network.combine(network.features(grey, prototypes[gender]), prototypes[1 - gender], grey)
    expected = (grey + fitted._strength * (drawn - grey)).clamp(0, 1)[:, 0] * 255
    assert np.abs(images["op"][..., 0] - expected.detach().numpy()).max() <= 0.51


def test_fitted_method_restores_to_the_same_output(fitted: San) -> None:
    again = San(EMBEDDED, preset="quick", **TINY)
    again.restore(fitted.state())
    faces = tiny_faces(8, first_identity=300)
    for variant in fitted.variants():
        assert np.array_equal(again.protect(faces, variant).images, fitted.protect(faces, variant).images)
    with pytest.raises(ContractError, match="do not fit the network"):
        San(EMBEDDED, preset="quick").restore(fitted.state())


def test_batch_size_does_not_matter(fitted: San) -> None:
    faces = tiny_faces(9, first_identity=300)
    one = fitted.protect(faces, fitted.variant("op"), batch=9).images.astype(int)
    assert np.abs(fitted.protect(faces, fitted.variant("op"), batch=4).images - one).max() <= 1


def test_unknown_gender_fails_and_shows_nothing(fitted: San) -> None:
    faces = tiny_faces(4, first_identity=300)
    faces.labels["gender"][2] = np.nan
    found = fitted.protect(faces, fitted.variant("op"))
    assert found.failed.tolist() == [False, False, True, False]
    assert not found.images[2].any()


def test_figures_tell_the_choice(fitted: San) -> None:
    method = San(EMBEDDED, preset="quick", **TINY)
    auxiliaries = TinyAuxiliaries()
    figures = method.fit(tiny_faces(), tiny_faces(first_identity=100), auxiliaries, Context())
    # Two snapshots at strength 1, then the better of them at the other strengths.
    judged = figures["candidates"]
    assert len(judged) == len(auxiliaries.judged) == 2 + len(method.settings["strengths"]) - 1
    best = max((c for c in judged if c["snapshot"] == judged[-1]["snapshot"]), key=lambda c: c["score"])
    assert figures["strength"] == best["strength"]
    assert figures["trained_against"] == ["tiny matcher", "tiny classifier"]
    assert {"pixel", "gender", "match", "kept"} == set(figures["curves"])
    assert all(np.array_equal(v, fitted.state()[k]) for k, v in method.state().items())


@pytest.mark.parametrize("matching_on", ["op", "sm", "mean"])
@pytest.mark.parametrize("pixel_loss", ["bce", "l1"])
def test_a_few_steps_lower_the_losses(matching_on: str, pixel_loss: str) -> None:
    settings = San.resolve(
        "quick", {**TINY, "matching_on": matching_on, "pixel_loss": pixel_loss, "viewed": False, "rate": 1e-2}
    )
    faces = tiny_faces(12)
    network = San(EMBEDDED, preset="quick", **TINY)._new_network(0)
    task = SanTask(network, to_tensor(mean_faces(faces, 32)[0]), TinyAuxiliaries(), settings)
    images, gender = to_tensor(faces.images), torch.from_numpy(faces.labels["gender"]).long()
    generator = torch.Generator().manual_seed(0)
    before = task.losses(images, gender, 0, generator)
    from methods._blocks.training import Batch

    for step in range(15):
        task.step(step, Batch(images, {"gender": gender}, generator))
    after = task.losses(images, gender, 15, generator)
    assert after["gender"] < before["gender"]
    assert torch.isfinite(after["match"])


def test_faces_of_unknown_gender_are_left_out_of_a_step() -> None:
    faces = tiny_faces(6)
    settings = San.resolve("quick", TINY)
    network = San(EMBEDDED, preset="quick", **TINY)._new_network(0)
    task = SanTask(network, to_tensor(mean_faces(faces, 32)[0]), TinyAuxiliaries(), settings)
    from methods._blocks.training import Batch

    batch = Batch(to_tensor(faces.images), {"gender": torch.full((6,), -1)}, torch.Generator())
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert task.step(0, batch) == {}
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())


def test_public_code_preset_is_the_codes() -> None:
    settings = San((GENDER,), preset="san_public_code").settings
    assert (settings["pixel_loss"], settings["matching_on"], settings["lambda_match"]) == ("l1", "mean", 8.0)
    assert settings["steps"] * settings["batch"] == 20 * 157_350


def test_prototypes_follow_the_size(fitted: San) -> None:
    faces = tiny_faces(4, size=48, first_identity=300)
    assert fitted.protect(faces, fitted.variant("nt")).images.shape == (4, 48, 48, 3)
