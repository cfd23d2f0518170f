"""Tells files of plain numbers from whatever else gets saved under their names, without loading any."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.outside import parse_json

HEAD = 512
"""Bytes from the start of a file that `foreign_kind` looks at."""

_MAX_HEADER = 8 * 2**20
_MOST_SIDES, _SHOWN = 16, 120
_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True)
class Tensor:
    """What a safetensors header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def foreign_kind(head: bytes) -> str:
    """What a file that starts with `head` is if it certainly holds no plain numbers, else an empty string.

    A pickle is refused even if its checksum were the expected one: reading it runs whatever code is in it.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "empty"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page, not weights (a download that needed a login or a confirmation)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    # The length that a safetensors file starts with can look like the first bytes of a pickle.
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5 and not _starts_safetensors(head):
        return "a Python pickle, which runs code when it is read"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive (torch.save writes such pickles), not plain weights"
    return ""


def is_pickle(kind: str) -> bool:
    """Whether `foreign_kind` said that a file has to be converted before anybody may read it."""
    return "pickle" in kind


def conversion(name: str) -> str:
    """What to do with a pickle to use its numbers here under `name`."""
    return (
        "convert it in an environment that you trust with its code: "
        'python -c "import torch, safetensors.torch as s; s.save_file({k: torch.as_tensor(v).contiguous() '
        "for k, v in torch.load('PICKLE', map_location='cpu', weights_only=True).items()}, "
        f"'{name}.safetensors')\", then python -m bench weights add {name} {name}.safetensors"
    )


def read_header(path: Path) -> dict[str, Tensor]:
    """Names, dtypes and shapes of the tensors in a safetensors file; no tensor is read.

    Raises InputError saying what was found and expected where the file is anything else: not safetensors, a
    header of absurd length, offsets that do not fit, truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
        if kind := foreign_kind(head):
            raise InputError(f"{path} is {kind}; expected safetensors")
        if len(head) < 9:
            raise InputError(f"{path} has {size} bytes; expected safetensors, which has more than 8")
        length = int.from_bytes(head[:8], "little")
        if length > _MAX_HEADER:
            raise InputError(
                f"{path} announces a header of {length:,} bytes; expected at most {_MAX_HEADER:,}: "
                "this is no safetensors file"
            )
        if 8 + length > size:
            raise InputError(
                f"{path} is truncated: its header alone takes {8 + length:,} bytes, the file has {size:,}"
            )
        file.seek(8)
        tensors, data = _parsed(file.read(length), path)
    if 8 + length + data != size:
        kind = "truncated" if 8 + length + data > size else "longer than its header says"
        raise InputError(f"{path} is {kind}: expected {8 + length + data:,} bytes, found {size:,}")
    return tensors


def _starts_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER


def _parsed(text: bytes, path: Path) -> tuple[dict[str, Tensor], int]:
    """Tensors by name and the bytes their numbers take."""
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise InputError(f"the header of {path} is no JSON ({error}); expected safetensors") from error
    if not isinstance(entries, dict):
        raise InputError(f"the header of {path} lists no tensors; expected safetensors")
    entries.pop("__metadata__", None)
    tensors: dict[str, Tensor] = {}
    spans = []
    for name, entry in entries.items():
        tensors[name], span = _tensor(name, entry, path)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise InputError(f"the header of {path} has a gap or an overlap at byte {end:,} of the numbers")
        end = stop
    return tensors, end


def _tensor(name: str, entry: Any, path: Path) -> tuple[Tensor, tuple[int, int]]:
    try:
        dtype, shape = str(entry["dtype"]), tuple(map(_whole, entry["shape"]))
        start, stop = map(_whole, entry["data_offsets"])
        counted = len(shape) <= _MOST_SIDES and min(shape, default=0) >= 0 <= start
        fits = counted and stop - start == prod(shape) * _BYTES[dtype]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"{name[:_SHOWN]}: {str(entry)[:_SHOWN]}"
        raise InputError(f"the header of {path} says nothing usable of {said}") from error
    if not fits:
        raise InputError(
            f"the header of {path} gives {name[:_SHOWN]} {dtype} {str(shape)[:_SHOWN]} in {stop - start:,} "
            "bytes, which do not fit"
        )
    return Tensor(dtype, shape), (start, stop)


def _whole(number: Any) -> int:
    if type(number) is not int or abs(number) >= 2**63:
        raise ValueError(f"{number} is no size")
    return number
