"""Protects the faces of one photograph and writes what comes of it.

Faces: each face in the frame of the method, as one picture. Paste: the photograph (at most `WORKING_SIDE`
long) with each face put back where it was, the largest first, every further one cut from what the ones before
left, so that no paste brings back pixels that were protected; a face that could not be is blacked out. A
photograph in which no face was protected, or none was found, gives no output.

A frame shows whatever stands around its face: of a neighbour at its edge the method makes background.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.detection import FoundFaces, central
from bench.errors import BenchError
from bench.faces import Attribute, Faces
from bench.files import no_room, write_atomically
from bench.geometry import CELEBA_LANDMARKS
from bench.photographs import MOST_BYTES, Photo, UnreadablePhotoError, decode
from bench.store import digest
from bench.user_photos.frame import Frame, moved
from bench.user_photos.labels import LabelReaders, Told, tell
from bench.user_photos.recipe import Recipe
from bench.user_photos.record import (
    FAILED,
    NO_FACE,
    PARTLY,
    PROTECTED,
    UNPROTECTED,
    UNREADABLE,
    Output,
    Record,
)

FACES, PHOTOS = "faces", "photos"
"""Folders of the target: faces by themselves, and photographs with faces put back."""

_LONGEST_NAME = 220
_READING = Frame(178, np.array(CELEBA_LANDMARKS) - [0, 20])
"""The frame in which networks read labels: the aligned square of CelebA."""


class Finder(Protocol):
    """What finds faces; see `bench.detection.FaceFinder`."""

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[FoundFaces]: ...


@dataclass(frozen=True)
class Task:
    """path: of a file, as in `Entry`. given: the user's labels of it. known: what came of it earlier."""

    path: str
    given: Mapping[str, float]
    known: Record | None = None


class Result(NamedTuple):
    """record: what became of a file. kept: whether it is an earlier run's, still true."""

    record: Record
    kept: bool = False


class _Failed(Exception):
    """The method broke; the message says how."""


class PhotoProtector:
    """Protects files of `source` into `target`, one after the other."""

    def __init__(self, recipe: Recipe, source: Path, target: Path, finder: Finder) -> None:
        self.recipe, self.source, self.target, self.finder = recipe, source, target, finder
        self.method = recipe.method()
        self.variant = self.method.variant(recipe.variant)
        attributes = {a.name: a for a in recipe.attributes}
        self.attributes: dict[str, Attribute] = {n: attributes[n] for n in recipe.told}
        self.readers = LabelReaders(self.attributes.values(), recipe.weights_folder())

    def protect(self, task: Task) -> Result:
        """What became of the file: `task.known` where that is still true, else what is made of it now.

        Raises OSError where the target is full or read-only.
        """
        try:
            data = _read(self.source / task.path)
        except UnreadablePhotoError as error:
            self._forget(task)
            return Result(Record(task.path, status=UNREADABLE, reason=str(error)))
        content = hashlib.sha256(data).hexdigest()
        key = digest({"settings": self.recipe.settings, "file": content, "labels": dict(task.given)})
        if task.known is not None and task.known.key == key and self._intact(task.known):
            return Result(task.known, kept=True)
        self._forget(task)
        return Result(self._made(data, Record(task.path, key), content, task.given))

    def _made(self, data: bytes, record: Record, content: str, given: Mapping[str, float]) -> Record:
        try:
            photo = decode(data)
        except UnreadablePhotoError as error:
            return replace(record, status=UNREADABLE, reason=str(error))
        record = replace(
            record, width=photo.width, height=photo.height, format=photo.format, note="; ".join(photo.notes)
        )
        # Without a key, so that a repeated run tries again.
        try:
            return self._protect(photo, record, content, given)
        except _Failed as error:
            return replace(record, key="", status=FAILED, reason=str(error))
        except OSError as error:
            if no_room(error):  # nor is there for any other photograph
                raise
            return replace(record, key="", status=FAILED, reason=f"cannot write: {error.strerror or error}")

    # -- one photograph ----------------------------------------------------------------------------------

    def _protect(self, photo: Photo, record: Record, content: str, given: Mapping[str, float]) -> Record:
        (found,) = self.finder.find([photo.pixels])
        if not len(found):
            return replace(record, status=NO_FACE, reason="no face was found")
        found = _largest_first(found)
        faces = self._faces(photo.pixels, found, content)
        told = self._told(photo.pixels, found, given)
        faces = replace(faces, labels=told.values, attributes=tuple(self.attributes.values()))
        unknown = [[a for a in self.recipe.needed if np.isnan(told.values[a][k])] for k in range(len(found))]
        maps = self.recipe.frame.maps(found.landmarks)
        if self.recipe.paste:
            done, reasons = self._put_back(photo.pixels, faces, maps, unknown)
        else:
            done, reasons = self._by_themselves(faces, unknown)
        pictures = [photo.pixels] if self.recipe.paste and any(d is not None for d in done) else done
        outputs = self._write(record.path, pictures)
        count = sum(d is not None for d in done)
        labels, sources = self._said(told)
        return replace(
            record,
            status=PROTECTED if count == len(found) else PARTLY if count else UNPROTECTED,
            reason="; ".join(f"face {k + 1}: {reason}" for k, reason in enumerate(reasons) if reason),
            faces_found=len(found),
            faces_protected=count,
            outputs=outputs,
            labels=labels,
            label_source=sources,
        )

    def _faces(self, pixels: NDArray[np.uint8], found: FoundFaces, content: str) -> Faces:
        """The found faces in the frame; keys, and so the seeds, follow from the file's bytes alone."""
        frame = self.recipe.frame
        maps = frame.maps(found.landmarks)
        return Faces(
            images=np.stack([frame.cut(pixels, m) for m in maps]),
            identities=np.arange(len(found), dtype=np.int64),
            keys=np.array([f"{content[:32]}/{k + 1}" for k in range(len(found))], np.str_),
            landmarks=moved(found.landmarks, maps),
        )

    def _told(self, pixels: NDArray[np.uint8], found: FoundFaces, given: Mapping[str, float]) -> Told:
        if not self.recipe.told:
            return Told({}, {})
        maps = _READING.maps(found.landmarks)
        shown = Faces(
            images=np.stack([_READING.cut(pixels, m) for m in maps]),
            identities=np.arange(len(found), dtype=np.int64),
            keys=np.array([str(k) for k in range(len(found))], np.str_),
            landmarks=moved(found.landmarks, maps),
        )
        owner = central(found, pixels.shape[1], pixels.shape[0])
        assert owner is not None
        return tell(shown, self.recipe.told, given, owner, self.readers)

    def _by_themselves(
        self, faces: Faces, unknown: Sequence[Sequence[str]]
    ) -> tuple[list[NDArray[np.uint8] | None], list[str]]:
        """Protected faces, None where one is not, and the reasons why not."""
        images, failed = self._protected(faces)
        done: list[NDArray[np.uint8] | None] = []
        reasons = []
        for k, image in enumerate(images):
            reason = _why_not(image, faces.images[k], bool(failed[k]), unknown[k])
            done.append(None if reason else image)
            reasons.append(reason)
        return done, reasons

    def _put_back(
        self,
        pixels: NDArray[np.uint8],
        faces: Faces,
        maps: NDArray[np.float64],
        unknown: Sequence[Sequence[str]],
    ) -> tuple[list[NDArray[np.uint8] | None], list[str]]:
        """As `_by_themselves`, each put into `pixels`, or blackened there."""
        frame, done, reasons = self.recipe.frame, list[NDArray[np.uint8] | None](), []
        for k, to_frame in enumerate(maps):
            one = replace(faces.take(slice(k, k + 1)), images=frame.cut(pixels, to_frame)[None])
            (image,), (reason,) = self._by_themselves(one, unknown[k : k + 1])
            if image is None:
                frame.black_out(pixels, to_frame)
            else:
                frame.paste(pixels, image, to_frame)
            done.append(image)
            reasons.append(reason)
        return done, reasons

    def _protected(self, faces: Faces) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        try:
            result = self.method.protect(
                faces, self.variant, seed=self.recipe.seed, device=self.recipe.device
            )
        except BenchError as error:
            raise _Failed(str(error)) from error
        except (Exception, SystemExit) as error:  # a bug of the method is that photograph's, not the run's
            raise _Failed(f"{self.method.id}: {type(error).__name__}: {error}") from error
        return result.images, result.failed

    def _said(self, told: Told) -> tuple[str, str]:
        """What stands in the table of the labels: of each face, attribute=class and attribute=source."""
        faces = range(max((len(v) for v in told.values.values()), default=0))
        labels, sources = [], []
        for k in faces:
            known = {a: v[k] for a, v in told.values.items() if np.isfinite(v[k])}
            labels.append(" ".join(f"{a}={_word(self.attributes[a], v)}" for a, v in known.items()))
            sources.append(" ".join(f"{a}={told.sources[a][k]}" for a in known))
        return "; ".join(labels), "; ".join(sources)

    # -- files -------------------------------------------------------------------------------------------

    def _write(self, path: str, pictures: Sequence[NDArray[np.uint8] | None]) -> tuple[Output, ...]:
        outputs = []
        for number, picture in enumerate(pictures, 1):
            if picture is None:
                continue
            ending = ".png" if self.recipe.paste else f".face{number}.png"
            name = output_path(path, PHOTOS if self.recipe.paste else FACES, ending)
            data = _png(picture)
            write_atomically(self.target / name, data)
            outputs.append(Output(name, hashlib.sha256(data).hexdigest()))
        return tuple(outputs)

    def _intact(self, known: Record) -> bool:
        try:
            return all(
                hashlib.sha256((self.target / o.path).read_bytes()).hexdigest() == o.sha256
                for o in known.outputs
            )
        except OSError:
            return False

    def _forget(self, task: Task) -> None:
        """Remove what an earlier run made of the file: it was made otherwise, or of another picture."""
        for output in task.known.outputs if task.known else ():
            (self.target / output.path).unlink(missing_ok=True)


def output_path(path: str, folder: str, ending: str) -> str:
    """Where an output goes, below the target: the name of the file with `ending`, which tells `a.jpg` from
    `a.png`. Names too long for a file system end in a checksum."""
    place, _, name = f"{folder}/{path}".rpartition("/")
    encoded = os.fsencode(name)
    if len(encoded) > _LONGEST_NAME:
        short = encoded[: _LONGEST_NAME - 20].decode("utf-8", "ignore")
        name = f"{short}~{hashlib.sha256(encoded).hexdigest()[:12]}"
    return f"{place}/{name}{ending}"


def _read(path: Path) -> bytes:
    """The bytes of a regular file; anything that took its place meanwhile is not opened or not read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadablePhotoError("neither file nor folder")
            if status.st_size > MOST_BYTES:
                raise UnreadablePhotoError(f"larger than {MOST_BYTES // 1_000_000} MB")
            return file.read()
    except OSError as error:
        raise UnreadablePhotoError(f"cannot be read: {error.strerror or error}") from error


def _largest_first(found: FoundFaces) -> FoundFaces:
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    order = np.argsort(-areas, kind="stable")
    return FoundFaces(found.boxes[order], found.scores[order], found.landmarks[order])


def _why_not(
    image: NDArray[np.uint8], original: NDArray[np.uint8], failed: bool, unknown: Sequence[str]
) -> str:
    """Why a face is not protected, or an empty string."""
    if unknown:
        return f"nobody tells its {' and '.join(unknown)}; add a row to --labels"
    if failed:
        return "the method gave no picture"
    return "the method left it as it was" if np.array_equal(image, original) else ""


def _word(attribute: Attribute, value: float) -> str:
    return f"{value:g}" if attribute.is_number else attribute.classes[int(value)]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of the pixels and nothing else."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
