"""Matchers trained on the ATTACK pool: their losses by formula, learning, storage as arrays, resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import tiny_faces
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch.nn.functional import cross_entropy, normalize

from bench.api import BenchError, Context, ContractError, Faces
from matchers._blocks.margins import ArcFaceHead, CosFaceHead, SoftmaxHead
from matchers._blocks.trained import TrainedMatcher, map_side
from matchers.arcface import ArcFace
from matchers.cosface import CosFace
from matchers.se_resnet import SEResNet

KINDS: tuple[type[TrainedMatcher], ...] = (SEResNet, ArcFace, CosFace)
everyone = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
SMALL: dict[str, Any] = {"size": 32, "widths": [8, 8, 16, 16], "features": 24, "batch": 16, "rate": 0.02}

TRAIN = tiny_faces(80)
TEST = tiny_faces(60, first_identity=500)


def fitted(kind: type[TrainedMatcher], steps: int, ctx: Context | None = None) -> TrainedMatcher:
    matcher = kind(**{**SMALL, "steps": steps})
    figures = matcher.fit(TRAIN, ctx or Context(seed=2))
    assert figures["identities"] == 40
    assert figures["images"] == 80
    return matcher


def state_bytes(matcher: TrainedMatcher) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in matcher.state().items()}


def auc(vectors: NDArray[np.float32], faces: Faces) -> float:
    """Share of (mated, non-mated) pairs of comparisons in the right order."""
    first, second = np.triu_indices(len(vectors), 1)
    scores = np.einsum("nd,nd->n", vectors[first], vectors[second])
    mated = faces.identities[first] == faces.identities[second]
    return float((scores[mated][:, None] > scores[~mated]).mean())


@everyone
def test_tells_unseen_people_apart(kind: type[TrainedMatcher]) -> None:
    matcher = fitted(kind, 90)
    vectors = matcher.embed(TEST, Context())
    assert vectors.shape == (60, 24)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert auc(vectors, TEST) > 0.97
    np.testing.assert_allclose(vectors, matcher.embed(TEST, Context(), batch=7), atol=1e-5)


@everyone
def test_state_is_arrays_that_give_the_same_embeddings_again(
    kind: type[TrainedMatcher], tmp_path: Path
) -> None:
    matcher = fitted(kind, 4)
    save_file(
        {k: np.asarray(v, order="C") for k, v in matcher.state().items()}, tmp_path / "state.safetensors"
    )
    twin = kind(**SMALL)
    twin.restore(load_file(tmp_path / "state.safetensors"))
    np.testing.assert_array_equal(matcher.embed(TEST, Context()), twin.embed(TEST, Context()))


@everyone
def test_the_seed_decides_alone(kind: type[TrainedMatcher]) -> None:
    torch.manual_seed(1)
    first = state_bytes(fitted(kind, 4))
    torch.manual_seed(2)
    assert state_bytes(fitted(kind, 4)) == first
    assert state_bytes(fitted(kind, 4, Context(seed=9))) != first


@everyone
def test_an_interrupted_training_is_taken_up(
    kind: type[TrainedMatcher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = state_bytes(fitted(kind, 6))
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
            fitted(kind, 6, ctx)
    assert state_bytes(fitted(kind, 6, ctx)) == whole


def test_identities_may_have_any_numbers_and_sizes() -> None:
    uneven = TRAIN.take(np.r_[0:2, 6:7, 10:23])
    assert fitted_on(uneven)["identities"] == len(np.unique(uneven.identities))


def fitted_on(faces: Faces) -> dict[str, Any]:
    return SEResNet(**{**SMALL, "steps": 2}).fit(faces, Context())


def test_misuse_is_named() -> None:
    with pytest.raises(BenchError, match="has not been trained"):
        SEResNet().embed(TEST, Context())
    with pytest.raises(ContractError, match="do not fit the network"):
        SEResNet(**{**SMALL, "features": 8}).restore(fitted(SEResNet, 2).state())


# -- losses ----------------------------------------------------------------------------------------


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 6, generator=generator), torch.arange(12) % 5


def logits_by_angle(head: Any, change: Any) -> torch.Tensor:
    embeddings, identities = batch()
    angles = torch.arccos((normalize(embeddings) @ normalize(head.weight).T).double())
    true = torch.nn.functional.one_hot(identities, 5).bool()
    return head.scale * torch.where(true, change(angles), torch.cos(angles))


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_arcface_adds_its_margin_to_the_angle(margin: float) -> None:
    torch.manual_seed(1)
    head = ArcFaceHead(6, 5, 16.0, margin)
    wanted = logits_by_angle(
        head,
        lambda angle: torch.where(
            angle < math.pi - margin,
            torch.cos(angle + margin),
            torch.cos(angle) - margin * math.sin(margin),
        ),
    )
    embeddings, identities = batch()
    assert head(embeddings, identities).item() == pytest.approx(
        cross_entropy(wanted, identities).item(), rel=1e-5
    )


@pytest.mark.parametrize("margin", [0.0, 0.35])
def test_cosface_subtracts_its_margin_from_the_cosine(margin: float) -> None:
    torch.manual_seed(1)
    head = CosFaceHead(6, 5, 30.0, margin)
    wanted = logits_by_angle(head, lambda angle: torch.cos(angle) - margin)
    embeddings, identities = batch()
    assert head(embeddings, identities).item() == pytest.approx(
        cross_entropy(wanted, identities).item(), rel=1e-5
    )


@pytest.mark.parametrize("head", [ArcFaceHead, CosFaceHead])
def test_gradients_stay_finite_where_the_angle_ends(head: Any) -> None:
    module = head(6, 5, 64.0, 0.5)
    with torch.no_grad():
        module.weight[0] = torch.eye(6)[0]
    embeddings = torch.stack([torch.eye(6)[0], -torch.eye(6)[0]]).requires_grad_()
    module(embeddings, torch.tensor([0, 0])).backward()
    for tensor in (embeddings, module.weight):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


def test_softmax_head_is_a_linear_classifier() -> None:
    torch.manual_seed(0)
    head = SoftmaxHead(6, 5)
    embeddings, identities = batch()
    torch.testing.assert_close(
        head(embeddings, identities), cross_entropy(head.linear(embeddings), identities)
    )


# -- networks --------------------------------------------------------------------------------------


@everyone
@pytest.mark.parametrize("preset", ["", "check", "paper"])
def test_presets_are_networks_that_can_be_built(kind: type[TrainedMatcher], preset: str) -> None:
    matcher = kind(preset=preset)
    settings = matcher.settings
    with torch.device("meta"):
        trunk = matcher._trunk().eval()
        images = torch.empty(2, 3, settings["size"], settings["size"])
        assert trunk(images).shape == (2, settings["features"])


def test_arcface_paper_preset_is_ir50() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in ArcFace(preset="paper")._trunk().parameters())
    # 43,574,976 is the count of InsightFace_Pytorch's IR-50, whose blocks leave out the batch normalisation
    # after the first convolution that the paper describes: two vectors of the block's width, 24 blocks.
    assert count == 43_574_976 + 2 * (3 * 64 + 4 * 128 + 14 * 256 + 3 * 512)


@pytest.mark.parametrize(
    ("size", "strides", "side"), [(64, [2, 1, 2, 2, 2], 4), (112, [1, 2, 2, 2, 2], 7), (50, [2, 2], 13)]
)
def test_map_side(size: int, strides: list[int], side: int) -> None:
    x = torch.zeros(1, 1, size, size)
    for stride in strides:
        x = torch.nn.functional.conv2d(x, torch.zeros(1, 1, 3, 3), stride=stride, padding=1)
    assert x.shape[-1] == side == map_side(size, strides)
