"""Small valid files of every kind that the program reads, and the ways to spoil them."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from published_runs import make_draws, make_record, small_rows

from bench.datasets.celeba import OFFICIAL
from bench.record import RECORD, record_file
from bench.report.curves import CURVE_COLUMNS
from bench.report.draws import DRAWS, draws_file
from bench.results import to_frame

Make = Callable[[Path], None]
_SCRATCH = tempfile.TemporaryDirectory(prefix="bad-inputs-")


def put(files: Mapping[str, bytes | str]) -> Make:
    """Writes files below a folder."""

    def make(folder: Path) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def also(*makes: Make) -> Make:
    """One after the other."""

    def make(folder: Path) -> None:
        for one in makes:
            one(folder)

    return make


def edited(make_first: Make, name: str, change: Callable[[bytes], bytes]) -> Make:
    """What `make_first` makes, with one file changed."""

    def make(folder: Path) -> None:
        make_first(folder)
        path = folder / name
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before

    return make


def swap(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode(), 1)


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


# -- pictures ------------------------------------------------------------------------------------------


@cache
def picture(width: int = 178, height: int = 218, kind: str = "JPEG", mode: str = "RGB", **more: Any) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(width * height).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((width, height)).convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def announced_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says to be of any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + end


def announced_jpeg(width: int, height: int) -> bytes:
    """An ordinary small JPEG whose header says to be of any size."""
    data = bytearray(picture(64, 64))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@cache
def animation() -> bytes:
    from PIL import Image

    frames = [Image.new("RGB", (60, 60), c) for c in ("red", "green")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


# -- datasets ------------------------------------------------------------------------------------------


def celeba(count: int = 4) -> Make:
    names = [f"{n:06d}.jpg" for n in range(1, count + 1)]
    signs = " ".join("-1" for _ in OFFICIAL)
    rows = "".join(f"{name} {signs}\n" for name in names)
    return put(
        {
            "list_attr_celeba.txt": f"{count}\n{' '.join(OFFICIAL)}\n{rows}",
            "identity_CelebA.txt": "".join(f"{name} {n + 1}\n" for n, name in enumerate(names)),
            "list_eval_partition.txt": "".join(f"{name} {n % 3}\n" for n, name in enumerate(names)),
            **{f"img_align_celeba/{name}": picture() for name in names},
        }
    )


def lfw() -> Make:
    names = [f"{who}/{who}_{n:04d}.jpg" for who in ("Ann", "Bob", "Cy") for n in (1, 2)]
    return put(
        {
            "pairs.txt": "1 2\nAnn 1 2\nBob 1 2\nAnn 1 Bob 1\nAnn 2 Cy 1\n",
            "male_names.txt": "Bob_0001.jpg\nBob_0002.jpg\nCy_0001.jpg\n",
            "female_names.txt": "Ann_0001.jpg\nAnn_0002.jpg\n",
            **{f"lfw/{name}": picture(120, 120) for name in names},
        }
    )


def folder(
    manifest: str | bytes = "file,identity,hat\na.jpg,ann,no\nb.jpg,bob,yes\n", **photos: bytes
) -> Make:
    """The photographs a.jpg and b.jpg, or others by name with _ for the dot, and a manifest."""
    pictures = {"a_jpg": picture(100, 100), "b_jpg": picture(110, 100)} | photos
    named = {name.replace("_", "."): data for name, data in pictures.items()}
    return put({"manifest.csv": manifest, **named})


def zipped(name: str, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Make:
    def make(place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place / name, "w", method) as archive:
            for member, data in members.items():
                archive.writestr(member, data)

    return make


def announcing(name: str, size: int) -> Make:
    """The zip `name`, whose directory says that each member unpacks to `size` bytes."""

    def make(place: Path) -> None:
        data = bytearray((place / name).read_bytes())
        at = data.find(b"PK\x01\x02")
        while at >= 0:
            data[at + 24 : at + 28] = struct.pack("<I", size)
            at = data.find(b"PK\x01\x02", at + 1)
        (place / name).write_bytes(bytes(data))

    return make


def linked(name: str, target: str) -> Make:
    def make(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(target)

    return make


# -- components ----------------------------------------------------------------------------------------

SITE = "site"


def method(source: str | bytes) -> Make:
    """A package installed in the folder `SITE` that registers the class `Bad` of `source` as method `bad`."""
    about = f"{SITE}/bad_part-1.0.dist-info"
    return put(
        {
            f"{SITE}/bad_part.py": source,
            f"{about}/METADATA": "Metadata-Version: 2.1\nName: bad_part\nVersion: 1.0\n",
            f"{about}/entry_points.txt": "[bench.methods]\nbad = bad_part:Bad\n",
        }
    )


# -- weights -------------------------------------------------------------------------------------------


def tensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header; length: what it announces of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


# -- runs ----------------------------------------------------------------------------------------------


def run_folder(name: str = "run", **changes: Any) -> Make:
    """What `publish` and `compare` read of a report's folder. changes: of its record."""

    def make(place: Path) -> None:
        target = place / name
        shutil.copytree(_run(), target)
        if changes:
            found = make_record(**changes)
            (target / RECORD).write_bytes(record_file(found, target / "rows.parquet"))

    return make


@cache
def _run() -> Path:
    made = Path(_SCRATCH.name) / "run"
    made.mkdir()
    rows = to_frame(small_rows().to_dict("records"))
    rows.to_parquet(made / "rows.parquet", index=False)
    (made / DRAWS).write_bytes(draws_file(make_draws(rows, resamples=5)))
    pd.DataFrame(columns=list(CURVE_COLUMNS)).to_csv(made / "curves.csv", index=False)
    found = make_record(draw={"seed": 0, "resamples": 5})
    (made / RECORD).write_bytes(record_file(found, made / "rows.parquet"))
    return made


def rows_changed(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Make:
    """The rows of the run `name`, changed; its record is told so."""

    def make(place: Path) -> None:
        path = place / name / "rows.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)
        found = json.loads((place / name / RECORD).read_bytes())
        (place / name / RECORD).write_bytes(record_file(found, path))

    return make
