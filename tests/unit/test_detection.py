"""Finding faces: how photographs reach the detector, and how its answers come back to their pixels.

A drawn face is a red square with five dots. Networks that read these colours stand in for the foreign ones.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as Pillow

from bench.detection import FaceFinder, FoundFaces, central
from bench.errors import InputError, Unavailable
from bench.onnx import OnnxNetwork
from bench.weights import WeightsFolder

Image = NDArray[np.uint8]

RED = (220, 0, 0)
DOTS = ((0, 250, 0), (0, 0, 250), (250, 250, 0), (250, 0, 250), (0, 250, 250))
PLACES = np.array([[0.31, 0.38], [0.69, 0.38], [0.5, 0.59], [0.35, 0.78], [0.67, 0.78]])


def picture(width: int, height: int) -> Image:
    return np.full((height, width, 3), 90, np.uint8)


def draw_face(image: Image, left: int, top: int, side: int, turn: float = 0.0) -> NDArray[np.float64]:
    """A red square with dots at the landmarks, which are returned (5, 2); `turn`: degrees, of the dots."""
    image[top : top + side, left : left + side] = RED
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (0.8 * (PLACES - 0.5) @ rotation.T + 0.5) * side + [left, top] - 0.5
    rows, columns = np.indices(image.shape[:2])
    for (x, y), colour in zip(points, DOTS, strict=True):
        image[(columns - x) ** 2 + (rows - y) ** 2 <= (side / 14) ** 2] = colour
    return points


def red_boxes(canvas: Image) -> NDArray[np.float64]:
    """The boxes of red, in pixel edges; connected components, as OpenCV finds them."""
    import cv2

    marks = (canvas[..., 0].astype(int) - canvas[..., 1:].max(axis=2) > 60).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(marks)
    boxes = stats[1:, :4].astype(float)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


class Detector:
    """Answers as UltraFace does, four boxes a view. sees: which heights, in pixels of its input."""

    def __init__(self, sees: Callable[[float], bool] = lambda height: True) -> None:
        self.sees = sees
        self.views = 0

    def __call__(self, blob: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        assert blob.shape[1:] == (3, 240, 320)
        assert blob.dtype == np.float32
        self.views += len(blob)
        scores, boxes = np.zeros((len(blob), 4, 2), np.float32), np.zeros((len(blob), 4, 4), np.float32)
        for row, view in enumerate(np.rint(blob.transpose(0, 2, 3, 1) * 128 + 127).astype(np.uint8)):
            seen = [b for b in red_boxes(view) if self.sees(b[3] - b[1])]
            for place, box in enumerate(seen):
                boxes[row, place] = box / [320, 240, 320, 240]
                scores[row, place, 1] = 1 - 0.001 * place
        return {"scores": scores, "boxes": boxes}


def dots_in(blob: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Answers as the landmark network does: centres of the five colours, as shares of the crop."""
    assert blob.shape[1:] == (3, 48, 48)
    crops = blob[:, ::-1].transpose(0, 2, 3, 1)
    found = np.zeros((len(crops), 5, 2), np.float32)
    for row, crop in enumerate(crops):
        for place, colour in enumerate(DOTS):
            y, x = np.nonzero(np.abs(crop - colour).sum(axis=2) < 120)
            found[row, place] = [(x.mean() + 0.5) / 48, (y.mean() + 0.5) / 48]
    return {"landmarks": found.reshape(-1, 10)}


def finder(detector: Detector | None = None) -> FaceFinder:
    made = object.__new__(FaceFinder)
    made._detector = detector or Detector()  # type: ignore[assignment]
    made._regressor = dots_in  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [(250, 250, 100), (1600, 900, 300), (500, 2000, 250), (90, 60, 40), (3000, 2000, 700)],
)
def test_boxes_and_landmarks_come_back_in_pixels_of_the_photograph(
    width: int, height: int, side: int
) -> None:
    image = picture(width, height)
    left, top = width // 5, height // 4
    points = draw_face(image, left, top, side)
    (found,) = finder().find([image])
    assert len(found) == 1
    pixel = max(width / 320, height / 240)
    assert np.abs(found.boxes[0] - [left, top, left + side, top + side]).max() <= 1.5 * max(pixel, 1)
    assert np.linalg.norm(found.landmarks[0] - points, axis=1).max() <= 0.03 * side
    assert [a.dtype for a in (found.boxes, found.scores, found.landmarks)] == [np.float32] * 3


def test_several_photographs_at_once_are_found_as_each_alone() -> None:
    images = []
    for number in range(7):
        image = picture(200 + 40 * number, 300)
        for face in range(number % 3):
            draw_face(image, 10 + 90 * face, 30 + 20 * number, 60)
        images.append(image)
    together = finder().find(images)
    assert [len(f) for f in together] == [0, 1, 2, 0, 1, 2, 0]
    for image, found in zip(images, together, strict=True):
        (alone,) = finder().find([image])
        assert np.array_equal(alone.boxes, found.boxes)
        assert np.array_equal(alone.landmarks, found.landmarks)
        assert (np.diff(found.scores) <= 0).all()


def test_nothing_to_look_at() -> None:
    assert finder().find([]) == []
    (found,) = finder().find([picture(100, 100)])
    assert len(found) == 0
    assert found.landmarks.shape == (0, 5, 2)


def test_a_tilted_face_gets_a_second_pass() -> None:
    image = picture(300, 300)
    points = draw_face(image, 80, 90, 120, turn=30)
    calls = []

    def watching(blob: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        answer = dots_in(blob)
        eyes = answer["landmarks"].reshape(-1, 5, 2)[0]
        calls.append(np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1])))
        return answer

    made = finder()
    made._regressor = watching  # type: ignore[assignment]
    (found,) = made.find([image])
    assert calls[0] == pytest.approx(30, abs=4)
    assert calls[1] == pytest.approx(0, abs=4)
    assert np.linalg.norm(found.landmarks[0] - points, axis=1).max() <= 4


def test_a_face_that_fills_the_frame_is_looked_at_from_further_away() -> None:
    image = picture(200, 200)
    draw_face(image, 5, 5, 190)
    detector = Detector(sees=lambda height: height < 150)
    (found,) = finder(detector).find([image])
    assert len(found) == 1
    assert np.abs(found.boxes[0] - [5, 5, 195, 195]).max() <= 3
    assert detector.views == 2


def test_the_second_look_replaces_close_faces_and_keeps_small_ones() -> None:
    image = picture(320, 240)
    draw_face(image, 5, 5, 200)
    draw_face(image, 250, 100, 20)
    (found,) = finder().find([image])
    assert len(found) == 2
    heights = np.sort(found.boxes[:, 3] - found.boxes[:, 1])
    assert np.abs(heights - [20, 200]).max() <= 2


def test_small_faces_in_large_photographs_are_found_in_its_parts() -> None:
    image = picture(3200, 2400)
    draw_face(image, 1500, 700, 60)
    detector = Detector(sees=lambda height: height >= 10)
    (found,) = finder(detector).find([image])
    assert len(found) == 1
    assert np.abs(found.boxes[0] - [1500, 700, 1560, 760]).max() <= 6
    assert detector.views > 2


def test_small_photographs_are_not_cut_into_parts() -> None:
    detector = Detector(sees=lambda height: False)
    finder(detector).find([picture(300, 300)])
    assert detector.views == 2


@pytest.mark.parametrize(
    "image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)]
)
def test_what_is_no_photograph_is_refused(image: Image) -> None:
    with pytest.raises(InputError, match="a photograph must be uint8"):
        finder().find([image])


def test_without_the_networks_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable,
        match=r"ultraface_rfb320.onnx is not in .*weights fetch ultraface_rfb320, or put the file",
    ):
        FaceFinder(WeightsFolder(tmp_path))


def faces_at(*boxes: tuple[float, float, float, float]) -> FoundFaces:
    count = len(boxes)
    return FoundFaces(
        np.array(boxes, np.float32).reshape(count, 4),
        np.ones(count, np.float32),
        np.zeros((count, 5, 2), np.float32),
    )


def test_the_central_face() -> None:
    assert central(faces_at(), 100, 100) is None
    at_edge, in_middle = (0, 0, 60, 60), (80, 80, 120, 120)
    assert central(faces_at(at_edge, in_middle), 200, 200) == 1
    assert central(faces_at((70, 70, 90, 90), (60, 60, 150, 150)), 200, 200) == 1
    # Both so far away that their weights are below the least number: the nearer one.
    assert central(faces_at((0, 0, 10, 10), (9000, 0, 9010, 10)), 10_000, 100) == 1


def test_a_network_exported_for_one_image_takes_several(tmp_path: Path) -> None:
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3]),
    ]
    weights = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "test", ends[:2], ends[2:], [weights]
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    (tmp_path / "one.onnx").write_bytes(model.SerializeToString())
    batch = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(OnnxNetwork(tmp_path / "one.onnx")(batch)["y"], batch * [1, 2, 3])


# -- the real networks -----------------------------------------------------------------------------------

real = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights"
    ),
]
needs_data = pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="set BENCH_DATA to the face packs")


@pytest.fixture(scope="module")
def networks() -> FaceFinder:
    return FaceFinder(WeightsFolder(Path(os.environ["BENCH_WEIGHTS"])))


def decoded(archive: str, suffix: str, most: int) -> list[Image]:
    with ZipFile(Path(os.environ["BENCH_DATA"]) / archive) as pack:
        names = sorted(n for n in pack.namelist() if n.endswith(suffix))
        chosen = names[:: max(1, len(names) // most)][:most]
        return [np.asarray(Pillow.open(io.BytesIO(pack.read(n))).convert("RGB")) for n in chosen]


class TestRealNetworks:
    pytestmark = real

    @needs_data
    def test_every_face_of_lfw_is_found_and_covers_the_centre(self, networks: FaceFinder) -> None:
        images = decoded("lfw_view2/lfw-deepfunneled.zip", ".jpg", 200)
        assert len(images) == 200
        for found in networks.find(images):
            face = central(found, 250, 250)
            assert face is not None
            assert (found.boxes[face, :2] < 125).all()
            assert (found.boxes[face, 2:] > 125).all()
            left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks[face]
            assert left_eye[0] < right_eye[0]
            assert left_mouth[0] < right_mouth[0]
            assert left_eye[1] < nose[1] < right_mouth[1]

    @needs_data
    @pytest.mark.parametrize(
        ("archive", "suffix"), [("utkface_subset/UTKFace.zip", ".jpg"), ("att_faces/att_faces.zip", ".pgm")]
    )
    def test_crops_that_a_face_fills(self, networks: FaceFinder, archive: str, suffix: str) -> None:
        found = networks.find(decoded(archive, suffix, 100))
        assert sum(len(f) > 0 for f in found) >= 99

    @needs_data
    def test_a_small_face_in_a_large_photograph(self, networks: FaceFinder) -> None:
        (face,) = decoded("lfw_view2/lfw-deepfunneled.zip", ".jpg", 1)
        image = picture(8000, 6000)
        image[4000:4250, 1000:1250] = face
        (found,) = networks.find([image])
        assert len(found) == 1
        assert np.abs(found.boxes[0].reshape(2, 2).mean(axis=0) - [1125, 4125]).max() < 30

    def test_pictures_without_a_face(self, networks: FaceFinder) -> None:
        draw = np.random.default_rng(0)
        noise = [
            draw.integers(0, 256, (side, side, 3), np.uint8) for side in (64, 250, 800) for _ in range(5)
        ]
        rows, columns = np.indices((600, 800))
        sky = np.stack([120 + rows // 8, 150 + rows // 8, np.full_like(rows, 230)], axis=-1).astype(np.uint8)
        landscape = sky.copy()
        for height, colour in ((250, (90, 110, 140)), (350, (60, 100, 60)), (450, (40, 70, 30))):
            hills = rows > height + 40 * np.sin(columns / (height / 4)) + 15 * np.sin(columns / 17)
            landscape[hills] = colour
        for found in networks.find([*noise, sky, landscape, picture(20, 20)]):
            assert len(found) == 0
