"""Text from data as people may see it: nothing in it moves a cursor, colours a screen or starts a line."""

from __future__ import annotations

_BYTES_OF_NAMES = range(0xDC80, 0xDD00)
"""What Python makes of bytes in file names that are no UTF-8."""


def readable(text: str) -> str:
    """The text with control characters, and bytes that are no UTF-8, as `\\xNN` or `\\uNNNN`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """As `readable`, lines joined by a blank."""
    return readable(" ".join(text.split("\n")) if "\n" in text else text)


def _escaped(sign: str) -> str:
    code = ord(sign)
    code -= 0xDC00 if code in _BYTES_OF_NAMES else 0
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
