"""Every parser of files that others made: a valid file, and what reads it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from throughput_tables import gpu_rows, write_table

from bench import data_check, discover
from bench.config import load_config
from bench.datasets._aligned import decode_jpeg, image_source
from bench.errors import BenchError
from bench.faces import AGE, GENDER
from bench.photographs import decode
from bench.report.cost_tables import read_machines
from bench.report.draws import read_draws
from bench.results import read_rows
from bench.store import Artefact, Store
from bench.user_photos.journal import Journal
from bench.user_photos.labels import read_table
from bench.weights import WeightsFolder
from bench.weights_format import read_header

from .bad_files import Make, also, animation, celeba, folder, lfw, picture, put, run_folder, tensors, zipped

SECONDS = 20.0
"""In which a parser must be done with a file of at most a few megabytes, on a machine that has more to do."""


@dataclass(frozen=True)
class Parser:
    """make: writes what is valid. file: of it, which is spoilt. read: reads it all. dear: takes seconds."""

    name: str
    make: Make
    file: str
    read: Callable[[Path], object]
    dear: bool = False


class TooSlow(BaseException):
    """A parser took longer than `SECONDS`; none may catch it."""


@contextmanager
def limited() -> Iterator[None]:
    """Raises TooSlow after `SECONDS`."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read_spoilt(parser: Parser, root: Path, data: bytes) -> str:
    """Read `data` in the place of the parser's file: `read`, or `refused` by an error with a name.

    root: where `parser.make` was. Any other exception passes through.
    """
    (root / parser.file).write_bytes(data)
    try:
        with limited():
            parser.read(root)
    except BenchError:
        return "refused"
    return "read"


def _dataset(name: str, **options: object) -> Callable[[Path], object]:
    def read(root: Path) -> object:
        made = discover.load_class("dataset", name)((root,), size=32, **options)
        survey = made.survey(lambda done, total, text: None, faces=False)
        found = data_check.Check(name, survey, survey.problems)
        return [list(data_check.lines(found)), made.pools(), made.attributes()]

    return read


def _network_free(name: str, make: Make, file: str, adapter: str, **options: object) -> Parser:
    return Parser(name, make, file, _dataset(adapter, **options))


def _config(root: Path) -> object:
    return load_config(root / "c.yaml", {})


def _source(root: Path) -> object:
    return discover._read("method", "part", "part", root / "part.py")


def _journal(root: Path) -> object:
    with Journal(root) as journal:
        return journal.records


def _machines(root: Path) -> object:
    return read_machines([root / "throughput.csv"])


def _aligned(root: Path) -> object:
    files = image_source(root, "img_align_celeba")
    assert files is not None
    return decode_jpeg(files, "000001.jpg", 178, 218, "img_align_celeba")


def _zip_of_images(root: Path) -> object:
    files = image_source(root, "img_align_celeba")
    return [files.read(name) for name in files.names()] if files else None


def _nrqm(root: Path) -> object:
    from bench.quality.added import check_quality_file

    check_quality_file("nrqm_model", root / "m.mat")
    return None


def _mat(place: Path) -> None:
    from quality_files import save_nrqm
    from scipy.io import loadmat, savemat

    save_nrqm(place / "m.mat")
    savemat(place / "m.mat", {"model": loadmat(place / "m.mat")["model"]}, do_compression=True)


def _store(place: Path) -> None:
    Store(place).save("ab" * 32, Artefact({"a": np.arange(3.0)}, {"x": 1}), {})


_HEAD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"x": "y"}}
_RACE = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo\n"
_MORPH = put(
    {"009055_1M54.JPG": picture(60, 60), "t.csv": _RACE + "9055,1,x,y,B,M,0,54,0,0,009055_1M54.JPG\n"}
)
_POINTS = "".join(f",x{n:02d},y{n:02d}" for n in range(76))
_MUCT = put(
    {
        "jpg/i000qa-fn.jpg": picture(60, 60),
        "muct76-opencv.csv": f"name,tag{_POINTS}\ni000qa-fn,0000{',10,20' * 76}\n",
    }
)
_VGG = put(
    {
        "train/n000002/0001_01.jpg": picture(60, 60),
        "identity_meta.csv": 'Class_ID, Name, Sample_Num, Flag, Gender\nn000002, "A, B", 1, 1, f\n',
        "loose_landmark_train.csv": "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\n"
        '"n000002/0001_01",20,20,40,20,30,30,22,40,38,40\n',
        "train_list.txt": "n000002/0001_01.jpg\n",
    }
)
_MARKED = "".join(
    f",{p}_{a}" for p in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right") for a in "xy"
)
_MANIFEST = (
    f"file,identity,pool,gender,age [years],hat{_MARKED}\n"
    "a.jpg,ann,test,female,31,no,20,20,40,20,30,30,22,40,38,40\n"
    "b.jpg,bob,attack,male,22,yes,,,,,,,,,,\n"
)
_SCORES = (
    "#\n#\tperson\timagenum\tMale\tEyeglasses\tSmiling\tHeavy Makeup\tReceding Hairline\tBushy Eyebrows\t"
    "Narrow Eyes\tBig Nose\tBig Lips\nAnn\t1\t-1.5\t1\t1\t1\t1\t1\t1\t1\t1\n"
)
_YAML = (
    "dataset: synthetic\nmethods: [san, 'flowsan:n=3']\nseed: 3\nlabel_source: [truth]\n"
    "options: {san: &a {steps: 5}, flowsan: *a}\nstore: x\nresamples: 200\n"
)
_LINE = {"path": "a.jpg", "key": "k", "status": "protected", "outputs": [{"path": "faces/a", "sha256": "0"}]}
_PYTHON = (
    'from bench.api import Method\n\n\nclass A(Method):\n    title = "A"\n    presets = {"quick": {"n": 1}}\n'
)

PARSERS: Mapping[str, Parser] = {
    parser.name: parser
    for parser in (
        _network_free("celeba attributes", celeba(3), "list_attr_celeba.txt", "celeba"),
        _network_free("celeba identities", celeba(3), "identity_CelebA.txt", "celeba"),
        _network_free("celeba partitions", celeba(3), "list_eval_partition.txt", "celeba", partial=True),
        _network_free("lfw pairs", lfw(), "pairs.txt", "lfw", pools="view2"),
        _network_free("lfw genders", lfw(), "male_names.txt", "lfw"),
        _network_free(
            "lfw scores", also(lfw(), put({"lfw_attributes.txt": _SCORES})), "lfw_attributes.txt", "lfw"
        ),
        _network_free("morph table", _MORPH, "t.csv", "morph"),
        _network_free("muct landmarks", _MUCT, "muct76-opencv.csv", "muct"),
        _network_free("vggface2 people", _VGG, "identity_meta.csv", "vggface2"),
        _network_free("vggface2 landmarks", _VGG, "loose_landmark_train.csv", "vggface2"),
        _network_free("vggface2 list", _VGG, "train_list.txt", "vggface2"),
        _network_free("manifest", folder(_MANIFEST), "manifest.csv", "folder"),
        Parser(
            "labels of photographs",
            put({"l.csv": "file,gender,age\na.jpg,male,31\nb.jpg,1,\n"}),
            "l.csv",
            lambda root: read_table(root / "l.csv", (GENDER, AGE)),
        ),
        Parser("configuration", put({"c.yaml": _YAML}), "c.yaml", _config),
        Parser(
            "header of weights",
            put({"w.safetensors": tensors(_HEAD, bytes(8))}),
            "w.safetensors",
            lambda root: read_header(root / "w.safetensors"),
        ),
        Parser(
            "pinned weights",
            put({"pins.json": json.dumps({"vgg.safetensors": "0a" * 32})}),
            "pins.json",
            lambda root: WeightsFolder(root).pins(),
        ),
        Parser("model of quality", _mat, "m.mat", _nrqm, dear=True),
        Parser("record of a run", run_folder(), "run/run.json", lambda root: _compared(root)),
        Parser(
            "rows of a run",
            run_folder(),
            "run/rows.parquet",
            lambda root: read_rows(root / "run/rows.parquet"),
        ),
        Parser(
            "resamples of a run",
            run_folder(),
            "run/resamples.parquet",
            lambda root: read_draws(root / "run/resamples.parquet"),
        ),
        Parser("curves of a run", run_folder(), "run/curves.csv", lambda root: _published(root)),
        Parser("measured speeds", lambda place: _speeds(place), "throughput.csv", _machines),
        Parser("card of an artefact", _store, f"cells/ab/{'ab' * 32}/card.json", lambda root: _card(root)),
        Parser(
            "arrays of an artefact",
            _store,
            f"cells/ab/{'ab' * 32}/data.safetensors",
            lambda root: _card(root),
        ),
        Parser(
            "journal of protect",
            put({".protect/journal.jsonl": json.dumps(_LINE) + "\n"}),
            ".protect/journal.jsonl",
            _journal,
        ),
        Parser("source of a method", put({"part.py": _PYTHON}), "part.py", _source),
        Parser("aligned JPEG", celeba(1), "img_align_celeba/000001.jpg", _aligned),
        Parser(
            "zip of images",
            zipped("img_align_celeba.zip", {"a/1.jpg": picture(60, 60), "a/2.jpg": b"x" * 999}),
            "img_align_celeba.zip",
            _zip_of_images,
        ),
        Parser(
            "zip of lists",
            also(celeba(1), lambda place: _packed_lists(place)),
            "annotations_full.zip",
            _dataset("celeba"),
        ),
        *(
            Parser(
                f"{kind} photograph", put({"p": data}), "p", lambda root: decode((root / "p").read_bytes())
            )
            for kind, data in {
                "JPEG": picture(60, 60),
                "PNG": picture(60, 60, "PNG"),
                "WebP": picture(60, 60, "WEBP"),
                "TIFF": picture(60, 60, "TIFF"),
                "BMP": picture(60, 60, "BMP"),
                "PPM": picture(60, 60, "PPM"),
                "GIF": animation(),
            }.items()
        ),
    )
}


def _compared(root: Path) -> object:
    """All that `compare` makes of a record."""
    from bench.compare import Run, changes, refusals

    found = Run.read(root / "run").record
    return list(changes(found, found)), refusals(found, found)


def _published(root: Path) -> object:
    from bench.publishing.results import read_run

    return read_run(root / "run")


def _speeds(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    write_table(place, gpu_rows()[:4])


def _card(root: Path) -> object:
    """A damaged artefact is set aside, so each time a new one is made around what was spoilt."""
    key = "ab" * 32
    folder = Store(root).folder(key)
    spoilt = {name: (folder / name).read_bytes() for name in ("card.json", "data.safetensors")}
    try:
        return Store(root).has(key) and Store(root).load(key)
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in spoilt.items():
            (folder / name).write_bytes(data)


def _packed_lists(place: Path) -> None:
    names = ("list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt")
    zipped("annotations_full.zip", {name: (place / name).read_bytes() for name in names})(place)
    for name in names:
        (place / name).unlink()
