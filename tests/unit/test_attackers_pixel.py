"""Attackers on pixels: one network for all attributes, masked labels, storage as arrays, resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import RACE, tiny_faces
from safetensors.numpy import load_file, save_file

from attackers._blocks import networks
from attackers._blocks.pixel import PixelAttacker
from attackers.cnn_light import CNNLight
from attackers.cnn_resnet import CNNResNet
from attackers.cnn_wavelet import CNNWavelet
from bench.api import BenchError, Context, ContractError, Faces, InputError
from bench.faces import AGE, GENDER

KINDS: tuple[type[PixelAttacker], ...] = (CNNResNet, CNNLight, CNNWavelet)
everyone = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
ATTRIBUTES = (GENDER, RACE)
SMALL: dict[str, Any] = {"size": 32, "widths": [8, 16], "steps": 120, "batch": 16, "rate": 0.01}

TRAIN = tiny_faces(96, attributes=ATTRIBUTES)
TEST = tiny_faces(48, attributes=ATTRIBUTES, first_identity=500)


def fitted(
    kind: type[PixelAttacker], faces: Faces = TRAIN, ctx: Context | None = None, **changed: Any
) -> Any:
    attacker = kind(**{**SMALL, **changed})
    figures = attacker.fit(faces, faces.labels, faces.attributes, ctx or Context(seed=2))
    assert figures["images"] == len(faces)
    return attacker


def state_bytes(attacker: PixelAttacker) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in attacker.state().items()}


@everyone
def test_reads_all_attributes_of_unseen_people(kind: type[PixelAttacker]) -> None:
    scores = fitted(kind).scores(TEST, Context())
    for name, classes in (("gender", 2), ("race", 3)):
        assert scores[name].shape == (48, classes)
        np.testing.assert_allclose(np.exp(scores[name]).sum(axis=1), 1, rtol=1e-5)
        assert (scores[name].argmax(axis=1) == TEST.labels[name]).mean() > 0.9, name


@everyone
def test_state_is_arrays_that_give_the_same_scores_again(kind: type[PixelAttacker], tmp_path: Path) -> None:
    attacker = fitted(kind, steps=5)
    save_file(
        {k: np.asarray(v, order="C") for k, v in attacker.state().items()}, tmp_path / "state.safetensors"
    )
    twin = kind(**SMALL)
    twin.restore(load_file(tmp_path / "state.safetensors"))
    before, after = attacker.scores(TEST, Context()), twin.scores(TEST, Context())
    assert list(before) == ["gender", "race"]
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


@everyone
def test_the_seed_decides_alone(kind: type[PixelAttacker]) -> None:
    torch.manual_seed(1)
    first = state_bytes(fitted(kind, steps=4))
    torch.manual_seed(2)
    assert state_bytes(fitted(kind, steps=4)) == first
    assert state_bytes(fitted(kind, ctx=Context(seed=9), steps=4)) != first


@everyone
def test_an_interrupted_training_is_taken_up(
    kind: type[PixelAttacker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = state_bytes(fitted(kind, steps=6))
    backward, calls = torch.Tensor.backward, 0

    def interrupted(*arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        backward(*arguments, **named)

    ctx = Context(seed=2, workdir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", interrupted)
        patch.setattr("bench.training.checkpoint.SAVE_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            fitted(kind, ctx=ctx, steps=6)
    assert state_bytes(fitted(kind, ctx=ctx, steps=6)) == whole


def test_unknown_labels_do_not_reach_the_training() -> None:
    """Whatever stands in the images without labels of one attribute, that attribute's head ignores it."""
    known = np.arange(len(TRAIN)) % 3 > 0
    labels = {k: np.where(known, v, np.nan).astype(np.float32) for k, v in TRAIN.labels.items()}
    scores = fitted(CNNLight, replace(TRAIN, labels=labels)).scores(TEST, Context())
    assert (scores["gender"].argmax(axis=1) == TEST.labels["gender"]).mean() > 0.9


def test_faces_of_another_size_are_resized() -> None:
    attacker = fitted(CNNResNet, steps=5)
    large = replace(TEST, images=TEST.images.repeat(2, axis=1).repeat(2, axis=2))
    native, resized = attacker.scores(TEST, Context()), attacker.scores(large, Context())
    np.testing.assert_allclose(native["gender"], resized["gender"], atol=0.1)
    assert attacker.scores(TEST.take(slice(0)), Context())["race"].shape == (0, 3)


def test_misuse_is_named() -> None:
    with pytest.raises(BenchError, match="has not been trained"):
        CNNResNet().scores(TEST, Context())
    with pytest.raises(ContractError, match="reads images"):
        CNNResNet().scores(np.zeros((2, 8), np.float32), Context())
    faces = tiny_faces(12, attributes=(GENDER, AGE))
    with pytest.raises(InputError, match="age is a number"):
        CNNResNet().fit(faces, faces.labels, faces.attributes, Context())
    with pytest.raises(ContractError, match="do not fit the network"):
        CNNResNet(**{**SMALL, "widths": [8, 24]}).restore(fitted(CNNResNet, steps=2).state())


def test_haar_bands_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 5.0]])[None, None]
    bands = networks.HaarBands()(image).flatten()
    torch.testing.assert_close(bands, torch.tensor([11 / 4, -5.0, -3.0, 1.0]))
    assert networks.HaarBands()(torch.rand(2, 3, 8, 8)).shape == (2, 12, 4, 4)


def test_blur_pooling_keeps_constants_and_halves_the_side() -> None:
    flat = torch.full((2, 5, 8, 8), 0.3)
    torch.testing.assert_close(networks.BlurPool(5)(flat), torch.full((2, 5, 4, 4), 0.3))


def test_max_feature_map_keeps_the_larger_half() -> None:
    layer = networks.MaxFeatureMap(3, 4, 3).eval()
    x = torch.randn(2, 3, 6, 6)
    both = layer.norm(layer.conv(x))
    torch.testing.assert_close(layer(x), torch.maximum(both[:, :4], both[:, 4:]))


@everyone
@pytest.mark.parametrize("preset", ["", "check", "paper"])
def test_presets_are_networks_that_can_be_built(kind: type[PixelAttacker], preset: str) -> None:
    attacker = kind(preset=preset)
    with torch.device("meta"):
        trunk, features = attacker._trunk()
        size = attacker.settings["size"]
        assert trunk.eval()(torch.empty(2, 3, size, size)).shape == (2, features)
