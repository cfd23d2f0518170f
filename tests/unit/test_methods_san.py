"""SAN: the authors' parameter names, the folded arithmetic, the three outputs, training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, TinyAuxiliaries, tiny_faces

from bench import shipped
from bench.api import Context, ContractError, InputError, Unavailable, UsageError, load_module, to_tensor
from bench.faces import GENDER, YOUNG
from bench.weights import WeightsFolder
from methods._blocks.images import luma
from methods._blocks.opponents import Opponents
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.san_family import Prototypes, Stage, new_network
from methods._blocks.san_training import SanTask
from methods._blocks.training import Batch
from methods.san import AUTHORS, San

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


def new_task(settings: dict[str, Any], **more: Any) -> SanTask:
    """An untrained network before tiny opponents; its prototypes are those of tiny faces at 32 px."""
    opponents = Opponents(TinyAuxiliaries(), confidence=settings["confidence"], viewed=settings["viewed"])
    prototypes = Prototypes.of(tiny_faces(12), 32).tensor("cpu")
    return SanTask(new_network(settings, 0), prototypes, opponents, settings, **more)


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


def test_prototypes_are_the_means_and_the_share() -> None:
    faces = tiny_faces(9, 16)
    faces.labels["gender"][0] = np.nan
    found = Prototypes.of(faces, 16)
    men = faces.labels["gender"] == 1
    assert found.male_share == pytest.approx(men.sum() / 8)
    assert np.abs(found.means[1] - faces.images[men].mean(0)).max() <= 0.51
    assert Prototypes.of(faces, 8).means.shape == (2, 8, 8, 3)
    both = found.tensor("cpu")
    expected = found.male_share * both[1] + (1 - found.male_share) * both[0]
    assert torch.allclose(found.neutral("cpu", 16)[0], expected)


def test_one_gender_is_not_enough() -> None:
    faces = tiny_faces(6, 16)
    faces.labels["gender"][:] = 1
    with pytest.raises(InputError, match="gender 0 is missing"):
        Prototypes.of(faces, 16)


def test_outputs_are_grey_and_differ_by_prototype(fitted: San) -> None:
    faces = tiny_faces(8, first_identity=300)
    images = {v.name: fitted.protect(faces, v).images for v in fitted.variants()}
    for drawn in images.values():
        assert np.array_equal(drawn[..., 0], drawn[..., 1])
    assert not np.array_equal(images["op"], images["sm"])
    prototypes = to_tensor(fitted.state()["prototypes"])
    network, grey = fitted._stage.network, luma(to_tensor(faces.images))
    gender = torch.from_numpy(faces.labels["gender"]).long()
    after = network.combine(network.features(grey, prototypes[gender]), prototypes[1 - gender], grey)
    expected = (grey + fitted._stage.strength * (after - grey)).clamp(0, 1)[:, 0] * 255
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
    task = new_task(settings)
    images, gender = to_tensor(faces.images), torch.from_numpy(faces.labels["gender"]).long()
    generator = torch.Generator().manual_seed(0)
    before = task.losses(images, gender, 0, generator)
    for step in range(15):
        task.step(step, Batch(images, {"gender": gender}, generator))
    after = task.losses(images, gender, 15, generator)
    assert after["gender"] < before["gender"]
    assert torch.isfinite(after["match"])


def test_faces_of_unknown_gender_are_left_out_of_a_step() -> None:
    faces = tiny_faces(6)
    settings = San.resolve("quick", TINY)
    task = new_task(settings)
    batch = Batch(to_tensor(faces.images), {"gender": torch.full((6,), -1)}, torch.Generator())
    before = {k: v.clone() for k, v in task.network.state_dict().items()}
    assert task.step(0, batch) == {}
    assert all(torch.equal(v, task.network.state_dict()[k]) for k, v in before.items())


def test_public_code_preset_is_the_codes() -> None:
    settings = San((GENDER,), preset="san_public_code").settings
    assert (settings["pixel_loss"], settings["matching_on"], settings["lambda_match"]) == ("l1", "mean", 8.0)
    assert settings["steps"] * settings["batch"] == 20 * 157_350


def test_prototypes_follow_the_size(fitted: San) -> None:
    faces = tiny_faces(4, size=48, first_identity=300)
    assert fitted.protect(faces, fitted.variant("nt")).images.shape == (4, 48, 48, 3)


# -- what stages of a series ask of a step -----------------------------------------------------------


def test_the_pixel_loss_compares_with_what_it_is_told() -> None:
    faces = tiny_faces(12)
    settings = San.resolve("quick", {**TINY, "viewed": False, "pixel_loss": "l1"})
    images, gender = to_tensor(faces.images), torch.from_numpy(faces.labels["gender"]).long()
    before = [Stage(new_network({**settings, "residual": False}, 5))]
    found = {}
    for reference in ("original", "stage", "none"):
        task = new_task(settings, before=before, pixel_reference=reference)
        found[reference] = task.losses(images, gender, 0, torch.Generator())
    assert "pixel" not in found["none"]
    # The network starts as its input, which the untrained stage before it has spoilt.
    assert found["stage"]["pixel"] < 0.01
    assert found["original"]["pixel"] > 0.05
    assert all(f["match"] == found["none"]["match"] for f in found.values())


def test_the_matching_loss_stays_with_the_originals() -> None:
    faces = tiny_faces(12)
    settings = San.resolve("quick", TINY)
    before = [Stage(new_network({**settings, "residual": False}, 5))]
    task = new_task(settings, before=before)
    seen: list[torch.Tensor] = []
    embedding = task.opponents.embedding

    def watched(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.detach().clone())
        return embedding(images)

    task.opponents.embedding = watched  # type: ignore[method-assign]
    images, gender = to_tensor(faces.images), torch.from_numpy(faces.labels["gender"]).long()
    task.losses(images, gender, 0, torch.Generator())
    assert any(torch.equal(s, images) for s in seen)


def test_stages_before_are_frozen() -> None:
    faces = tiny_faces(12)
    settings = San.resolve("quick", TINY)
    stage = Stage(new_network(settings, 5))
    weights = {k: v.clone() for k, v in stage.network.state_dict().items()}
    task = new_task(settings, before=[stage])
    gender = torch.from_numpy(faces.labels["gender"]).long()
    task.step(0, Batch(to_tensor(faces.images), {"gender": gender}, torch.Generator()))
    assert all(p.grad is None for p in stage.network.parameters())
    assert all(torch.equal(v, stage.network.state_dict()[k]) for k, v in weights.items())


@pytest.mark.parametrize("option", ["pixel_loss", "matching_on", "pixel_reference"])
def test_unknown_choices_are_refused(option: str) -> None:
    settings = San.resolve("quick", TINY)
    more = {option: "typo"} if option == "pixel_reference" else {}
    with pytest.raises(UsageError, match=option):
        new_task(settings if more else {**settings, option: "typo"}, **more)


# -- weights that others trained, or that ship -------------------------------------------------------


def test_shipped_weights_fit_the_quick_preset() -> None:
    card = next(c for c in shipped.cards() if c["method"] == "san" and c["dataset"] == "synthetic")
    method = San(EMBEDDED, preset="quick")
    found = shipped.matching("san", "", method.settings, card["dataset_fingerprint"], card["size"])
    assert found == card["sha256"]
    method.restore(shipped.load(found))
    faces = tiny_faces(6, size=64, first_identity=300)
    images = method.protect(faces, method.variant("op")).images.astype(int)
    grey = luma(to_tensor(faces.images))[:, 0].numpy() * 255
    assert np.array_equal(images[..., 0], images[..., 2])
    assert 1 < np.abs(images[..., 0] - grey).mean() < 40


def test_the_authors_network_is_the_papers() -> None:
    settings = San(EMBEDDED, preset="authors").settings
    assert sum(p.numel() for p in new_network(settings, 0).parameters()) == 324_248
    assert {**settings, "weights": ""} == San(EMBEDDED).settings


def test_the_authors_weights_need_no_training() -> None:
    folder = os.environ.get("BENCH_WEIGHTS")
    if not folder or not (Path(folder) / f"{AUTHORS}.safetensors").is_file():
        pytest.skip(f"{AUTHORS}.safetensors is not in BENCH_WEIGHTS")
    from safetensors.numpy import load_file

    method = San(EMBEDDED, preset="authors")
    assert not method.needs_auxiliaries
    assert San(EMBEDDED, preset="quick").needs_auxiliaries
    context = Context(weights=WeightsFolder(Path(folder)))
    method.fit(tiny_faces(), tiny_faces(first_identity=100), None, context)
    again = San(EMBEDDED, preset="authors")
    again.restore(method.state())
    stored = load_file(Path(folder) / f"{AUTHORS}.safetensors")
    assert all(np.array_equal(v, again.state()[f"network/{k}"]) for k, v in stored.items())
    faces = tiny_faces(2, first_identity=300)
    assert again.protect(faces, again.variant("op")).images.shape == faces.images.shape


def test_the_authors_weights_must_be_at_hand() -> None:
    pools = tiny_faces(), tiny_faces(first_identity=100)
    with pytest.raises(Unavailable, match=f"{AUTHORS}.*not at hand"):
        San(EMBEDDED, preset="authors").fit(*pools, None, Context())
    with pytest.raises(UsageError, match="san_autoencoder_e2"):
        San(EMBEDDED, weights="san_autoencoder_e2").fit(*pools, None, Context())
