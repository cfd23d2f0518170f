"""What must never be published: pictures of real faces, and where things are on somebody's machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from bench.machine_paths import machine_paths
from bench.outside import read_parquet

_PICTURE = re.compile(rb"data:image/|<\s*(?:img|image|picture|video|object|embed|iframe)\b", re.IGNORECASE)
_PIXELS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_TEXTS = (".csv", ".json", ".svg", ".md")


def unsafe(folder: Path, *, photographs: bool) -> Iterator[str]:
    """What in a folder of results must not be published, a line each. photographs: of a dataset of those."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        data = path.read_bytes()
        if photographs and _shows_faces(path, data):
            yield (
                f"{name} has a picture in it, and the dataset is of photographs of real people: a report "
                "without --show-faces has none"
            )
        for found in dict.fromkeys(machine_paths(_text(path, data))):
            yield f"{name} names a folder of this machine: {found}"


def _shows_faces(path: Path, data: bytes) -> bool:
    if path.suffix in (".html", ".svg"):
        return _PICTURE.search(data) is not None
    # What is drawn from numbers comes as SVG beside its PNG, faces as PNG alone.
    return path.suffix.lower() in _PIXELS and not path.with_suffix(".svg").is_file()


def _text(path: Path, data: bytes) -> str:
    """All that somebody could read in a file."""
    if path.suffix == ".html":
        page = _Shown()
        page.feed(data.decode())
        return "\n".join(page.texts)
    if path.suffix == ".parquet":
        table = read_parquet(path)
        columns = (table[name].dropna() for name in table if table[name].dtype.kind not in "fiub")
        return "\n".join(str(word) for column in columns for word in column)
    return data.decode() if path.suffix in _TEXTS else ""


class _Shown(HTMLParser):
    """Texts and attributes of a page; its own script, styles and what is packed into addresses aside."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.skipped = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skipped = tag if tag in ("script", "style") else ""
        self.texts += [value for _, value in attrs if value and not value.startswith("data:")]

    def handle_endtag(self, tag: str) -> None:
        self.skipped = ""

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.texts.append(data)
