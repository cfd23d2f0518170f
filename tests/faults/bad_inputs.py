"""Bad inputs, one a row: what is made, what is done with it, and what must come of it.

A command line is typed in the folder that was made. Status 2 is a line on the standard error that begins
with `error: `; status 1 of `check` and `data verify` is a finding on the standard output. A row with a call
instead of a command names the exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.datasets.celeba import OFFICIAL
from bench.errors import BenchError, InputError, Unavailable
from bench.photographs import UnreadablePhotoError, decode

from .bad_files import (
    Make,
    also,
    animation,
    announced_jpeg,
    announced_png,
    announcing,
    celeba,
    cut,
    edited,
    folder,
    lfw,
    linked,
    method,
    picture,
    put,
    rows_changed,
    run_folder,
    swap,
    tensors,
    zipped,
)


@dataclass(frozen=True)
class Bad:
    """make: fills an empty folder. run: a command line, or a call with that folder. outcome: exit status, or
    the exception. said: what the message must hold: where it is, and what is wrong or to be done."""

    area: str
    name: str
    make: Make
    run: str | Callable[[Path], object]
    outcome: int | type[BenchError]
    said: tuple[str, ...]


NOTHING = put({})
TABLE: list[Bad] = []


def _rows(area: str, *rows: tuple[object, ...]) -> None:
    for name, make, run, outcome, *said in rows:
        TABLE.append(Bad(area, name, make, run, outcome, tuple(said)))  # type: ignore[arg-type]


# -- the command line ----------------------------------------------------------------------------------

_rows(
    "command line",
    ("unknown command", NOTHING, "nosuch", 2, "No such command", "nosuch"),
    ("unknown option", NOTHING, "run --nosuch 3", 2, "No such option", "--nosuch"),
    ("text for a number", NOTHING, "run --seed x", 2, "--seed", "integer"),
    ("misspelt method", NOTHING, "plan --methods sann", 2, "method 'sann'", "did you mean san?"),
    ("unknown variant", NOTHING, "plan --methods san:zz", 2, "variant of san 'zz'", "known: nt, op, sm"),
    ("no method", NOTHING, "plan --methods ,", 2, "--methods", "names nothing"),
    (
        "method with terminal codes",
        NOTHING,
        "plan --methods bl\x1b[31mur",
        2,
        r"bl\x1b[31mur",
        "did you mean blur",
    ),
    ("method over two lines", NOTHING, "plan --methods 'bl\nur'", 2, "'bl ur'"),
    ("very long method", NOTHING, f"plan --methods {'x' * 100_000}", 2, "unknown method 'xxx", "known:"),
    ("misspelt dataset", NOTHING, "plan --dataset celebb", 2, "dataset 'celebb'", "did you mean celeba?"),
    ("misspelt attacker", NOTHING, "plan --attackers svn", 2, "attacker 'svn'", "did you mean svm?"),
    ("misspelt matcher", NOTHING, "plan --matchers arcfac", 2, "matcher 'arcfac'", "did you mean"),
    ("unknown rung", NOTHING, "plan --threats nosuch", 2, "threat 'nosuch'", "known: aware"),
    ("unknown attribute", NOTHING, "plan --attributes nosuch", 2, "attribute of synthetic", "known: age"),
    ("unknown extractor", NOTHING, "plan --extractors nosuch", 2, "extractor", "'nosuch'", "known:"),
    ("unknown label source", NOTHING, "plan --label-source nosuch", 2, "label_source", "'truth'"),
    ("unknown preset", NOTHING, "plan --preset nosuch", 2, "preset 'nosuch'", "paper"),
    ("unknown protocol", NOTHING, "plan --protocol nosuch", 2, "protocol 'nosuch'", "flowsan"),
    ("unknown device", NOTHING, "plan --device tpu", 2, "device", "cuda:1", "'tpu'"),
    ("unknown way of inference", NOTHING, "plan --inference nosuch", 2, "inference", "'exact'"),
    ("unknown training dataset", NOTHING, "plan --train-on nosuch", 2, "dataset 'nosuch'", "known:"),
    ("pairs that are no counts", NOTHING, "plan --pairs 5", 2, "pairs", "1000/2000"),
    ("negative seed", NOTHING, "plan --seed -1", 2, "seed", "got -1"),
    ("no seeds", NOTHING, "plan --seeds 0", 2, "seeds", "got 0"),
    ("a million seeds", NOTHING, "plan --seeds 1000000", 2, "seeds", "1000"),
    ("images of a gigapixel", NOTHING, "plan --size 100000", 2, "size", "4096"),
    ("a million workers", NOTHING, "plan --workers 1000000", 2, "workers", "4096"),
    ("setting without a value", NOTHING, "plan --set x", 2, "--set x", "key=value"),
    ("setting of a part of a value", NOTHING, "plan --set pairs=all --set pairs.x=1", 2, "--set pairs.x"),
    ("setting that nobody knows", NOTHING, "plan --set seeed=1", 2, "'seeed'", "did you mean seed"),
    ("setting that is no YAML", NOTHING, "plan --set size=[1", 2, "--set size", "column 3"),
    ("setting that runs code", NOTHING, "plan --set 'size=!!python/object/apply:os.getcwd []'", 2, "--set"),
    ("setting that holds itself", NOTHING, "plan --set 'options=&a [*a]'", 2, "--set", "holds itself"),
    ("option of another type", NOTHING, "plan --set options.san.steps=.nan", 2, "steps of san", "got nan"),
    ("option of nobody", NOTHING, "plan --set options.blurr.x=1", 2, "'blurr'", "did you mean blur"),
    ("option that a method lacks", NOTHING, "plan --set options.blur.x=1 --methods blur", 2, "of blur 'x'"),
    ("weights that are not there", NOTHING, "plan --weights nosuch", 2, "nosuch", "--weights"),
    ("store that is a file", put({"s": "x"}), "plan --methods blur --store s", 2, "store", "name a folder"),
    ("report into a file", put({"o": "x"}), "run --methods blur --out o", 2, "out", "name a folder"),
    ("component called as a path", NOTHING, "new method ../evil", 2, "'../evil'", "lower case"),
    ("component called as a keyword", NOTHING, "new method class", 2, "'class'", "lower case"),
    ("component that is there", NOTHING, "new method blur", 2, "blur", "already"),
    ("check of nobody", NOTHING, "check nosuch", 2, "component 'nosuch'", "known:"),
    ("list of nothing", NOTHING, "list nosuch", 2, "'nosuch'", "'methods'"),
    ("batch that is no number", NOTHING, "throughput --batch x", 2, "--batch x", "1,16,128"),
)

# -- configuration -------------------------------------------------------------------------------------


def _config(name: str, text: str | bytes, *said: str) -> tuple[object, ...]:
    return name, put({"c.yaml": text}), "plan --methods blur --config c.yaml", 2, "c.yaml", *said


def _laughs() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "options:\n" + "".join(f"  {line}\n" for line in lines)


_rows(
    "configuration",
    ("missing file", NOTHING, "plan --config c.yaml", 2, "c.yaml", "No such file", "--config"),
    ("folder", put({"c/x": ""}), "plan --config c", 2, "cannot read c", "directory"),
    ("endless device", NOTHING, "plan --config /dev/zero", 2, "/dev/zero", "no regular file"),
    _config("half a list", "size: [1", "not YAML", "line 1, column 9"),
    _config("list of settings", "- size", "mapping"),
    _config("only words", "just words", "mapping"),
    _config("unknown key", "datset: celeba", "'datset'", "did you mean dataset"),
    _config("key that is a number", "1: 2", "key '1'"),
    _config("key that stands twice", "seed: 1\nseed: 2\n", "'seed' stands twice"),
    _config("value of another type", "seed: many", "seed", "'many'"),
    _config("code to be run", "size: !!python/object/apply:os.system ['touch ran']", "python/object"),
    _config("aliases within aliases", _laughs(), "unfolds to more than"),
    _config("merges within merges", _laughs().replace("[x", "{x: 1}\n#"), "not YAML"),
    _config("value that holds itself", "options: &a {san: *a}", "holds itself"),
    _config("thousand lists in lists", f"options: {'[' * 3000}", "nested too deeply"),
    _config("UTF-16", "seed: 1".encode("utf-16"), "line 1", "UTF-8"),
    _config("NUL", b"seed: 1\0", "not YAML"),
    _config("too large", "#" * 2**19, "bytes", "--config"),
    _config("number of 5,000 digits", f"seed: {'9' * 5000}", "digits"),
    _config("day that never was", "seed: 2020-13-45", "month"),
    _config("path with a NUL", 'store: "a\\0b"', "store", "NUL"),
    _config("text with terminal codes", 'pairs: "\\e[2J"', r"\x1b[2J"),
    _config("seed beyond any", f"seed: {10**30}", "seed"),
)

# -- datasets ------------------------------------------------------------------------------------------


def _data(dataset: str, name: str, make: Make, *said: str, status: int = 1) -> tuple[object, ...]:
    return f"{dataset}: {name}", make, f"data verify --dataset {dataset} --data d", status, *said


def _at(make: Make) -> Make:
    return lambda place: make(_made(place / "d"))


def _made(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _celeba(name: str, file: str, change: Callable[[bytes], bytes], *said: str) -> tuple[object, ...]:
    return _data("celeba", name, _at(edited(celeba(), file, change)), file, *said)


def _image(name: str, change: Callable[[bytes], bytes], *said: str) -> tuple[object, ...]:
    return _data("celeba", name, _at(edited(celeba(), _IMAGE, change)), "000001.jpg", *said)


_ATTR, _WHO, _PART = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"
_IMAGE = "img_align_celeba/000001.jpg"

_rows(
    "celeba",
    _data("celeba", "no such folder", NOTHING, "no such folder", "--data", status=2),
    _data("celeba", "empty folder", _at(NOTHING), "no CelebA", "--data"),
    _celeba("a count that is not kept", _ATTR, swap("4\n", "9\n"), "announces 9 rows", "has 4"),
    _celeba("a count of 5,000 digits", _ATTR, swap("4\n", "9" * 5000 + "\n"), "announces 9"),
    _celeba("no names of attributes", _ATTR, swap(" ".join(OFFICIAL), "Male"), "line 2", "'Young'"),
    _celeba("a hundred thousand attributes", _ATTR, swap("Male", "x " * 100_000), "line 2", "Male"),
    _celeba("a row that is cut", _ATTR, cut(0.9), "values for 40 attributes"),
    _celeba("a sign that is none", _ATTR, lambda d: d.replace(b" -1", b" 7", 60), "line 3", "-1 or 1"),
    _celeba("bytes that are no text", _ATTR, lambda d: d + b"\xff\xfe", "UTF-8"),
    _celeba("UTF-16", _WHO, lambda d: d.decode().encode("utf-16"), "UTF-8"),
    _celeba("a NUL in a name", _WHO, swap("000001.jpg", "00\x0001.jpg"), "no such image"),
    _celeba("a name that leads out", _WHO, swap("000001.jpg", "../../x.jpg"), "../../x.jpg", "no such image"),
    _celeba("a row twice", _WHO, lambda d: d + b"000001.jpg 1\n", "second row for 000001.jpg"),
    _celeba("a person of 5,000 digits", _WHO, swap("jpg 1", "jpg " + "9" * 5000), "line 1", "identity"),
    _celeba("a partition beyond the three", _PART, swap("jpg 2", "jpg 7"), "line 3", "partition '7'"),
    _celeba("a list without a row", _PART, swap("000004.jpg 0\n", ""), "000004.jpg"),
    _celeba("an empty list", _PART, lambda d: b"", "000001.jpg"),
    _data(
        "celeba",
        "a person in two partitions",
        _at(edited(celeba(), _WHO, swap("000002.jpg 2", "000002.jpg 1"))),
        "identity 1",
        "two partitions",
    ),
    _image("an empty image", lambda d: b"", "empty"),
    _image("half an image", cut(0.5), "truncated"),
    _image("a web page for an image", lambda d: b"<html>", "no JPEG"),
    _image("an image of another size", lambda d: picture(64, 64), "64x64", "178x218"),
    _image("an image of four gigapixels", lambda d: announced_jpeg(65500, 65500), "65500x65500", "178x218"),
    _image("rubbish in a JPEG", lambda d: b"\xff\xd8" + d[30:60] + b"\xff\xd9", "cannot be decoded"),
    _data(
        "celeba",
        "an image that is a link out of the folder",
        _at(also(celeba(), linked(_IMAGE, "/etc/hostname"))),
        "000001.jpg",
        "link that leaves",
    ),
    _data(
        "celeba",
        "an image that is a link to itself",
        _at(also(celeba(), linked(_IMAGE, "000001.jpg"))),
        "cannot read",
        "000001.jpg",
    ),
    _data(
        "celeba",
        "an image that never ends",
        _at(also(celeba(), linked(_IMAGE, "/dev/zero"))),
        "000001.jpg",
    ),
    _data("celeba", "a zip that is cut", _at(put({"img_align_celeba.zip": b"PK\x03\x04"})), "complete zip"),
    _data(
        "celeba",
        "a zip with one name twice",
        _at(zipped("img_align_celeba.zip", {"a/1.jpg": b"1", "b/1.jpg": b"2"})),
        "two files called 1.jpg",
    ),
    _data(
        "celeba",
        "lists in a zip that unpack to 4 GB",
        _at(
            also(
                put({_IMAGE: picture()}),
                zipped("annotations_full.zip", {_ATTR: b"1\n", _WHO: b"", _PART: b""}),
                announcing("annotations_full.zip", 2**32 - 2),
            )
        ),
        "announces 4,294,967,294 bytes",
        _ATTR,
    ),
)

_rows(
    "publishers",
    _data("lfw", "no photos", _at(put({"lfw/x.jpg": b""})), "no LFW", "Name/Name_0001.jpg"),
    _data("lfw", "a pair list with no head", _at(edited(lfw(), "pairs.txt", swap("1 2\n", "")))),
    _data(
        "lfw", "a pair of one photo", _at(edited(lfw(), "pairs.txt", swap("Ann 1 2", "Ann 1 1"))), "line 2"
    ),
    _data(
        "lfw",
        "a pair too few",
        _at(edited(lfw(), "pairs.txt", swap("Bob 1 2\n", ""))),
        "pairs.txt",
        "announces",
    ),
    _data(
        "lfw",
        "a number of 5,000 digits in a pair",
        _at(edited(lfw(), "pairs.txt", swap("Ann 1 2", f"Ann 1 {'9' * 5000}"))),
        "pairs.txt, line 2",
    ),
    _data(
        "lfw",
        "folds beyond any",
        _at(edited(lfw(), "pairs.txt", swap("1 2\n", "999999999 999999999\n"))),
        "pairs.txt",
        "announces",
    ),
    _data("lfw", "a name of another kind", _at(edited(lfw(), "male_names.txt", swap("_0001", ""))), "line 1"),
    _data(
        "lfw", "genders in UTF-16", _at(edited(lfw(), "male_names.txt", lambda d: b"\xff\xfe" + d)), "UTF-8"
    ),
    _data(
        "lfw",
        "scores that are no numbers",
        _at(
            also(
                lfw(),
                put(
                    {
                        "lfw_attributes.txt": "#\n#\tperson\timagenum\tMale\tEyeglasses\tSmiling\t"
                        "Heavy Makeup\tReceding Hairline\tBushy Eyebrows\tNarrow Eyes\tBig Nose\tBig Lips\n"
                        "Ann\t1" + "\t1_0" * 9 + "\n"
                    }
                ),
            )
        ),
        "lfw_attributes.txt, line 3",
        "must be a number",
    ),
    _data(
        "lfw",
        "a missing column of scores",
        _at(also(lfw(), put({"lfw_attributes.txt": "#\n#\tperson\timagenum\nAnn\t1\n"}))),
        "lfw_attributes.txt, line 2",
        "no column 'Male'",
    ),
    _data("utkface", "a name without an age", _at(put({"UTKFace/a.jpg": picture(200, 200)})), "a.jpg", "age"),
    _data(
        "utkface",
        "an age beyond any",
        _at(put({"UTKFace/999_0_0_20170109.jpg": picture(200, 200)})),
        "999_0_0_20170109.jpg",
        "116",
    ),
    _data(
        "utkface",
        "an image of another size",
        _at(put({"UTKFace/9_0_0_20170109.jpg": picture(20, 20)})),
        "20x20",
        "200x200",
    ),
    _data(
        "morph",
        "two rows that differ",
        _at(
            put(
                {
                    "009055_1M54.JPG": picture(100, 100),
                    "t.csv": "race,gender,age,photo\nB,M,54,009055_1M54.JPG\nW,M,54,009055_1M54.JPG\n",
                }
            )
        ),
        "t.csv, line 3",
        "009055_1M54",
    ),
    _data(
        "morph",
        "a gender that is none",
        _at(
            put(
                {
                    "009055_1M54.JPG": picture(100, 100),
                    "t.csv": "race,gender,age,photo\nB,?,54,009055_1M54.JPG\n",
                }
            )
        ),
        "t.csv, line 2",
        "M or F",
    ),
    _data(
        "morph",
        "an age that is infinite",
        _at(
            put(
                {
                    "009055_1M54.JPG": picture(100, 100),
                    "t.csv": "race,gender,age,photo\nB,M,inf,009055_1M54.JPG\n",
                }
            )
        ),
        "t.csv, line 2",
        "age must be a number",
    ),
    _data(
        "muct",
        "landmarks of another table",
        _at(put({"jpg/i000qa-fn.jpg": picture(100, 100), "muct76-opencv.csv": "name,tag\nx,0\n"})),
        "muct76-opencv.csv, line 1",
        "no column",
    ),
    _data(
        "vggface2",
        "a list of people that is cut",
        _at(
            put(
                {
                    "train/n000002/0001_01.jpg": picture(100, 100),
                    "identity_meta.csv": 'Class_ID, Name, Sample_Num, Flag, Gender\nn000002, "A", 1, 1\n',
                }
            )
        ),
        "identity_meta.csv, line 2",
        "Gender (m or f)",
    ),
    _data(
        "vggface2",
        "a quote that never ends",
        _at(
            put(
                {
                    "train/n000002/0001_01.jpg": picture(100, 100),
                    "identity_meta.csv": 'Class_ID,Name\nn000002,"' + "x" * 200_000,
                }
            )
        ),
        "identity_meta.csv",
        "field larger",
    ),
    _data(
        "rafd",
        "an emotion of nobody's",
        _at(put({"Rafd090_01_Caucasian_female_bored_frontal.jpg": picture(100, 100)})),
        "bored",
        "angry",
    ),
    _data("att", "no photos", _at(put({"s1/x.pgm": b"P5"})), "no AT&T faces", "s1/1.pgm"),
    _data(
        "arface", "a photo that is cut", _at(put({"m-001-01.bmp": picture(90, 90, "BMP")[:200]})), "m-001-01"
    ),
)


def _folder(name: str, manifest: str | bytes, *said: str, **photos: bytes) -> tuple[object, ...]:
    return _data("folder", name, _at(folder(manifest, **photos)), *said)


_TWO = "file,identity,hat\na.jpg,ann,no\nb.jpg,bob,yes\n"

_rows(
    "own photographs",
    _data("folder", "no manifest", _at(put({"a.jpg": picture()})), "no manifest.csv", "identity"),
    _folder("an empty manifest", "", "manifest.csv is empty"),
    _folder("a manifest without people", "file,hat\na.jpg,no\n", "line 1", "no column 'identity'"),
    _folder("a column twice", "file,identity,hat,hat\na.jpg,ann,no,no\n", "line 1", "'hat'"),
    _folder("a column without a name", "file,identity,,x\na.jpg,ann,no,1\n", "no name"),
    _folder("a row too short", "file,identity,hat\na.jpg,ann\n", "line 2", "2 values for 3"),
    _folder("a row too long", "file,identity,hat\na.jpg,ann,no,1\n", "line 2", "4 values for 3"),
    _folder("a file twice", _TWO + "a.jpg,ann,no\n", "line 4", "stands in line 2 already"),
    _folder("a path out of the folder", _TWO.replace("a.jpg", "../../etc/passwd"), "line 2", "plain path"),
    _folder("an absolute path", _TWO.replace("a.jpg", "/etc/passwd"), "line 2", "plain path"),
    _folder("a path with backslashes", _TWO.replace("a.jpg", "..\\\\a.jpg"), "line 2", "plain path"),
    _folder("a photo that is not there", _TWO.replace("a.jpg", "z.jpg"), "line 2", "no photo z.jpg"),
    _folder("a NUL in a path", _TWO.replace("a.jpg", "a\x00.jpg"), "line 2", r"a\x00.jpg"),
    _folder("terminal codes in a path", _TWO.replace("a.jpg", "\x1b[2Ja.jpg"), "line 2", r"\x1b[2Ja.jpg"),
    _folder("nobody on a photo", _TWO.replace("ann", ""), "line 2", "identity"),
    _folder("a pool of nobody's", "file,identity,pool\na.jpg,ann,tset\nb.jpg,b,\n", "line 2", "'tset'"),
    _folder("a person in two pools", "file,identity,pool\na.jpg,ann,test\nb.jpg,ann,attack\n", "ann", "test"),
    _folder(
        "a number that is none", "file,identity,age [years]\na.jpg,ann,old\nb.jpg,b,1\n", "line 2", "age"
    ),
    _folder("an infinite number", "file,identity,age [years]\na.jpg,ann,1e999\nb.jpg,b,1\n", "line 2", "age"),
    _folder("a number with underscores", "file,identity,age [years]\na.jpg,ann,3_1\nb.jpg,b,1\n", "'3_1'"),
    _folder(
        "an attribute of one class", _TWO.replace("yes", "x").replace("no", "x"), "'hat'", "leave it out"
    ),
    _folder("an attribute called as a formula", _TWO.replace("hat", "=hat()"), "'=hat()'", "letters"),
    _folder("landmarks in part", "file,identity,nose_x\na.jpg,ann,3\nb.jpg,bob,\n", "line 2", "left_eye_x"),
    _folder("UTF-16", _TWO.encode("utf-16"), "manifest.csv, line 1", "UTF-8"),
    _folder("Latin-1", _TWO.replace("ann", "änn").encode("latin-1"), "manifest.csv, line 2", "UTF-8"),
    _folder("a cell of 200,000 signs", _TWO.replace("ann", "x" * 200_000), "line 2", "field larger"),
    _data(
        "folder",
        "a photo that is a link out of the folder",
        _at(also(folder(), linked("a.jpg", "/etc/hostname"))),
        "a.jpg",
        "link that leaves",
    ),
    _data(
        "folder",
        "a photo that is a link to itself",
        _at(also(folder(), linked("a.jpg", "a.jpg"))),
        "cannot read",
        "a.jpg",
    ),
    _folder("an empty photo", _TWO, "a.jpg", "empty", a_jpg=b""),
    _folder("a photo that is cut", _TWO, "a.jpg", "damaged", a_jpg=picture(100, 100)[:600]),
    _folder("a script for a photo", _TWO, "a.jpg", "no picture", a_jpg=b"#!/bin/sh\n"),
    _folder("an animation", _TWO, "a.jpg", "animated", a_jpg=animation()),
    _folder("a photo of 3.6 gigapixels", _TWO, "a.jpg", "million pixels", a_jpg=announced_png(60000, 60000)),
)

# -- photographs ---------------------------------------------------------------------------------------


def _photo(name: str, data: Callable[[], bytes], *said: str) -> tuple[object, ...]:
    return name, NOTHING, lambda place: decode(data()), UnreadablePhotoError, *said


_rows(
    "photographs",
    _photo("nothing", lambda: b"", "empty"),
    _photo("text", lambda: b"hello", "known format"),
    _photo("PNG of 3.6 gigapixels", lambda: announced_png(60000, 60000), "million pixels"),
    _photo("JPEG of 4.3 gigapixels", lambda: announced_jpeg(65500, 65500), "million pixels"),
    _photo("PNG without a pixel", lambda: announced_png(0, 0), ""),
    _photo("picture of one pixel", lambda: picture(1, 1), "too small"),
    _photo("PNG with too few pixels", lambda: announced_png(400, 400), "damaged"),
    _photo("JPEG that is cut", lambda: picture(200, 200)[:900], "damaged"),
    _photo("GIF that is cut", lambda: animation()[:60], ""),
    _photo("WebP that is cut", lambda: picture(80, 80, "WEBP")[:60], ""),
    _photo("TIFF of floats", lambda: picture(80, 80, "TIFF", "F"), "floating-point"),
    _photo("TIFF that is cut", lambda: picture(80, 80, "TIFF")[:2000], "damaged"),
    _photo("BMP that is cut", lambda: picture(80, 80, "BMP")[:2000], "damaged"),
    _photo("PPM that announces terabytes", lambda: b"P6 2000000000 2000000000 255\n", "million pixels"),
    _photo("drawing that is a program", lambda: b"<svg onload='alert(1)'/>", "known format"),
    _photo("PostScript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
)


def _labels(name: str, text: str | bytes, *said: str) -> tuple[object, ...]:
    def read(place: Path) -> object:
        from bench.faces import AGE, GENDER
        from bench.user_photos.labels import read_table

        return read_table(place / "l.csv", (GENDER, AGE))

    return f"labels: {name}", put({"l.csv": text}), read, InputError, "l.csv", *said


_rows(
    "photographs",
    _labels("no column of files", "gender\nmale\n", "no column 'file'"),
    _labels("an attribute of nobody's", "file,gendr\na,male\n", "line 1", "did you mean gender"),
    _labels("a column twice", "file,gender,gender\na,male,female\n", "line 1", "'gender'"),
    _labels("a file twice", "file,gender\na,male\na,male\n", "line 3", "second row"),
    _labels("a row too long", "file,gender\na,male,1\n", "line 2", "cells"),
    _labels("a row too short", "gender,file\nmale\n", "line 2", "cells"),
    _labels("a class of nobody's", "file,gender\na,=1+1\n", "line 2", "'=1+1'"),
    _labels("an infinite age", "file,age\na,nan\n", "line 2", "age"),
    _labels("half a quote", 'file,gender\n"a,male\n', "line"),
    _labels("UTF-16", "file\na\n".encode("utf-16"), "UTF-8"),
    (
        "a folder inside the other",
        put({"in/a.jpg": picture()}),
        "protect in in/out --method blur",
        2,
        "in/out",
    ),
    ("photographs that are not there", NOTHING, "protect nosuch out --method blur", 2, "nosuch", "folder"),
    ("a target that is a file", put({"in/a": "", "out": ""}), "protect in out --method blur", 2, "out"),
)

# -- weights -------------------------------------------------------------------------------------------

_F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def _header(name: str, data: bytes, *said: str) -> tuple[object, ...]:
    def read(place: Path) -> object:
        from bench.weights_format import read_header

        return read_header(place / "w.safetensors")

    return f"header: {name}", put({"w.safetensors": data}), read, InputError, "w.safetensors", *said


def _pins(name: str, data: bytes, *said: str) -> tuple[object, ...]:
    def read(place: Path) -> object:
        from bench.weights import WeightsFolder

        return WeightsFolder(place).pins()

    return f"pins: {name}", put({"pins.json": data}), read, InputError, "pins.json", *said


def _added(name: str, file: str, data: bytes, *said: str) -> tuple[object, ...]:
    return name, put({file: data}), f"weights add vgg_face {file} --weights w", 2, file, *said


def _model(name: str, data: bytes, *said: str) -> tuple[object, ...]:
    def read(place: Path) -> object:
        from bench.quality.naturalness import nrqm_parameters

        return nrqm_parameters(place / "m.mat")

    return f"MAT file {name}", put({"m.mat": data}), read, Unavailable, "m.mat", *said


def _network(name: str, data: bytes, *said: str) -> tuple[object, ...]:
    def load(place: Path) -> object:
        import numpy as np

        from bench.onnx import OnnxNetwork

        return OnnxNetwork(place / "n.onnx")(np.zeros((1, 3, 4, 4), np.float32))

    return f"network: {name}", put({"n.onnx": data}), load, Unavailable, "n.onnx", *said


def _onnx_outside() -> bytes:
    """A network whose weights are said to lie in /etc."""
    from onnx import TensorProto, helper

    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../../../etc/hostname")
    shape = [1, 3, 4, 4]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weights],
    )
    model: bytes = helper.make_model(graph).SerializeToString()
    return model


def _onnx_foreign() -> bytes:
    """A network of an operator that nobody knows."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Evil", ["x"], ["y"], domain="evil")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    model: bytes = helper.make_model(graph).SerializeToString()
    return model


def _mat_bomb() -> bytes:
    """A MAT file of half a megabyte whose one variable unpacks to half a gigabyte."""
    import zlib

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return head + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed


_rows(
    "weights",
    _header("empty", b"", "empty"),
    _header("three bytes", b"abc", "3 bytes"),
    _header("pickle", b"\x80\x04\x95" + bytes(40), "pickle"),
    _header("zip", b"PK\x03\x04" + bytes(40), "zip archive"),
    _header("web page", b"<!DOCTYPE html><title>Log in</title>", "web page"),
    _header("pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    _header("of exabytes", tensors({"a": _F32}, bytes(8), 2**60), "announces a header"),
    _header("longer than the file", tensors({"a": _F32}, bytes(8), 4000), "truncated"),
    _header("no JSON", tensors(b"{no"), "no JSON"),
    _header("list", tensors([1]), "no tensors"),
    _header("nested without end", tensors(b'{"a":' + b"[" * 100_000), "nested too deeply"),
    _header("name twice", tensors(b'{"a":1,"a":2}'), "stands twice"),
    _header("numbers missing", tensors({"a": _F32}, bytes(4)), "truncated"),
    _header("numbers left over", tensors({"a": _F32}, bytes(9)), "longer"),
    _header("overlap", tensors({"a": _F32, "b": _F32}, bytes(8)), "overlap"),
    _header("gap", tensors({"a": {**_F32, "data_offsets": [8, 16]}}, bytes(16)), "gap"),
    _header("negative side", tensors({"a": {**_F32, "shape": [-2]}}, bytes(8)), "do not fit"),
    _header("side of half a pixel", tensors({"a": {**_F32, "shape": [2.5]}}, bytes(8)), "usable of a"),
    _header("sides beyond any", tensors({"a": {**_F32, "shape": [10**40]}}, bytes(8)), "usable of a"),
    _header("thousands of sides", tensors({"a": {**_F32, "shape": [1] * 5000}}, bytes(8)), "do not fit"),
    _header("type of objects", tensors({"a": {**_F32, "dtype": "OBJECT"}}, bytes(8)), "usable of a"),
    _pins("no JSON", b"{", "no JSON"),
    _pins("list", b"[]", "SHA-256"),
    _pins("short checksum", b'{"a": "12"}', "SHA-256"),
    _pins("nested without end", b"[" * 100_000, "nested too deeply"),
    _pins("name twice", b'{"a": "x", "a": "y"}', "stands twice"),
    _added("pickle under a good name", "vgg.safetensors", b"\x80\x04" + bytes(600), "pickle", "convert"),
    _added("zip of a pickle", "vgg.pth", b"PK\x03\x04" + bytes(600), "zip archive"),
    _added(
        "weights of another network", "v.safetensors", tensors({"a": _F32}, bytes(8)), "vgg_face", "missing"
    ),
    _model("that is none", b"MATLAB 5.0" + bytes(300), "does not hold NRQM's model"),
    _model("that is cut", _mat_bomb()[:5000], "does not hold NRQM's model"),
    _model("that unpacks to half a gigabyte", _mat_bomb(), "unpacks to more than"),
    ("weights of nobody", put({"f": "x"}), "weights add nosuch f --weights w", 2, "'nosuch'", "known:"),
    ("weights from nowhere", NOTHING, "weights fetch --from nosuch --weights w", 2, "nosuch", "--from"),
    ("weights over another protocol", NOTHING, "weights fetch --from ftp://x --weights w", 2, "ftp://x"),
    ("weights into a file", put({"w": "x"}), "weights fetch --from . --weights w", 2, "w", "--weights"),
    _network("rubbish", b"rubbish", "cannot read"),
    _network("nothing", b"", "cannot read"),
    _network("weights in another file", _onnx_outside(), "another file, which is not opened"),
    _network("operator of nobody's", _onnx_foreign(), "cannot read"),
)

# -- components ----------------------------------------------------------------------------------------

_METHOD = """
from bench.api import Method


class Bad(Method):
    title = "Bad"
    obfuscates = ("gender",)

    def _protect(self, images, request):
        return 1 - images
"""


def _source(name: str, text: str | bytes, *said: str, status: int = 2) -> tuple[object, ...]:
    return name, method(text), "check bad", status, *said


def _edited(name: str, old: str, new: str, *said: str, status: int = 1) -> tuple[object, ...]:
    assert old in _METHOD
    return _source(name, _METHOD.replace(old, new), *said, status=status)


_PROTECT = "return 1 - images"
_rows(
    "components",
    _source("no Python", "class Bad(:\n", "SyntaxError", "bad_part.py"),
    _source("a NUL", b"x = 1\0\n", "null bytes", "bad_part.py"),
    _source("no UTF-8", b"x = '\xff'\n", "SyntaxError", "bad_part.py"),
    _source("nested without end", "x = " + "-" * 200_000 + "1\n", "bad_part.py"),
    _source("no class", "x = 1\n", "no class Bad", "title"),
    _source("a class without a title", _METHOD.replace("title", "name"), "no class Bad", "title"),
    _source("a class of another kind", "class Bad:\n    title = 'Bad'\n", "bad_part.py", "bench.api.Method"),
    _source("a class that is gone", _METHOD + "\ndel Bad\n", "bad_part.py", "bench.api.Method"),
    _source("a class that is a number", _METHOD + "\nBad = 3\n", "bad_part.py", "bench.api.Method"),
    _source("an import that fails", "import nosuch_package\n" + _METHOD, "nosuch_package", "bad_part.py"),
    _source("an import that ends the program", _METHOD + "\nraise SystemExit(0)\n", "SystemExit", "bad_part"),
    _source("an import that divides by nothing", _METHOD + "\n1 / 0\n", "ZeroDivisionError", "bad_part.py"),
    _edited("no letters in the title", '"Bad"', '""', "title is empty"),
    _edited("a text for a list", '("gender",)', '"gender"', "comma"),
    _edited("a misspelt attribute", '"gender"', '"gendr"', "did you mean gender"),
    _edited("hides nothing", '("gender",)', "()", "hides nothing"),
    _edited("NaN in the picture", _PROTECT, "return images / 0 * 0", "FAIL"),
    _edited(
        "a picture of another shape",
        _PROTECT,
        "return images[:, :1, :9]",
        "must return a tensor (48, 3, 64, 64)",
    ),
    _edited("a picture too few", _PROTECT, "return images[:-1]", "got (47, 3, 64, 64)"),
    _edited("whole numbers for a picture", _PROTECT, "return (images * 255).int()", "FAIL"),
    _edited("no picture at all", _PROTECT, "return None", "FAIL"),
    _edited("a list for a picture", _PROTECT, "return [images]", "FAIL"),
    _edited("a text for a picture", _PROTECT, "return 'protected'", "FAIL"),
    _edited("a protection that fails", _PROTECT, "return 1 / 0", "ZeroDivisionError", "bad_part.py, line"),
    _edited("a protection that ends the program", _PROTECT, "raise SystemExit(0)", "FAIL", "SystemExit"),
    _edited("a protection that calls itself", _PROTECT, "return self._protect(images, 0)", "RecursionError"),
    _edited("a protection that spoils its input", _PROTECT, "return images.mul_(0.5)", "changes the images"),
    _edited(
        "a protection that differs each time",
        _PROTECT,
        "import torch; return torch.rand_like(images)",
        "repeated with the same seed",
    ),
    _edited("a protection that mixes people", _PROTECT, "return images.flip(0)", "in any company"),
    _edited(
        "outputs that cannot be told",
        "    def _protect",
        "    def _variants(self):\n        return 1 / 0\n\n    def _protect",
        "ZeroDivisionError",
    ),
    _edited(
        "a beginning that fails",
        "    def _protect",
        "    def __init__(self, *a, **k):\n        raise ValueError('no\x1b[2J')\n\n    def _protect",
        "ValueError",
    ),
)

# -- results -------------------------------------------------------------------------------------------


def _compare(name: str, change: Make, *said: str) -> tuple[object, ...]:
    both = also(run_folder("a"), run_folder("b"), change)
    return f"compare: {name}", both, "compare a b", 2, *said


def _publish(name: str, change: Make, *said: str) -> tuple[object, ...]:
    return f"publish: {name}", also(run_folder("a"), change), "publish a --to r --name x", 2, *said


def _changed(file: str, change: Callable[[bytes], bytes]) -> Make:
    return edited(NOTHING, file, change)


def _rows_of(change: Callable[..., object]) -> Make:
    return rows_changed("b", change)  # type: ignore[arg-type]


_rows(
    "results",
    ("compare: nothing there", NOTHING, "compare a b", 2, "a/run.json", "missing"),
    ("compare: output of nobody", run_folder("a"), "compare grey nosuch --run a", 2, "'nosuch'", "known"),
    ("compare: table of another kind", NOTHING, "compare a b --out x.html", 2, "x.html", ".csv or .md"),
    _compare("record that is no JSON", _changed("b/run.json", cut(0.5)), "b/run.json", "no JSON"),
    _compare("record that is a list", put({"b/run.json": "[]"}), "b/run.json", "version"),
    _compare("record nested without end", put({"b/run.json": "[" * 200_000}), "b/run.json", "deeply"),
    _compare("record with a key twice", put({"b/run.json": '{"a":1,"a":2}'}), "b/run.json", "twice"),
    _compare(
        "record of another version", _changed("b/run.json", swap('"format": 1', '"format": 9')), "version"
    ),
    _compare(
        "record of another schema", _changed("b/run.json", swap('"schema": 3', '"schema": 2')), "schema 2"
    ),
    _compare("record without data", _changed("b/run.json", swap('"data":', '"dota":')), "b/run.json", "data"),
    _compare(
        "record with a text for a list",
        _changed("b/run.json", swap('"pooled": []', '"pooled": "x"')),
        "pooled",
    ),
    _compare("rows that are no table", put({"b/rows.parquet": "x"}), "cannot read", "b/rows.parquet"),
    _compare("rows that are cut", _changed("b/rows.parquet", cut(0.7)), "cannot read", "b/rows.parquet"),
    _compare("rows of other columns", _rows_of(lambda t: t.drop(columns="value")), "b/rows.parquet", "value"),
    _compare(
        "texts for values",
        _rows_of(lambda t: t.assign(value=t["value"].astype("string"))),
        "b/rows.parquet",
        "column value",
    ),
    _compare("resamples that are none", put({"b/resamples.parquet": "x"}), "b/resamples.parquet"),
    _compare(
        "record without the fingerprints of its dataset",
        _changed("b/run.json", swap('"made-up faces": {', '"x": {')),
        "b/run.json",
        "made-up faces",
    ),
    _publish("rows that were changed", _changed("a/rows.parquet", lambda d: d + b" "), "rows"),
    _publish("curves that are none", _changed("a/curves.csv", lambda d: b"\0\0"), "a", "curves.csv"),
    _publish("curves of other columns", put({"a/curves.csv": "x,y\n1,2\n"}), "curves.csv", "method"),
    _publish("no leaderboard", NOTHING, "leaderboard.csv", "missing"),
    ("publish: name out of the folder", run_folder("a"), "publish a --to r --name ../x", 2, "--name"),
    ("publish: name with signs", run_folder("a"), "publish a --to r --name 'a b'", 2, "--name"),
    (
        "publish: into foreign files",
        also(run_folder("a"), put({"r/x/y": ""})),
        "publish a --to r --name x",
        2,
        "r/x",
    ),
    ("publish: nothing to check", NOTHING, "publish --check --to r", 2, "r", "publish"),
)

# -- measured speeds -----------------------------------------------------------------------------------

_HEAD = "kind,name,path,precision,batch,device,status,per_second,processor"
_FAST = "method,san,eager,fp32,16,cpu,ok,10,A CPU"


def _speeds(name: str, text: str | bytes, *said: str) -> tuple[object, ...]:
    def read(place: Path) -> object:
        from bench.report.cost_tables import read_machines

        return read_machines([place / "t.csv"])

    return f"speeds: {name}", put({"t.csv": text}), read, InputError, "t.csv", *said


_rows(
    "measured speeds",
    ("speeds: not there", NOTHING, "run --methods blur --throughput t.csv", 2, "--throughput", "t.csv"),
    _speeds("empty", "", "lacks the columns"),
    _speeds("head alone", _HEAD + "\n", "no rows"),
    _speeds("missing column", _HEAD.replace("status,", "") + "\n", "status"),
    _speeds("column twice", f"{_HEAD},kind\n{_FAST},x\n", "twice"),
    _speeds("row too long", f"{_HEAD}\n{_FAST},1\n", "line 2", "cells"),
    _speeds("text for a number", f"{_HEAD}\n{_FAST.replace(',16,', ',x,')}\n", "line 2", "batch"),
    _speeds(
        "number of 5,000 digits", f"{_HEAD}\n{_FAST.replace(',16,', f',{9:0>5000},')}\n", "line 2", "batch"
    ),
    _speeds("negative speed", f"{_HEAD}\n{_FAST.replace(',10,', ',-1,')}\n", "line 2", "per_second"),
    _speeds("infinite speed", f"{_HEAD}\n{_FAST.replace(',10,', ',inf,')}\n", "line 2", "per_second"),
    _speeds("state of nobody's", f"{_HEAD}\n{_FAST.replace('ok', 'fine')}\n", "line 2", "'fine'"),
    _speeds("measured twice", f"{_HEAD}\n{_FAST}\n{_FAST}\n", "line 3", "twice"),
    _speeds("half a quote", f'{_HEAD}\n"{_FAST}\n', "line"),
    _speeds("UTF-16", _HEAD.encode("utf-16"), "UTF-8"),
)
