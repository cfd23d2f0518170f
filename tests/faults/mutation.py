"""Spoils valid files: the ways in which files come to be bad, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

TOKENS = (
    *(
        b"\0",
        b'"',
        b"'",
        b",",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b" " * 300,
        b"\xef\xbb\xbf",
        b"\xff\xfe",
    ),
    *(b"\x1b[2J", b"=1+1", b"-1", b"1e999", b"nan", b"-inf", b"9" * 5000, b"0x10", b"1_0", b"\xd9\xa1"),
    *(b"../../etc/passwd", b"/etc/passwd", b"C:\\x", b"<script>", b"{{", b"}}", b"[" * 3000, b"{" * 2000),
    *(b"*a", b"&a [*a]", b"!!python/object/apply:os.system [x]", b"<<: *a", b"2020-13-45", b"~", b": "),
    *(
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b"\xe2\x80\xa8",
        b"\x85",
        b"\xed\xa0\x80",
        b"PK\x03\x04",
        b"\x80\x04",
    ),
    *(b"#", b"%", b"\x7f", b"A" * 140_000, b"\xc3", b"18446744073709551616", b"-9223372036854775809"),
)
"""What is put somewhere: signs that formats live by, numbers beyond any, code, other encodings."""


@dataclass(frozen=True)
class Harm:
    """kind: of `KINDS`. where: share of the file. much: how much. token: number of one of `TOKENS`."""

    kind: int
    where: float
    much: int
    token: int


def _flip(data: bytes, at: int, harm: Harm) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << harm.much % 8)]) + data[at + 1 :]


def _byte(data: bytes, at: int, harm: Harm) -> bytes:
    return data[:at] + bytes([harm.much % 256]) + data[at + 1 :]


def _delete(data: bytes, at: int, harm: Harm) -> bytes:
    return data[:at] + data[at + harm.much :]


def _insert(data: bytes, at: int, harm: Harm) -> bytes:
    return data[:at] + TOKENS[harm.token] + data[at:]


def _overwrite(data: bytes, at: int, harm: Harm) -> bytes:
    token = TOKENS[harm.token]
    return data[:at] + token + data[at + len(token) :]


def _cut(data: bytes, at: int, harm: Harm) -> bytes:
    return data[:at]


def _repeat(data: bytes, at: int, harm: Harm) -> bytes:
    return data[: at + harm.much] + data[at:]


def _line(data: bytes, at: int, harm: Harm) -> bytes:
    """The line there twice, or, of an odd amount, not at all."""
    lines = data.split(b"\n")
    number = data[:at].count(b"\n")
    return b"\n".join(lines[:number] + [lines[number]] * (0 if harm.much % 2 else 2) + lines[number + 1 :])


def _word(data: bytes, at: int, harm: Harm) -> bytes:
    """A token in place of what stands between two signs of a format."""
    signs = b" ,\t\n:[]{}\"'"
    start = next((n + 1 for n in range(at, -1, -1) if data[n] in signs), 0)
    stop = next((n for n in range(max(at, start), len(data)) if data[n] in signs), len(data))
    return data[:start] + TOKENS[harm.token] + data[stop:]


def _encode(data: bytes, at: int, harm: Harm) -> bytes:
    text = data.decode("utf-8", "replace")
    ways: tuple[Callable[[str], bytes], ...] = (
        lambda t: t.encode("utf-16"),
        lambda t: t.encode("utf-8-sig"),
        lambda t: t.encode("latin-1", "replace"),
        lambda t: t.replace("\n", "\r\n").encode(),
        lambda t: t.replace("\n", "\r").encode(),
        lambda t: t.replace(",", ";").encode(),
    )
    return ways[harm.much % len(ways)](text)


KINDS = (_flip, _byte, _delete, _insert, _overwrite, _cut, _repeat, _line, _word, _word, _encode)
_MOST_BYTES = 2_000_000


def spoilt(data: bytes, harms: Sequence[Harm]) -> bytes:
    """`data` after all of them."""
    for harm in harms:
        if data and len(data) < _MOST_BYTES:
            data = KINDS[harm.kind](data, min(int(harm.where * len(data)), len(data) - 1), harm)
    return data


def random_harms(rng: Random, most: int = 5) -> list[Harm]:
    """One or more harms at random."""
    return [
        Harm(
            rng.randrange(len(KINDS)), rng.random(), int(2 ** rng.uniform(0, 11)), rng.randrange(len(TOKENS))
        )
        for _ in range(rng.randint(1, most))
    ]
