"""Auxiliaries: training, storage, what methods get, and judges that know the two ends of the scale."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, tiny_faces

from bench import auxiliaries
from bench.api import (
    BenchError,
    Context,
    ContractError,
    Faces,
    InputError,
    Protected,
    State,
    Unavailable,
    Variant,
    to_tensor,
)
from bench.auxiliary_networks import RESAMPLED
from bench.geometry import SPHEREFACE_96X112, align
from bench.metrics import verification
from bench.weights import WeightsFolder

GENDER_AND_RACE = tuple(a for a in EMBEDDED if a.name in ("gender", "race", "age"))
HIDES_GENDER = Variant("op", ("gender",))


def pool(first: int, n: int) -> Faces:
    return tiny_faces(n, first_identity=first, attributes=GENDER_AND_RACE)


DEVELOP, VALIDATION = pool(0, 48), pool(1000, 48)


STEPS = {**dict.fromkeys(auxiliaries.NETWORKS, 25), "judge_classifier": 70}


@pytest.fixture(scope="module")
def trained() -> tuple[dict[str, State], dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auxiliaries, "_STEPS", STEPS)
        patch.setattr(auxiliaries, "_BATCH", 24)
        found = {
            n: auxiliaries.train_network(n, DEVELOP, VALIDATION, Context()) for n in auxiliaries.NETWORKS
        }
    return {n: s for n, (s, _) in found.items()}, {n: f for n, (_, f) in found.items()}


@pytest.fixture(scope="module")
def ready(trained: tuple[dict[str, State], dict[str, Any]]) -> auxiliaries.TrainedAuxiliaries:
    return auxiliaries.assemble(trained[0], VALIDATION, EMBEDDED[:2], Context())


def test_networks_learn_and_say_how_well(trained: tuple[dict[str, State], dict[str, Any]]) -> None:
    figures = trained[1]
    for name in auxiliaries.NETWORKS:
        assert set(figures[name]["balanced_accuracy"]) == {"gender", "race"}
        assert figures[name]["steps"] == STEPS[name]
    assert figures["classifier_plain"]["balanced_accuracy"]["gender"] > 0.8
    assert 0 <= figures["matcher"]["tmr_at_fmr_1"] <= 1


def test_same_seed_gives_the_same_weights_and_another_network_others(
    trained: tuple[dict[str, State], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auxiliaries, "_STEPS", {"classifier_plain": 25})
    monkeypatch.setattr(auxiliaries, "_BATCH", 24)
    again, _ = auxiliaries.train_network("classifier_plain", DEVELOP, VALIDATION, Context())
    assert all(np.array_equal(v, trained[0]["classifier_plain"][k]) for k, v in again.items())


def test_methods_get_frozen_differentiable_networks(ready: auxiliaries.TrainedAuxiliaries) -> None:
    images = to_tensor(VALIDATION.images[:3]).requires_grad_(True)
    vectors = ready.matcher(images)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    total = vectors[:, 0].sum()
    assert len(ready.classifiers) == 3
    for classify in ready.classifiers:
        logits = classify(images)
        assert {k: tuple(v.shape) for k, v in logits.items()} == {"gender": (3, 2), "race": (3, 3)}
        total = total + logits["gender"][:, 0].sum()
    total.backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert ready.matcher(to_tensor(VALIDATION.images[:2].repeat(2, 1).repeat(2, 2))).shape == (2, 128)


def test_what_is_trained_against_is_named_and_no_judge_is_among_it(
    ready: auxiliaries.TrainedAuxiliaries,
) -> None:
    assert ready.names == ("matcher", "classifier_plain", "classifier_strided", "probe_matcher")


def as_protected(change: Callable[[Faces], np.ndarray]) -> Callable[[Faces], Protected]:
    return lambda faces: Protected(change(faces), np.zeros(len(faces), bool))


def test_judges_know_both_ends(ready: auxiliaries.TrainedAuxiliaries) -> None:
    original = ready.judge(as_protected(lambda f: f.images), HIDES_GENDER)
    constant = ready.judge(as_protected(lambda f: np.broadcast_to(f.images[0], f.images.shape)), HIDES_GENDER)
    assert set(original.leak) == set(original.reduction) == {"svm", "neighbours", "cnn"}
    assert all(v == 0 for v in original.reduction.values())
    assert min(original.leak.values()) > 0.5, original
    assert original.matching == pytest.approx(1, abs=0.1)
    assert original.kept_drop == 0
    assert all(v == pytest.approx(0, abs=1e-9) for v in constant.leak.values())
    assert all(v == pytest.approx(1) for v in constant.reduction.values())
    assert constant.matching < 0.1
    assert constant.kept_drop > 0.1


def test_a_flip_is_over_flipped_and_still_leaks(ready: auxiliaries.TrainedAuxiliaries) -> None:
    def swap(faces: Faces) -> np.ndarray:
        rows = [np.flatnonzero(faces.labels["gender"] == g) for g in (1, 0)]
        return faces.images[
            [rows[int(g)][i % len(rows[int(g)])] for i, g in enumerate(faces.labels["gender"])]
        ]

    flipped = ready.judge(as_protected(swap), HIDES_GENDER)
    assert flipped.reduction["cnn"] > 1.5
    assert flipped.leak["cnn"] > 0.8


def test_lost_faces_count_against_matching(ready: auxiliaries.TrainedAuxiliaries) -> None:
    def half(faces: Faces) -> Protected:
        return Protected(faces.images, np.arange(len(faces)) // 2 % 2 == 0)

    judges = ready._judges
    acquired = judges._originals.copy()
    acquired[half(VALIDATION).failed] = np.nan
    pairs = verification.pairs_between(judges._originals, acquired, VALIDATION.identities)
    tmr = verification.compare(pairs).at_fmr(0.01).tmr
    assert tmr > 0
    assert ready.judge(half, HIDES_GENDER).matching == pytest.approx(0.5 * tmr / judges._own_matching)
    with pytest.raises(BenchError, match="protected none of 48"):
        ready.judge(lambda f: Protected(f.images, np.ones(len(f), bool)), HIDES_GENDER)


def test_nothing_hidden_is_nothing_judged(ready: auxiliaries.TrainedAuxiliaries) -> None:
    verdict = ready.judge(as_protected(lambda f: f.images), Variant("sm", ()))
    assert verdict.leak == {}


def test_assembling_without_a_network_names_it(trained: tuple[dict[str, State], dict[str, Any]]) -> None:
    states: Mapping[str, State] = {k: v for k, v in trained[0].items() if k != "classifier_strided"}
    with pytest.raises(InputError, match="auxiliaries lack classifier_strided"):
        auxiliaries.assemble(states, VALIDATION, GENDER_AND_RACE, Context())


def test_unknown_labels_are_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auxiliaries, "_STEPS", {"classifier_plain": 2})
    develop, validation = pool(0, 24), pool(1000, 24)
    develop.labels["race"][:] = np.nan
    validation.labels["gender"][::2] = np.nan
    _, figures = auxiliaries.train_network("classifier_plain", develop, validation, Context())
    assert np.isfinite(figures["final_loss"])


# -- the pretrained matcher ----------------------------------------------------------------------------


def photographs(n: int, size: int = 64) -> Faces:
    faces = tiny_faces(n, size, attributes=GENDER_AND_RACE)
    frame = np.array(SPHEREFACE_96X112.landmarks, np.float32) * (size / 128) + 4
    return replace(faces, landmarks=np.broadcast_to(frame, (n, 5, 2)).copy())


def weights_or_skip() -> WeightsFolder:
    folder = os.environ.get("BENCH_WEIGHTS")
    if not folder or not (Path(folder) / "mobilefacenet_casia_112x96.safetensors").is_file():
        pytest.skip("mobilefacenet_casia_112x96.safetensors is not in BENCH_WEIGHTS")
    return WeightsFolder(Path(folder))


def test_pretrained_matcher_equals_its_onnx_twin() -> None:
    from bench.pretrained_mobilefacenet import load_casia

    weights = weights_or_skip()
    onnx = weights.root / "mobilefacenet_casia_112x96.onnx"
    if not onnx.is_file():
        pytest.skip("mobilefacenet_casia_112x96.onnx is not in BENCH_WEIGHTS")
    import onnxruntime

    crops = torch.rand(3, 3, 112, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    session = onnxruntime.InferenceSession(str(onnx))
    expected = session.run(None, {"input": crops.numpy()})[0]
    assert np.abs(load_casia(weights)(crops).numpy() - expected).max() < 1e-5


def test_differentiable_crop_is_the_harness_alignment() -> None:
    from bench.pretrained_mobilefacenet import CasiaMatcher, MobileFaceNet, crop_matrix

    faces = photographs(4)
    # Smooth images, so that the two interpolations agree.
    smooth = np.stack(
        [np.full((64, 64, 3), 40 * i, np.uint8) + np.arange(64, dtype=np.uint8)[:, None] for i in range(4)]
    )
    faces = replace(faces, images=smooth)
    assert faces.landmarks is not None
    matcher = CasiaMatcher(MobileFaceNet())
    matcher.matrix = crop_matrix(faces.landmarks[:1], 64)
    found = matcher.crop(to_tensor(faces.images))
    expected = to_tensor(align(faces, SPHEREFACE_96X112))
    assert (found - expected).abs().max() < 1.5 / 255


def test_pretrained_matcher_is_trained_against_where_it_is_at_hand(
    trained: tuple[dict[str, State], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(weights=weights_or_skip())
    monkeypatch.setattr(auxiliaries, "_STEPS", {auxiliaries.CASIA: 2})
    state, figures = auxiliaries.train_network(auxiliaries.CASIA, photographs(12), photographs(48), context)
    assert figures["pretrained"] == "mobilefacenet_casia_112x96"
    assert not any("network" in k for k in state)
    states = {k: v for k, v in trained[0].items() if k != "matcher"} | {auxiliaries.CASIA: state}
    found = auxiliaries.assemble(states, photographs(48), GENDER_AND_RACE, context)
    assert found.names[0] == auxiliaries.CASIA
    images = to_tensor(photographs(2).images).requires_grad_(True)
    found.matcher(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_pretrained_matcher_says_what_it_needs() -> None:
    with pytest.raises(InputError, match="needs faces with landmarks"):
        auxiliaries.train_network(auxiliaries.CASIA, DEVELOP, VALIDATION, Context())
    with pytest.raises(Unavailable, match="BENCH_WEIGHTS"):
        auxiliaries.train_network(auxiliaries.CASIA, photographs(4), VALIDATION, Context())


def test_kept_auxiliaries_answer_as_the_trained_ones(ready: auxiliaries.TrainedAuxiliaries) -> None:
    state = ready.keep()
    kept = auxiliaries.revive({**state, "network/other": np.zeros(3, np.float32)}, EMBEDDED[:2])
    images = to_tensor(VALIDATION.images[:4])
    # Half precision in between.
    assert (kept.matcher(images) - ready.matcher(images)).abs().max() < 5e-3
    for one, other in zip(kept.classifiers, ready.classifiers, strict=True):
        for name, logits in one(images).items():
            assert (logits - other(images)[name]).abs().max() < 5e-2
    with pytest.raises(ContractError, match="holds no auxiliaries"):
        auxiliaries.revive({"network/other": np.zeros(3, np.float32)}, EMBEDDED[:2])


def test_matchers_tell_their_maps_and_where_they_lie(ready: auxiliaries.TrainedAuxiliaries) -> None:
    images = to_tensor(VALIDATION.images[:2])
    maps = ready.matcher.maps(images)
    assert torch.equal(ready.matcher.embed_maps(maps), ready.matcher(images))
    heat = torch.zeros(1, 1, 4, 4)
    heat[0, 0, 0, 3] = 1
    laid = ready.matcher.lay(heat, 64)[0, 0]
    assert laid.shape == (64, 64)
    assert laid[:16, 48:].sum() > 0.7 * laid.sum()


def test_the_pretrained_matcher_lays_maps_over_its_crop() -> None:
    from bench.pretrained_mobilefacenet import CasiaMatcher, MobileFaceNet, crop_matrix

    matcher = CasiaMatcher(MobileFaceNet())
    faces = photographs(1)
    assert faces.landmarks is not None
    matcher.matrix = crop_matrix(faces.landmarks, 64)
    # What is drawn into the image at a place is what the crop shows of that place.
    spot = torch.zeros(1, 1, 64, 64)
    spot[0, 0, 30:36, 28:34] = 1
    back = matcher.lay(matcher.crop(spot.expand(-1, 3, -1, -1))[:, :1], 64)
    assert (back - spot).abs().mean() < 0.01
    assert back[0, 0, 30:36, 28:34].mean() > 0.7


def test_resampled_classifiers_see_disjoint_fifths_of_the_rarest_race_often() -> None:
    faces = tiny_faces(60, attributes=GENDER_AND_RACE)
    rarest = faces.labels["race"].copy()
    rarest[:] = 0
    rarest[:20] = 1
    faces = replace(faces, labels={**faces.labels, "race": rarest})
    repeated = []
    for name in RESAMPLED:
        rows = auxiliaries._resampled(name, faces, auxiliaries.class_attributes(faces.attributes), seed=3)
        counts = np.bincount(rows, minlength=60)
        assert set(counts) == {1, 40}
        assert (counts[20:] == 1).all()
        repeated.append(set(faces.identities[counts == 40]))
    assert set.union(*repeated) == set(faces.identities[:20])
    assert sum(map(len, repeated)) == len(set.union(*repeated))


def test_a_network_that_nobody_asked_for_is_refused(ready: auxiliaries.TrainedAuxiliaries) -> None:
    with pytest.raises(ContractError, match="extra_auxiliaries"):
        ready.extra("resampled_1")
