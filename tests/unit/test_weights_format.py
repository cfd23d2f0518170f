"""What is and what is not a file of plain numbers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.errors import InputError
from bench.weights_format import HEAD, Tensor, foreign_kind, read_header


def saved(path: Path, **arrays: np.ndarray) -> Path:
    save_file(arrays, str(path))
    return path


def written(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def test_names_types_and_shapes_are_read(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.safetensors",
        weight=np.zeros((2, 3), np.float32),
        count=np.array(4, np.int64),
        half=np.zeros(5, np.float16),
        none=np.zeros((0, 3), np.float32),
    )
    assert read_header(path) == {
        "weight": Tensor("F32", (2, 3)),
        "count": Tensor("I64", ()),
        "half": Tensor("F16", (5,)),
        "none": Tensor("F32", (0, 3)),
    }


def test_metadata_is_no_tensor(tmp_path: Path) -> None:
    save_file({"a": np.zeros(1, np.float32)}, str(tmp_path / "a.safetensors"), {"made": "by hand"})
    assert set(read_header(tmp_path / "a.safetensors")) == {"a"}


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_looks_like_a_pickle(tmp_path: Path, length: int) -> None:
    """The first two bytes are then those of a pickle of protocol 2 to 5."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = written(tmp_path / "a.safetensors", header.ljust(length), bytes(4))
    assert path.read_bytes()[0] == 0x80
    assert foreign_kind(path.read_bytes()[:HEAD]) == ""
    assert read_header(path) == {"a": Tensor("F32", (1,))}


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "what"),
    [
        ({"a": ENTRY}, bytes(7), "truncated: expected .* bytes, found"),
        ({"a": ENTRY}, bytes(9), "longer than its header says"),
        ({"a": {**ENTRY, "shape": [3]}}, bytes(8), "do not fit"),
        ({"a": {**ENTRY, "shape": [-2]}}, bytes(8), "do not fit"),
        ({"a": {**ENTRY, "dtype": "OBJECT"}}, bytes(8), "nothing usable of a"),
        ({"a": {**ENTRY, "shape": "wide"}}, bytes(8), "nothing usable of a"),
        ({"a": {"dtype": "F32"}}, bytes(8), "nothing usable of a"),
        ({"a": None}, bytes(8), "nothing usable of a"),
        ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12), "gap or an overlap at byte 8"),
        ({"a": {**ENTRY, "data_offsets": [8, 16]}}, bytes(16), "gap or an overlap at byte 0"),
        ([1], b"", "lists no tensors"),
        (b"{not json", b"", "no JSON"),
        (b"\xff\xfe{", b"", "no JSON"),
        (b'{"a":' + b"[" * 100_000, b"", "no JSON"),
        (
            b'{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 8]}}',
            bytes(8),
            "nothing usable of a",
        ),
    ],
)
def test_damaged_headers_are_named(tmp_path: Path, header: Any, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_header(written(tmp_path / "a.safetensors", header, data))


@pytest.mark.parametrize("length", [9 * 2**20, 2**63, 2**64 - 1])
def test_an_absurd_header_length_is_refused_unread(tmp_path: Path, length: int) -> None:
    path = written(tmp_path / "a.safetensors", {"a": ENTRY}, bytes(8), length)
    with pytest.raises(
        InputError, match=f"announces a header of {length:,} bytes; expected at most 8,388,608"
    ):
        read_header(path)


def test_a_header_longer_than_the_file_is_truncation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="truncated: its header alone takes 1,008 bytes"):
        read_header(written(tmp_path / "a.safetensors", {"a": ENTRY}, length=1000))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\x00\x01", "has 2 bytes"),
        (pickle.dumps({"a": 1}, protocol=2), "Python pickle"),
        (pickle.dumps({"a": np.zeros(300)}, protocol=4), "Python pickle"),
        (b"PK\x03\x04" + bytes(30), "zip archive"),
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 4\n", "Git LFS pointer"),
    ],
)
def test_everything_else_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{what}.*expected safetensors"):
        read_header(path)
