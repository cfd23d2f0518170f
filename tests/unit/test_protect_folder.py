"""A folder of photographs in, protected faces and a table out, whatever is in the folder."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from photo_folder import DrawnFinder, open_drawn_finder, picture, protector, recipe
from PIL import Image

from bench.errors import InputError, UsageError
from bench.faces import GENDER
from bench.user_photos.photo import PhotoProtector, Result, Task, output_path
from bench.user_photos.processes import Processes
from bench.user_photos.recipe import Recipe
from bench.user_photos.record import Output, Record
from bench.user_photos.run import Protect, protect_with
from bench.user_photos.table import COLUMNS, write_table
from bench.user_photos.walk import check_folders, entries

FACE = (60, 40, 70)


def in_this_process(made: PhotoProtector) -> Protect:
    def run(tasks: Iterable[Task]) -> Generator[Result, None, None]:
        for task in tasks:
            yield made.protect(task)

    return run


def jpeg(*faces: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.fromarray(picture(200, 150, *faces)).save(buffer, "JPEG", quality=95, exif=exif, comment=b"at home")
    return buffer.getvalue()


def save(path: Path, image: Image.Image, **options: object) -> None:
    image.save(path, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Everything that a folder of a user's may hold."""
    folder = tmp_path / "in"
    (folder / "sub" / "x.jpg").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    drawn = Image.fromarray(picture(200, 150, FACE))
    whole = jpeg(FACE)
    contents = {
        "one.jpg": whole,
        "sub/one.jpg": whole,
        "sub/x.jpg/inside.JPG": whole,
        ".hidden/one.jpg": whole,
        ".one.jpg": whole,
        "zero.jpg": b"",
        "truncated.jpg": whole[: len(whole) // 2],
        "page.jpg": b"<!doctype html>",
        "notes.txt": b"hello",
        "nobody.jpg": jpeg(),
        "two.jpg": jpeg((10, 10, 60), (120, 60, 70)),
        "naïve 李明 ☺.jpg": whole,
        "=1+1.jpg": whole,
        "line\nbreak.jpg": whole,
        f"{'x' * 240}.jpg": whole,
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"latin-\xe9\xff.jpg")).write_bytes(whole)
    save(folder / "grey.png", drawn.convert("L").convert("RGB"))
    save(folder / "cmyk.jpg", drawn.convert("CMYK"), quality=95)
    transparent = drawn.convert("RGBA")
    transparent.putalpha(200)
    save(folder / "rgba.png", transparent)
    save(folder / "deep.png", Image.fromarray(np.asarray(drawn.convert("L")).astype(np.uint16) * 257))
    save(folder / "animated.gif", drawn, save_all=True, append_images=[drawn.rotate(180)])
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "turned.jpg", drawn.rotate(90, expand=True), quality=95, exif=exif)
    save(folder / "bomb.png", Image.new("1", (30_000, 30_000)))
    os.symlink(folder / "one.jpg", folder / "link.jpg")
    os.symlink(tmp_path, folder / "linked folder")
    os.symlink("/nowhere", folder / "dangling.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return folder


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(place) / name
            status = path.lstat()
            regular = path.is_file() and not path.is_symlink()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def outputs(target: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(target)): p.read_bytes()
        for p in sorted(target.rglob("*"))
        if p.is_file() and ".protect" not in p.parts
    }


def table(target: Path) -> dict[str, dict[str, str]]:
    with (target / "protected.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def go(
    source: Path, target: Path, made: Recipe, labels: Path | None = None, lines: list[str] | None = None
) -> int:
    protect = in_this_process(protector(made, source, target))
    return protect_with(
        made, protect, source, target, labels=labels, say=(lines if lines is not None else []).append
    )


# -- a whole folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("paste", [False, True])
def test_every_entry_is_accounted_for_and_no_original_touched(
    source: Path, tmp_path: Path, paste: bool
) -> None:
    before, target = state(source), tmp_path / "out"
    assert go(source, target, recipe(tmp_path, paste=paste)) == 0
    assert state(source) == before
    rows = table(target)
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys(["one.jpg", "sub/one.jpg", "sub/x.jpg/inside.JPG", "two.jpg"], "protected"),
        **dict.fromkeys(["naïve 李明 ☺.jpg", "'=1+1.jpg", r"line\x0abreak.jpg"], "protected"),
        **dict.fromkeys([f"{'x' * 240}.jpg", r"latin-\xe9\xff.jpg"], "protected"),
        **dict.fromkeys(["cmyk.jpg", "rgba.png", "animated.gif", "turned.jpg"], "protected"),
        **dict.fromkeys(["nobody.jpg", "grey.png", "deep.png"], "no_face"),  # grey: no red to be found
        **dict.fromkeys(["zero.jpg", "truncated.jpg", "page.jpg", "notes.txt", "bomb.png"], "unreadable"),
        **dict.fromkeys(["sub/x.jpg", ".hidden", ".one.jpg", "link.jpg", "linked folder"], "skipped"),
        **dict.fromkeys(["dangling.jpg", "pipe.jpg"], "skipped"),
    }
    assert rows["two.jpg"]["faces_found"] == rows["two.jpg"]["faces_protected"] == "2"
    assert (rows["turned.jpg"]["width"], rows["turned.jpg"]["height"]) == ("200", "150")
    assert rows["animated.gif"]["note"] == "first frame of several"
    assert all(row["reason"] for row in rows.values() if row["status"] != "protected")
    named = {p for row in rows.values() for p in row["outputs"].split(" | ") if p}
    written = outputs(target).keys() - {"protected.csv"}
    assert len(named) == len(written) == (13 if paste else 14)
    for path in written:
        assert path.startswith("photos/" if paste else "faces/")


@pytest.mark.parametrize("paste", [False, True])
def test_outputs_are_pictures_of_pixels_and_nothing_else(source: Path, tmp_path: Path, paste: bool) -> None:
    target = tmp_path / "out"
    go(source, target, recipe(tmp_path, paste=paste))
    for path, data in outputs(target).items():
        if path.endswith(".csv"):
            continue
        image = Image.open(io.BytesIO(data))
        assert image.format == "PNG"
        assert not image.info
        assert not image.getexif()
        assert b"home" not in data
        assert image.mode == "RGB"
        assert image.size == ((200, 150) if paste else (48, 48))


def test_pasted_photographs_differ_in_the_face_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    original = picture(200, 150, FACE)
    Image.fromarray(original).save(folder / "one.png")
    go(folder, tmp_path / "out", recipe(tmp_path, paste=True))
    pasted = np.asarray(Image.open(tmp_path / "out" / "photos" / "one.png.png"))
    face, apart = np.s_[45:105, 65:125], np.s_[:, :20]
    assert np.abs(pasted[face].astype(int) - original[face]).mean() > 3
    assert np.array_equal(pasted[apart], original[apart])


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert go(tmp_path / "in", tmp_path / "out", recipe(tmp_path)) == 0
    assert (tmp_path / "out" / "protected.csv").read_text() == ",".join(COLUMNS) + "\n"


# -- repeating -------------------------------------------------------------------------------------------


def test_a_repeat_does_only_what_is_missing(source: Path, tmp_path: Path) -> None:
    target, made = tmp_path / "out", recipe(tmp_path)
    go(source, target, made)
    first = outputs(target)
    (target / "faces" / "one.jpg.face1.png").unlink()
    (target / "faces" / "cmyk.jpg.face1.png").write_bytes(b"damaged")
    (source / "nobody.jpg").write_bytes(jpeg(FACE))
    finder, lines = DrawnFinder(), list[str]()
    again = PhotoProtector(made, source, target, finder)
    protect_with(made, in_this_process(again), source, target, labels=None, say=lines.append)
    assert len(finder.shown) == 3
    after = outputs(target)
    assert after.pop("faces/nobody.jpg.face1.png")
    assert {k: v for k, v in after.items() if k != "protected.csv"} == {
        k: v for k, v in first.items() if k != "protected.csv"
    }
    assert any("18 files taken from an earlier run" in line for line in lines), lines


@pytest.mark.parametrize("stop", [1, 6, 11])
def test_interrupted_and_repeated_gives_the_same_bytes(source: Path, tmp_path: Path, stop: int) -> None:
    made = recipe(tmp_path)
    go(source, tmp_path / "whole", made)

    def until(tasks: Iterable[Task]) -> Generator[Result, None, None]:
        mine = protector(made, source, tmp_path / "out")
        for number, task in enumerate(tasks):
            if number == stop:
                # As a kill leaves it: an output written, nothing recorded, a temporary file and a torn line.
                mine.protect(task)
                (tmp_path / "out" / "faces" / ".one.jpg.face1.png.x7").write_bytes(b"half")
                raise KeyboardInterrupt
            yield mine.protect(task)

    with pytest.raises(KeyboardInterrupt):
        protect_with(made, until, source, tmp_path / "out", labels=None, say=lambda line: None)
    with (tmp_path / "out" / ".protect" / "journal.jsonl").open("a") as journal:
        journal.write('{"path":"torn')
    go(source, tmp_path / "out", made)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_other_settings_replace_what_earlier_ones_left(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    go(source, target, recipe(tmp_path))
    weak = outputs(target)
    go(source, target, recipe(tmp_path, variant="strong"))
    strong = outputs(target)
    assert weak.keys() == strong.keys()
    assert weak["faces/one.jpg.face1.png"] != strong["faces/one.jpg.face1.png"]
    go(source, target, recipe(tmp_path, paste=True))
    assert not list((target / "faces").rglob("*.png"))
    assert len(list((target / "photos").rglob("*.png"))) == 13


def test_outputs_of_photographs_that_are_gone_are_kept_and_said(source: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "out", list[str]()
    go(source, target, recipe(tmp_path))
    (source / "one.jpg").unlink()
    go(source, target, recipe(tmp_path), lines=lines)
    assert "one.jpg" not in table(target)
    assert any("faces/one.jpg.face1.png" in line for line in lines)


def test_a_forged_journal_removes_nothing_of_others(source: Path, tmp_path: Path) -> None:
    target, victim = tmp_path / "out", tmp_path / "victim.png"
    victim.write_bytes(b"mine")
    go(source, target, recipe(tmp_path))
    forged = Record("one.jpg", "0", "protected", outputs=(Output("faces/../../victim.png", ""),))
    from bench.user_photos.journal import Journal

    with Journal(target) as journal:
        journal.add(forged)
    go(source, target, recipe(tmp_path))
    assert victim.read_bytes() == b"mine"


# -- what cannot be protected ------------------------------------------------------------------------------


def failing(made: Recipe, source: Path, target: Path, behave: Callable[..., object]) -> PhotoProtector:
    mine = protector(made, source, target)
    mine.method._protect = behave  # type: ignore[method-assign,assignment]
    return mine


def test_a_method_that_breaks_is_a_failed_file_and_no_output(source: Path, tmp_path: Path) -> None:
    target, made = tmp_path / "out", recipe(tmp_path)

    def breaks(images: object, request: object) -> object:
        raise ValueError("no such layer")

    broken = in_this_process(failing(made, source, target, breaks))
    lines: list[str] = []
    assert protect_with(made, broken, source, target, labels=None, say=lines.append) == 13
    assert table(target)["one.jpg"]["status"] == "failed"
    assert "no such layer" in table(target)["one.jpg"]["reason"]
    assert not list(target.rglob("*.png"))
    assert any(line.startswith("failed: one.jpg: ") for line in lines)
    # A repeated run tries again.
    assert go(source, target, made) == 0
    assert table(target)["one.jpg"]["status"] == "protected"


@pytest.mark.parametrize("paste", [False, True])
def test_a_face_left_as_it_was_is_never_written(tmp_path: Path, paste: bool) -> None:
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(jpeg(FACE))
    made = recipe(tmp_path, paste=paste)
    idle = in_this_process(failing(made, folder, target, lambda images, request: images))
    assert protect_with(made, idle, folder, target, labels=None, say=lambda line: None) == 0
    row = table(target)["one.jpg"]
    assert (row["status"], row["faces_found"], row["faces_protected"]) == ("unprotected", "1", "0")
    assert row["reason"] == "face 1: the method left it as it was"
    assert not list(target.rglob("*.png"))


def test_in_a_picture_a_face_that_could_not_be_protected_is_black(tmp_path: Path) -> None:
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    original = picture(400, 200, (30, 40, 90), (260, 60, 60))
    Image.fromarray(original).save(folder / "two.png")
    made = recipe(tmp_path, paste=True)
    mine = protector(made, folder, target)
    usual, calls = mine.method._protect, []

    def second_fails(images: object, request: object) -> object:
        calls.append(request)
        found = usual(images, request)  # type: ignore[arg-type]
        return found if len(calls) == 1 else found * float("nan")

    mine.method._protect = second_fails  # type: ignore[method-assign,assignment]
    protect_with(made, in_this_process(mine), folder, target, labels=None, say=lambda line: None)
    row = table(target)["two.png"]
    assert (row["status"], row["faces_found"], row["faces_protected"]) == ("partly", "2", "1")
    assert row["reason"] == "face 2: the method gave no picture"
    pasted = np.asarray(Image.open(target / "photos" / "two.png.png"))
    assert (pasted[60:120, 260:320] == 0).all()
    assert pasted[60:110, 50:100].mean() > 40


def test_faces_that_overlap_never_bring_each_others_pixels_back(tmp_path: Path) -> None:
    """The second face is cut from the picture in which the first one is protected already."""
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(picture(300, 200, (40, 50, 80), (130, 60, 60))).save(folder / "two.png")
    made = recipe(tmp_path, paste=True)
    seen = []

    def whitens(images: object, request: object) -> object:
        seen.append(images.numpy().copy())  # type: ignore[attr-defined]
        return images * 0 + 1  # type: ignore[operator]

    mine = failing(made, folder, target, whitens)
    protect_with(made, in_this_process(mine), folder, target, labels=None, say=lambda line: None)
    assert len(seen) == 2
    assert seen[1].min(axis=1).max() == 1.0  # white of the first face at the edge of the second one's frame
    assert seen[0].min(axis=1).max() < 0.9


def test_nobody_knows_the_label(tmp_path: Path) -> None:
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(jpeg(FACE))
    (folder / "other.jpg").write_bytes(jpeg(FACE))
    labels = tmp_path / "labels.csv"
    labels.write_text("file,gender\nother.jpg,Male\nthird.jpg,female\n")
    made, lines = recipe(tmp_path, told=(GENDER.name,), needed=(GENDER.name,)), list[str]()
    assert go(folder, target, made, labels, lines) == 0
    rows = table(target)
    assert rows["one.jpg"]["status"] == "unprotected"
    assert rows["one.jpg"]["reason"] == "face 1: nobody tells its gender; add a row to --labels"
    assert rows["other.jpg"]["status"] == "protected"
    assert rows["other.jpg"]["labels"] == "gender=male"
    assert rows["other.jpg"]["label_source"] == "gender=labels file"
    assert any("1 rows of --labels name no file, such as third.jpg" in line for line in lines)


# -- folders and names -------------------------------------------------------------------------------------


def test_folders_inside_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    os.symlink(tmp_path / "in" / "deep", tmp_path / "alias")
    inside = tmp_path / "in"
    for target in (inside, inside / "out", tmp_path, tmp_path / "alias", tmp_path / "in" / ".." / "in"):
        with pytest.raises(UsageError, match="lie inside each other"):
            check_folders(inside, target)
    check_folders(inside, tmp_path / "input")
    with pytest.raises(InputError, match="no such folder"):
        check_folders(tmp_path / "absent", tmp_path / "out")


def test_a_target_with_other_files_is_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "holiday.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds files that are not of an earlier run"):
        go(source, target, recipe(tmp_path))


def test_two_runs_at_once_are_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    go(source, target, recipe(tmp_path))
    with (
        FileLock(target / ".protect" / "lock"),
        pytest.raises(UsageError, match="another run is at work"),
    ):
        go(source, target, recipe(tmp_path))


def test_order_does_not_depend_on_the_file_system(source: Path) -> None:
    paths = [e.path for e in entries(source)]
    assert paths == sorted(paths, key=lambda p: [os.fsencode(part) for part in p.split("/")])
    assert len(paths) == len(set(paths)) == 28


def test_a_folder_that_cannot_be_listed_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr("bench.user_photos.walk.os.scandir", denied)
    (found,) = [e for e in entries(source) if e.path.startswith("sub")]
    assert (found.path, found.unlisted) == ("sub", True)
    assert "Permission denied" in found.skipped


def test_a_link_put_in_place_of_a_file_is_not_followed(source: Path, tmp_path: Path) -> None:
    mine = protector(recipe(tmp_path), source, tmp_path / "out")
    (source / "one.jpg").unlink()
    os.symlink(source / "two.jpg", source / "one.jpg")
    record = mine.protect(Task("one.jpg", {})).record
    assert record.status == "unreadable"
    assert record.reason.startswith("cannot be read")


def test_names_of_outputs() -> None:
    assert output_path("a/b.jpg", "faces", ".face1.png") == "faces/a/b.jpg.face1.png"
    long = [output_path(f"{'é' * 120}{i}.jpg", "faces", ".face1.png").split("/")[1] for i in range(2)]
    assert long[0] != long[1]
    assert all(len(os.fsencode(name)) <= 235 for name in long)


def test_no_cell_of_the_table_is_a_formula(tmp_path: Path) -> None:
    records = [Record(f"{start}cmd|' /C calc'!A0.jpg") for start in ("=", "+", "-", "@", "\t=", "\r=")]
    write_table(tmp_path, [*records, Record("-x", reason="=1", labels="@", note="+")])
    with (tmp_path / "protected.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r"))]


# -- processes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_worker_processes_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    made = recipe(tmp_path)
    go(source, tmp_path / "alone", made)
    processes = Processes(made, source, tmp_path / "out", 2, open_drawn_finder)
    protect_with(made, processes.run, source, tmp_path / "out", labels=None, say=lambda line: None)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "alone")


@pytest.mark.slow
def test_a_recipe_that_does_not_work_ends_the_run(source: Path, tmp_path: Path) -> None:
    made = replace(recipe(tmp_path), fit="0" * 64)
    processes = Processes(made, source, tmp_path / "out", 1, open_drawn_finder)
    with pytest.raises(InputError, match="damaged"):
        list(processes.run([Task("one.jpg", {})]))
