"""Pretrained matchers and attackers: what reaches the network, and what is made of its answer.

A network that hands its input back stands in for the foreign one, so that none is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench import discover
from bench.components.matcher import Matcher
from bench.errors import Unavailable
from bench.faces import Faces
from bench.foreign import Pretrained
from bench.geometry import CELEBA_LANDMARKS
from bench.onnx import OnnxNetwork
from bench.pretrained import PretrainedAttacker, stretched, two_class
from bench.weights import WeightsFolder

MATCHERS = ("intel_reid", "mobilefacenet_casia", "mobilefacenet_ms1m", "mobilefacenet_y1")
ATTACKERS = (
    "dlib_gender",
    "insightface_genderage",
    "intel_age_gender",
    "mini_xception_emotion",
    "mini_xception_gender",
    "ssrnet_age_imdb",
    "ssrnet_age_wiki",
    "ssrnet_gender_imdb",
    "ssrnet_gender_wiki",
)
ELSEWHERE = {"dlib_resnet"}
"""Tested in files of their own, as are those that `weights add` provides."""

COLOUR = np.array([200, 60, 10], np.uint8)
"""Red, green, blue."""


# -- stand-ins ---------------------------------------------------------------------------------------


def onnx_bytes(nodes: Sequence[Any], constants: Mapping[str, NDArray[np.float32]] | None = None) -> bytes:
    """A network of float (n, c, h, w) from `input` to `output`."""
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", "c", "h", "w"]) for n in ("input", "output")
    ]
    stored = [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "test", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def echo(tmp_path: Path) -> Pretrained:
    content = onnx_bytes([helper.make_node("Identity", ["input"], ["output"])])
    (tmp_path / "echo.onnx").write_bytes(content)
    return Pretrained("echo.onnx", hashlib.sha256(content).hexdigest(), "none", "this test")


def context(folder: Path) -> Any:
    from bench.components.base import Context

    return Context(weights=WeightsFolder(folder))


def canonical(images: NDArray[np.uint8]) -> Faces:
    """178 px faces where CelebA's lie."""
    n = len(images)
    landmarks = np.array(CELEBA_LANDMARKS) - (0, 20)
    return Faces(
        images=images,
        identities=np.arange(n),
        keys=np.array([str(i) for i in range(n)]),
        landmarks=np.tile(landmarks, (n, 1, 1)).astype(np.float32),
    )


def blob(kind: str, name: str, faces: Faces, echo: Pretrained, folder: Path) -> NDArray[np.float32]:
    """What the component's network is given: (N, C, H, W)."""
    component_class = discover.load_class(kind, name)
    stand_in = type("StandIn", (component_class,), {"pretrained": echo})
    component = stand_in()
    component.prepare(context(folder))
    given: NDArray[np.float32] = component.run(faces, context(folder))["output"]
    return given


# -- what reaches the network ------------------------------------------------------------------------

_GREY = 0.299 * 200 + 0.587 * 60 + 0.114 * 10
INPUTS: dict[str, tuple[str, tuple[int, int], list[float]]] = {
    # kind, height and width, value of each channel for COLOUR
    "intel_reid": ("matcher", (128, 128), [10, 60, 200]),
    "mobilefacenet_y1": ("matcher", (112, 112), [200, 60, 10]),
    "mobilefacenet_ms1m": (
        "matcher",
        (112, 112),
        [(200 / 255 - 0.485) / 0.229, (60 / 255 - 0.456) / 0.224, (10 / 255 - 0.406) / 0.225],
    ),
    "mobilefacenet_casia": ("matcher", (112, 96), [72.5 / 128, -67.5 / 128, -117.5 / 128]),
    "dlib_gender": ("attacker", (32, 32), [200, 60, 10]),
    "intel_age_gender": ("attacker", (62, 62), [10, 60, 200]),
    "insightface_genderage": ("attacker", (112, 112), [200, 60, 10]),
    "ssrnet_age_imdb": ("attacker", (64, 64), [0, 50 / 190 * 255, 255]),
    "ssrnet_age_wiki": ("attacker", (64, 64), [0, 50 / 190 * 255, 255]),
    "ssrnet_gender_imdb": ("attacker", (64, 64), [0, 50 / 190 * 255, 255]),
    "ssrnet_gender_wiki": ("attacker", (64, 64), [0, 50 / 190 * 255, 255]),
    "mini_xception_gender": ("attacker", (64, 64), [_GREY / 127.5 - 1]),
    "mini_xception_emotion": ("attacker", (64, 64), [_GREY / 127.5 - 1]),
}


def test_every_pretrained_component_is_tested() -> None:
    declared = {
        name
        for kind in ("attacker", "matcher")
        for name, listed in discover.components(kind).items()
        if listed.metadata.get("pretrained", {}).get("sha256")
    }
    assert declared - ELSEWHERE == set(INPUTS) == {*MATCHERS, *ATTACKERS}


@pytest.mark.parametrize("name", INPUTS)
def test_colour_order_and_scale(name: str, echo: Pretrained, tmp_path: Path) -> None:
    kind, (height, width), values = INPUTS[name]
    faces = canonical(np.broadcast_to(COLOUR, (3, 178, 178, 3)).copy())
    given = blob(kind, name, faces, echo, tmp_path)
    assert given.shape == (3, len(values), height, width)
    assert given.dtype == np.float32
    for channel, value in enumerate(values):
        assert np.allclose(given[:, channel], value, atol=1e-4)


BOXES = {
    # left, top, right, bottom in aligned 178x218 CelebA, and the channel that is red
    "dlib_gender": ((34, 75, 144, 185), 0),
    "intel_age_gender": ((34, 75, 142, 184), 2),
    "mini_xception_gender": ((23, 47, 153, 218), 0),
    "mini_xception_emotion": ((43, 87, 133, 178), 0),
    "ssrnet_age_imdb": ((7, 50, 169, 214), 2),
    "ssrnet_age_wiki": ((7, 50, 169, 214), 2),
    "ssrnet_gender_imdb": ((7, 50, 169, 214), 2),
    "ssrnet_gender_wiki": ((7, 50, 169, 214), 2),
}


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("axis", [0, 1])
def test_boxes(name: str, axis: int, echo: Pretrained, tmp_path: Path) -> None:
    """A ramp along one axis shows where each pixel of the crop comes from; rows below 198 repeat the last."""
    (left, top, right, bottom), channel = BOXES[name]
    ramp = np.indices((178, 178))[1 - axis].astype(np.uint8)
    image = np.repeat(ramp[..., None], 3, axis=2)
    crop = blob("attacker", name, canonical(image[None]), echo, tmp_path)[0, channel]
    if name.startswith("mini"):
        crop = (crop + 1) * 127.5
    line = crop[crop.shape[0] // 2] if axis == 0 else crop[:, crop.shape[1] // 2]
    start, stop = (left, right) if axis == 0 else (top - 20, bottom - 20)
    centres = start + (np.arange(len(line)) + 0.5) * (stop - start) / len(line) - 0.5
    expected = np.clip(centres, 0, 177)
    if name.startswith("ssrnet"):
        expected = (expected - expected.min()) / (expected.max() - expected.min()) * 255
    assert np.abs(line - expected).max() <= 2


@pytest.mark.parametrize(
    ("name", "eyes"),
    [
        ("intel_reid", [(0.31556875 * 128, 0.46157410 * 128), (0.68262292 * 128, 0.45983393 * 128)]),
        ("mobilefacenet_y1", [(38.2946, 51.6963), (73.5318, 51.5014)]),
        ("mobilefacenet_ms1m", [(38.2946, 51.6963), (73.5318, 51.5014)]),
        ("mobilefacenet_casia", [(30.2946, 51.6963), (65.5318, 51.5014)]),
        ("insightface_genderage", [(38.2946, 51.6963), (73.5318, 51.5014)]),
    ],
)
def test_templates(name: str, eyes: list[tuple[float, float]], echo: Pretrained, tmp_path: Path) -> None:
    """Dots on the eyes arrive at the template's, but for what five points leave to a least-squares fit."""
    image = np.zeros((178, 178, 3), np.uint8)
    for x, y in np.array(CELEBA_LANDMARKS[:2]) - (0, 20):
        image[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    given = blob(INPUTS[name][0], name, canonical(image[None]), echo, tmp_path)[0, 0]
    bright = given > (given.min() + given.max()) / 2
    middle = given.shape[1] // 2
    for half, first, (x, y) in ((bright[:, :middle], 0, eyes[0]), (bright[:, middle:], middle, eyes[1])):
        rows, columns = np.nonzero(half)
        assert abs(columns.mean() + first - x) < 2.5
        assert abs(rows.mean() - y) < 2.5


# -- what is made of the answer ----------------------------------------------------------------------


def answers(name: str, **outputs: Any) -> dict[str, NDArray[np.floating]]:
    attacker: PretrainedAttacker = discover.load_class("attacker", name)()
    arrays = {key: np.array(values, np.float32) for key, values in outputs.items()}
    return attacker._answers(arrays)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("dlib_gender", {"prob_female_male": [[0.9, 0.1], [0.25, 0.75]]}),
        ("mini_xception_gender", {"prob_woman_man": [[0.9, 0.1], [0.25, 0.75]]}),
        (
            "intel_age_gender",
            {"gender_prob_female_male": [[0.9, 0.1], [0.25, 0.75]], "age_div100": [[0.3], [0.4]]},
        ),
    ],
)
def test_gender_is_female_then_male(name: str, output: dict[str, list[list[float]]]) -> None:
    found = answers(name, **output)
    assert np.allclose(np.exp(found["gender"]), [[0.9, 0.1], [0.25, 0.75]], atol=1e-6)


def test_certain_answers_stay_finite_and_ordered() -> None:
    gender = answers("dlib_gender", prob_female_male=[[1, 0], [1, 1e-30], [0.5, 0.5]])["gender"]
    assert np.isfinite(gender).all()
    assert (np.diff(gender[:, 1] - gender[:, 0]) > 0).all()


def test_intel_age_is_in_years() -> None:
    age = answers("intel_age_gender", gender_prob_female_male=[[0.5, 0.5]], age_div100=[[0.345]])["age"]
    assert age.shape == (1, 1)
    assert age[0, 0] == pytest.approx(34.5, abs=1e-4)


def test_insightface_counts_years_and_normalises_logits() -> None:
    logits = np.zeros((2, 202), np.float32)
    logits[0, :2] = 1, 3
    logits[:, 2::2] = 1  # not older
    logits[1, 3 : 3 + 2 * 42 : 2] = 2  # older than 0, ..., 41
    found = answers("insightface_genderage", logits202=logits)
    assert found["age"].tolist() == [[0], [42]]
    assert np.allclose(np.exp(found["gender"]).sum(axis=1), 1)
    assert found["gender"][0, 1] - found["gender"][0, 0] == pytest.approx(2)


@pytest.mark.parametrize("name", ["ssrnet_gender_imdb", "ssrnet_gender_wiki"])
def test_ssrnet_scores_are_of_being_male(name: str) -> None:
    gender = answers(name, male_score=[[0.2], [0.8]])["gender"]
    assert np.allclose(np.exp(gender), [[0.8, 0.2], [0.2, 0.8]], atol=1e-6)


@pytest.mark.parametrize("name", ["ssrnet_age_imdb", "ssrnet_age_wiki"])
def test_ssrnet_ages_are_in_years(name: str) -> None:
    assert answers(name, age_years=[[31.5], [60]])["age"].tolist() == [[31.5], [60]]


def test_smiling_is_the_happy_probability() -> None:
    probabilities = np.full((1, 7), 0.05)
    probabilities[0, 3] = 0.7
    smiling = answers("mini_xception_emotion", prob7=probabilities)["smiling"]
    assert np.allclose(np.exp(smiling), [[0.3, 0.7]], atol=1e-6)


def test_regression_scores_keep_their_order_outside_the_unit_interval() -> None:
    scores = np.array([-0.4, -0.1, 0.0, 0.005, 0.01, 0.3, 0.5, 0.7, 0.99, 1.0, 1.2])
    found = two_class(scores)
    assert np.isfinite(found).all()
    assert (np.diff(found[:, 1] - found[:, 0]) > 0).all()
    assert np.allclose(np.exp(found).sum(axis=1), 1)
    assert np.array_equal(found[:, 1] > found[:, 0], scores > 0.5)
    inside = (scores >= 0.01) & (scores <= 0.99)
    assert np.allclose(np.exp(found[inside, 1]), scores[inside])


def test_stretching_is_by_image_and_survives_a_flat_one() -> None:
    images = np.array([[[[10, 20]], [[30, 60]]], [[[7, 7]], [[7, 7]]]], np.float32)
    assert np.allclose(stretched(images), [[[[0, 51]], [[102, 255]]], [[[0, 0]], [[0, 0]]]])


# -- running -----------------------------------------------------------------------------------------


def test_embeddings_are_unit_and_the_batch_does_not_matter(echo: Pretrained, tmp_path: Path) -> None:
    class_ = discover.load_class("matcher", "mobilefacenet_y1")
    matcher: Matcher = type("StandIn", (class_,), {"pretrained": echo})()
    images = np.random.default_rng(0).integers(0, 256, (70, 178, 178, 3), dtype=np.uint8)
    ctx = context(tmp_path)
    whole = matcher.embed(canonical(images), ctx)
    assert whole.shape == (70, 3 * 112 * 112)
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert np.array_equal(whole, matcher.embed(canonical(images), ctx, batch=7))


def test_no_faces_give_no_scores(echo: Pretrained, tmp_path: Path) -> None:
    nobody = canonical(np.zeros((0, 178, 178, 3), np.uint8))
    assert blob("attacker", "dlib_gender", nobody, echo, tmp_path).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("name", [*MATCHERS, *ATTACKERS])
def test_without_weights_there_is_a_remedy(name: str, tmp_path: Path) -> None:
    from bench.components.base import Context

    component = discover.load_class(INPUTS[name][0], name)()
    with pytest.raises(Unavailable) as caught:
        component.prepare(Context())
    assert "--weights" in caught.value.remedy
    with pytest.raises(Unavailable) as caught:
        component.prepare(context(tmp_path))
    assert component.pretrained.source in caught.value.remedy


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(Unavailable, match=r"onnxruntime cannot read .*net\.onnx"):
        OnnxNetwork(path)(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("kind", ["a slope a channel", "one slope", "slopes that are computed"])
def test_replacing_prelu_changes_no_answer(kind: str, tmp_path: Path) -> None:
    """Slopes below 0 and above 1 are among them."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(0, 2, (8, 1, 1)).astype(np.float32)
    constants = {
        "kernel": rng.normal(0, 1, (8, 3, 3, 3)).astype(np.float32),
        "last": rng.normal(0, 1, (4, 8, 1, 1)).astype(np.float32),
        "slopes": slopes[:1].reshape(1) * 3 if kind == "one slope" else slopes,
    }
    computed = kind == "slopes that are computed"
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        *([helper.make_node("Neg", ["slopes"], ["negated"])] if computed else []),
        helper.make_node("PRelu", ["a", "negated" if computed else "slopes"], ["b"]),
        helper.make_node("Conv", ["b", "last"], ["output"]),
    ]
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes(nodes, constants))
    batch = rng.normal(0, 1, (5, 3, 16, 16)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": batch})
    found = OnnxNetwork(path)(batch)["output"]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(expected).max() > 1
