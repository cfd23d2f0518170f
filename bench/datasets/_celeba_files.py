"""Finds and reads the files of CelebA as its publisher ships them.

    img_align_celeba/NNNNNN.jpg  or  img_align_celeba.zip       also in Img/
    list_attr_celeba.txt         a count, 40 names, a row an image of -1 and 1       also in Anno/
    identity_CelebA.txt          "NNNNNN.jpg ID"                                     also in Anno/
    list_eval_partition.txt      "NNNNNN.jpg P", 0 train, 1 validation, 2 test       also in Eval/
    annotations_full.zip         the three lists for all images: asked for what the loose ones leave out

Line ends may be LF or CRLF, columns may be padded, and a byte-order mark is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.datasets._aligned import image_source, join_sources
from bench.datasets._image_files import ImageFiles, open_zip, read_member
from bench.errors import InputError, unknown_name
from bench.outside import MOST_TABLE, read_bytes

IMAGES = "img_align_celeba"
ATTRIBUTES, IDENTITIES, PARTITIONS = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"
ARCHIVE = "annotations_full.zip"
_SUBFOLDERS = ("", "Img", "Anno", "Eval")
_DIGITS, _SHOWN = 18, 80

T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """What the publisher says of each image at hand, by file name.

    files: where its bytes are. attributes: -1 or 1 for each name asked for, in that order.
    identities: positive numbers. partitions: 0 train, 1 validation, 2 test.
    """

    files: Mapping[str, ImageFiles]
    attributes: Mapping[str, tuple[int, ...]]
    identities: Mapping[str, int]
    partitions: Mapping[str, int]


def read_listing(roots: Sequence[Path], attributes: Sequence[str], *, partial: bool) -> Listing:
    """Join what `roots` hold; images and rows that two of them share must agree.

    attributes: official names of the columns to keep. partial: let label rows be without image.
    Raises InputError naming the file, and the line where there is one.
    """
    files = _images(roots)
    parsers: dict[str, Callable[[_Text], Mapping[str, object]]] = {
        ATTRIBUTES: lambda text: _attribute_rows(text, attributes),
        IDENTITIES: lambda text: _number_rows(text, "identity", range(1, 10**9)),
        PARTITIONS: lambda text: _number_rows(text, "partition", range(3)),
    }
    tables = {name: _table(roots, name, parse, files, partial) for name, parse in parsers.items()}
    return Listing(files, tables[ATTRIBUTES], tables[IDENTITIES], tables[PARTITIONS])  # type: ignore[arg-type]


# -- images ------------------------------------------------------------------------------------------


def _images(roots: Sequence[Path]) -> dict[str, ImageFiles]:
    sources = [(root, _image_source(root)) for root in roots]
    for root, source in sources:
        if source is None and not _has_lists(root):
            raise InputError(
                f"no CelebA in {root}: looked for {IMAGES}/, {IMAGES}.zip and {ATTRIBUTES}, "
                "also in Img/, Anno/ and Eval/; give --data the folder that holds them"
            )
    found = join_sources(source for _, source in sources if source is not None)
    if not found:
        places = ", ".join(str(r) for r in roots)
        raise InputError(
            f"no images: looked for {IMAGES}/*.jpg and {IMAGES}.zip in {places}, also in Img/; "
            "give --data the folder that holds them"
        )
    return found


def holds(root: Path) -> bool:
    """Whether `root` has images or lists of CelebA."""
    return _has_lists(root) or _image_source(root) is not None


def _has_lists(root: Path) -> bool:
    return any(_loose(root, name) for name in (ATTRIBUTES, IDENTITIES, PARTITIONS, ARCHIVE))


def _image_source(root: Path) -> ImageFiles | None:
    return image_source(root, IMAGES, ("", "Img"))


# -- label files -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    """A label file: what to call it in a message, and its lines, the first numbered 1."""

    where: str
    lines: list[str]

    @classmethod
    def of(cls, where: str, data: bytes) -> _Text:
        try:
            return cls(where, data.decode("utf-8-sig").splitlines())
        except UnicodeDecodeError as error:
            raise InputError(f"{where} is not UTF-8 text; fetch it again") from error

    def fail(self, number: int, problem: str) -> InputError:
        return InputError(f"{self.where}, line {number}: {problem}; fetch the file again or correct the line")


def _table(
    roots: Sequence[Path],
    name: str,
    parse: Callable[[_Text], Mapping[str, T]],
    images: Mapping[str, ImageFiles],
    partial: bool,
) -> dict[str, T]:
    """Rows of the images at hand, from the loose files of all roots, then from the archives."""
    rows: dict[str, T] = {}
    origin: dict[str, str] = {}
    loose = [path for root in roots if (path := _loose(root, name))]
    for path in loose:
        text = _Text.of(str(path), read_bytes(path, MOST_TABLE))
        table = parse(text)
        if not partial:
            _refuse_rows_without_image(text.where, table, images)
        _join(rows, origin, text.where, table, images)
    archives = [path for root in roots if (path := _loose(root, ARCHIVE))]
    for path in archives:
        if images.keys() - rows.keys():
            text = _from_archive(path, name)
            _join(rows, origin, text.where, parse(text), images.keys() - rows.keys())
    missing = images.keys() - rows.keys()
    if missing:
        _refuse_images_without_row(name, min(missing), images, [str(p) for p in (*loose, *archives)], roots)
    return rows


def _join(
    rows: dict[str, T], origin: dict[str, str], where: str, table: Mapping[str, T], wanted: Iterable[str]
) -> None:
    for name in wanted:
        if name not in table:
            continue
        if rows.setdefault(name, table[name]) != table[name]:
            raise InputError(
                f"{origin[name]} and {where} say different things of {name}; keep the publisher's"
            )
        origin.setdefault(name, where)


def _refuse_rows_without_image(
    where: str, table: Mapping[str, object], images: Mapping[str, ImageFiles]
) -> None:
    orphans = table.keys() - images.keys()
    if orphans:
        raise InputError(
            f"{where} has a row for {min(orphans)} ({len(orphans)} such), but there is no such image; "
            "unpack the images again, or add --set dataset_options.partial=true to go on with those at hand"
        )


def _refuse_images_without_row(
    name: str, image: str, images: Mapping[str, ImageFiles], read: Sequence[str], roots: Sequence[Path]
) -> None:
    if not read:
        places = ", ".join(str(r) for r in roots)
        raise InputError(
            f"label file {name} is missing: looked for it in {places}, also in Anno/ and Eval/ there and in "
            f"{ARCHIVE}; copy it beside the images"
        )
    raise InputError(
        f"image {image} of {images[image].where} has no row in {' or '.join(read)}; "
        f"fetch {name} again, put {ARCHIVE} beside it, or remove the image"
    )


def _loose(root: Path, name: str) -> Path | None:
    return next((p for sub in _SUBFOLDERS if (p := root / sub / name).is_file()), None)


def _from_archive(path: Path, name: str) -> _Text:
    where = f"{path}/{name}"
    with open_zip(path) as archive:
        member = next((m for m in archive.infolist() if m.filename.rpartition("/")[2] == name), None)
        if member is None:
            raise InputError(f"{path} holds no {name}; fetch it again")
        return _Text.of(where, read_member(archive, member, MOST_TABLE))


def _attribute_rows(text: _Text, wanted: Sequence[str]) -> dict[str, tuple[int, ...]]:
    lines = text.lines
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise text.fail(1, "must be the number of rows, line 2 the names of the attributes")
    names = lines[1].split()
    for name in wanted:
        if name not in names:
            raise InputError(f"{text.where}, line 2: {unknown_name('attribute', name, names)}")
    columns = [1 + names.index(name) for name in wanted]
    rows: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(lines[2:], 3):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 1 + len(names):
            raise text.fail(number, f"{len(fields) - 1} values for {len(names)} attributes")
        try:
            values = tuple([_SIGNS[fields[c]] for c in columns])
        except KeyError as error:
            raise text.fail(number, f"attribute values are -1 or 1, not {str(error)[:_SHOWN]}") from error
        _add(rows, fields[0], values, text, number)
    announced = lines[0].strip()
    if len(announced) > _DIGITS or len(rows) != int(announced):
        raise InputError(
            f"{text.where} announces {announced[:_DIGITS]} rows in line 1 and has {len(rows)}; "
            "fetch it again, or correct line 1"
        )
    return rows


_SIGNS = {"-1": -1, "1": 1}


def _number_rows(text: _Text, what: str, allowed: range) -> dict[str, int]:
    rows: dict[str, int] = {}
    for number, line in enumerate(text.lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise text.fail(number, f"must be an image name and its {what}, not {line.strip()[:_SHOWN]!r}")
        told = fields[1]
        if not told.isdecimal() or len(told) > _DIGITS or int(told) not in allowed:
            raise text.fail(number, f"unknown {what} {told[:_SHOWN]!r} of {fields[0][:_SHOWN]}")
        _add(rows, fields[0], int(fields[1]), text, number)
    return rows


def _add(rows: dict[str, T], image: str, value: T, text: _Text, number: int) -> None:
    if image in rows:
        raise text.fail(number, f"a second row for {image}")
    rows[image] = value
