"""Speed of reading images beside the papers' way: `pytest tests/benchmarks -m benchmark -k image_input`.

The peer decodes with Pillow and applies torchvision's CenterCrop, Resize, ToTensor and Normalize, as the
papers' code does; both sides end in the same kind of tensor, float32 in [-1, 1]. Files are of CelebA's size,
178x218, quality 90. Times are CPU seconds of this process, one thread, the works taking turns, medians.
Goals: at least twice as fast at 112 px, 6 times at 224 px, 15 times from what an earlier stage has stored.
Only what does not depend on the machine is asserted: that decoders agree in every pixel, that what was stored
comes back, and that tensors differ by no more than resampling filters do.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms

from bench.datasets._aligned import decode_jpeg, load_images
from bench.datasets._decoding import decode_photo
from bench.datasets._framing import framed
from bench.datasets._image_files import FolderImages
from bench.datasets.celeba import _square
from bench.geometry import CELEBA_LANDMARKS
from bench.quality.perceptual import symmetric
from bench.store import Artefact, Store

from .cpu_time import in_turns

pytestmark = pytest.mark.benchmark

ROUNDS, IMAGES, BATCH = 7, 64, 16
GOALS = {112: 2, 224: 6}
KEY = "c" * 64

Images = NDArray[np.uint8]


@pytest.fixture
def files(tmp_path: Path) -> FolderImages:
    """Smooth pictures with some noise, whose JPEGs are as large as those of faces."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(IMAGES):
        coarse = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (178, 218), interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{n:03}.jpg", quality=90)
    return FolderImages(folder, ".jpg")


def in_batches(images: Images) -> None:
    """A batch after the other, as a stage meets them."""
    for start in range(0, len(images), BATCH):
        symmetric(images[start : start + BATCH])


@pytest.mark.parametrize("size", [112, 224])
def test_image_input(files: FolderImages, tmp_path: Path, compare: Callable[..., None], size: int) -> None:
    torch.set_num_threads(1)
    names = sorted(files.names())
    groups = [names[start : start + BATCH] for start in range(0, IMAGES, BATCH)]
    landmarks = np.array(CELEBA_LANDMARKS, np.float32) + np.array([1.3, -0.7], np.float32)
    papers = transforms.Compose(
        [
            transforms.CenterCrop(178),
            transforms.Resize(size),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )

    def peer(name: str) -> torch.Tensor:
        with Image.open(files.folder / name) as picture:
            tensor: torch.Tensor = papers(picture.convert("RGB"))
        return tensor

    def squares(group: list[str]) -> Images:
        return load_images(group, dict.fromkeys(group, files), size, _square, None)[1]

    def aligned(group: list[str]) -> Images:
        photos = (decode_photo(files.read(name), name) for name in group)
        return np.stack([framed(photo, landmarks, size)[0] for photo in photos])

    faces = np.concatenate([squares(group) for group in groups])
    store = Store(tmp_path / "store")
    store.save(KEY, Artefact({"images": faces}), {})
    assert np.array_equal(store.load(KEY).arrays["images"], faces)
    found, expected = symmetric(faces), torch.stack([peer(name) for name in names])
    grey_levels = (found - expected).abs().mul(127.5)
    assert grey_levels.mean() < 2
    assert found.shape == expected.shape

    took = in_turns(
        {
            "peer": lambda: [peer(name) for name in names],
            "files": lambda: [symmetric(squares(group)) for group in groups],
            "aligned": lambda: [symmetric(aligned(group)) for group in groups],
            "at hand": lambda: in_batches(faces),
            "stored": lambda: in_batches(store.load(KEY).arrays["images"]),
        },
        ROUNDS,
    )
    ratio = {name: took["peer"] / seconds for name, seconds in took.items()}
    who = "PIL, Resize, ToTensor, Normalize"
    filters = f"resampling differs by {grey_levels.mean():.2f} grey levels, at most {grey_levels.max():.0f}"
    compare(f"image input {size} px", who, ratio["files"], GOALS[size], f"decoded equally; {filters}")
    compare(f"image input {size} px, aligned by landmarks", who, ratio["aligned"], None)
    compare(f"image input cached {size} px", who, ratio["at hand"], 15, "faces that a worker has at hand")
    compare(f"image input cached {size} px, first use", who, ratio["stored"], 15, "read, SHA-256 checked")


def test_decoders_agree_in_every_pixel(files: FolderImages, compare: Callable[..., None]) -> None:
    data = {name: files.read(name) for name in files.names()}

    def pillow(name: str) -> Images:
        with Image.open(io.BytesIO(data[name])) as picture:
            return np.asarray(picture.convert("RGB"))

    def ours(name: str) -> Images:
        return decode_photo(data[name], name)

    for name in data:
        assert np.array_equal(ours(name), pillow(name))
        assert np.array_equal(decode_jpeg(files, name, 178, 218, "")[..., ::-1], pillow(name))
    took = in_turns(
        {"pillow": lambda: [pillow(name) for name in data], "ours": lambda: [ours(name) for name in data]},
        ROUNDS,
    )
    compare("decoding a JPEG, 178x218", "PIL", took["pillow"] / took["ours"], None, "equal in every pixel")
