"""The folder of foreign weights, and the catalogue of what may be in it."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import discover
from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.planning.cells import CellMaker
from bench.weights import ENVIRONMENT_VARIABLE, PRETRAINED, WeightsFolder, checksum, pretrained_file

CONTENT = b"numbers " * 100


def declared(content: bytes = CONTENT, file: str = "net.onnx") -> Pretrained:
    return Pretrained(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        licence="MIT",
        source="somebody/project, net.onnx",
    )


@pytest.fixture
def folder(tmp_path: Path) -> WeightsFolder:
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    return WeightsFolder(tmp_path)


def test_the_right_file_is_found(folder: WeightsFolder) -> None:
    assert folder.path(declared()) == folder.root / "net.onnx"


def test_a_missing_file_names_its_source(folder: WeightsFolder) -> None:
    with pytest.raises(Unavailable) as caught:
        folder.path(declared(file="other.onnx"))
    assert caught.value.reason == f"weights file other.onnx is not in {folder.root}"
    assert caught.value.remedy == "put the file of somebody/project, net.onnx there"


def test_a_missing_file_that_its_publisher_has_can_be_fetched(folder: WeightsFolder) -> None:
    with pytest.raises(Unavailable) as caught:
        folder.path(PRETRAINED["ultraface_rfb320"].pretrained)
    assert caught.value.remedy.startswith(
        "python -m bench weights fetch ultraface_rfb320, or put the file of"
    )


def test_another_file_names_both_checksums(folder: WeightsFolder) -> None:
    wanted = declared(b"something else")
    with pytest.raises(Unavailable) as caught:
        folder.path(wanted)
    assert hashlib.sha256(CONTENT).hexdigest() in caught.value.reason
    assert wanted.sha256 in caught.value.reason
    assert str(folder.root / "net.onnx") in caught.value.reason


def test_a_changed_file_is_hashed_again(folder: WeightsFolder) -> None:
    path = folder.path(declared())
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(Unavailable, match="SHA-256"):
        folder.path(declared())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (pickle.dumps({"a": 1}, protocol=2), "Python pickle"),
        (pickle.dumps({"a": 1}, protocol=5), "Python pickle"),
        (b"PK\x03\x04archive/data.pkl", "zip archive"),
        (b"\n <!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"\xef\xbb\xbf<HTML>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
        (b"", "empty"),
    ],
)
def test_what_is_no_weights_file_is_refused_even_with_the_right_checksum(
    folder: WeightsFolder, content: bytes, what: str
) -> None:
    (folder.root / "net.onnx").write_bytes(content)
    with pytest.raises(Unavailable, match=what):
        folder.path(declared(content))


def test_explicit_folder_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = tmp_path / "given", tmp_path / "named"
    given.mkdir()
    named.mkdir()
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert WeightsFolder.find() is None
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(named))
    for argument, expected in ((None, named), (given, given)):
        found = WeightsFolder.find(argument)
        assert found is not None
        assert found.root == expected


def test_a_folder_that_is_not_there_is_an_error_and_not_an_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(
        InputError, match=r"no such folder of weights: .*gone; correct --weights or BENCH_WEIGHTS"
    ):
        WeightsFolder.find()


def test_no_folder_at_all_has_a_remedy() -> None:
    with pytest.raises(Unavailable) as caught:
        pretrained_file(declared(), None)
    assert "net.onnx" in caught.value.reason
    assert caught.value.remedy == "give --weights FOLDER or set BENCH_WEIGHTS"


def test_the_catalogue_is_complete_and_unambiguous() -> None:
    files = [entry.pretrained.file for entry in PRETRAINED.values()]
    assert len(set(files)) == len(files)
    for entry in PRETRAINED.values():
        assert re.fullmatch("([0-9a-f]{64})?", entry.pretrained.sha256)
        assert bool(entry.pretrained.sha256) == bool(entry.size)
        assert entry.pretrained.file.endswith((".onnx", ".safetensors", ".mat", ".dat"))
        assert all((entry.use, entry.geometry, entry.pretrained.licence, entry.pretrained.source))


def test_what_users_convert_themselves_belongs_to_a_matcher_of_that_name() -> None:
    for name, entry in PRETRAINED.items():
        if entry.matcher:
            literal = discover.find("matcher", entry.matcher).metadata["pretrained"]
            assert name == entry.matcher == Path(entry.pretrained.file).stem
            assert literal["file"] == entry.pretrained.file


def test_components_declare_what_the_catalogue_holds() -> None:
    """Components repeat it as literals, so that listing need not import them."""
    known = {entry.pretrained.file: entry.pretrained for entry in PRETRAINED.values()}
    found = [
        listed.metadata["pretrained"]
        for kind in ("attacker", "matcher")
        for listed in discover.components(kind).values()
        if "pretrained" in listed.metadata
    ]
    assert len(found) >= 11
    for literal in found:
        assert Pretrained(**literal) == known[literal["file"]]


# -- files that users add ------------------------------------------------------------------------------


def own(file: str = "net.onnx") -> Pretrained:
    return Pretrained(file=file, sha256="", licence="MIT", source="somebody/project, net.pth")


def test_a_pinned_file_is_held_to_its_pin(folder: WeightsFolder) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    folder.pin("net.onnx", sha256)
    assert folder.path(own()) == folder.root / "net.onnx"
    assert checksum(own(), folder) == folder.sha256_of(own()) == sha256
    flipped = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    (folder.root / "net.onnx").write_bytes(flipped)
    os.utime(folder.root / "net.onnx", ns=(1, 1))
    with pytest.raises(Unavailable) as caught:
        folder.path(own())
    assert hashlib.sha256(flipped).hexdigest() in caught.value.reason
    assert sha256 in caught.value.reason
    assert "weights add net FILE" in caught.value.remedy


def test_the_known_checksum_goes_before_a_pin(folder: WeightsFolder) -> None:
    folder.pin("net.onnx", "0" * 64)
    assert folder.path(declared()) == folder.root / "net.onnx"
    assert checksum(declared(), folder) == checksum(declared(), None) == declared().sha256


def test_a_file_nobody_added_is_not_trusted(folder: WeightsFolder) -> None:
    with pytest.raises(Unavailable, match="was not added"):
        folder.path(own())
    assert checksum(own(), folder) == checksum(own(), None) == ""


@pytest.mark.parametrize("text", ["no json", "[]", '{"net.onnx": 1}', '{"net.onnx": "short"}'])
def test_unusable_pins_are_an_error(folder: WeightsFolder, text: str) -> None:
    (folder.root / "pins.json").write_text(text)
    with pytest.raises(InputError, match=r"pins\.json.*delete it and add the files again"):
        folder.path(own())


def test_pins_of_other_files_stay(folder: WeightsFolder) -> None:
    folder.pin("a", "a" * 64)
    folder.pin("b", "b" * 64)
    folder.pin("a", "c" * 64)
    assert folder.pins() == {"a": "c" * 64, "b": "b" * 64}


def test_a_pin_enters_the_key_of_a_cell(folder: WeightsFolder) -> None:
    component = discover.load_class("matcher", "dr_gan")()
    cells: Any = SimpleNamespace(choice=SimpleNamespace(weights=folder))
    assert CellMaker.identity(cells, "matcher", component)["pretrained"] == ""
    folder.pin("dr_gan.safetensors", "a" * 64)
    assert CellMaker.identity(cells, "matcher", component)["pretrained"] == "a" * 64


def test_pickles_come_with_how_to_convert_them(folder: WeightsFolder) -> None:
    (folder.root / "net.safetensors").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(Unavailable) as caught:
        folder.path(own("net.safetensors"))
    assert "Python pickle" in caught.value.reason
    assert "weights_only=True" in caught.value.remedy
    assert "weights add net net.safetensors" in caught.value.remedy


# -- files inside packages -----------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    folder = tmp_path / "site" / "carrier"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "models" / "net.dat").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return replace(declared(file="models/net.dat"), modules=("carrier",), extra="some")


def test_a_package_carries_its_file_and_is_not_imported(package: Pretrained, tmp_path: Path) -> None:
    expected = tmp_path / "site" / "carrier" / "models" / "net.dat"
    assert pretrained_file(package, None) == expected
    expected.write_bytes(b"x" + CONTENT)
    with pytest.raises(Unavailable, match=f"expected {package.sha256}"):
        pretrained_file(package, None)


def test_a_package_that_is_missing_has_a_remedy(package: Pretrained) -> None:
    with pytest.raises(Unavailable) as caught:
        pretrained_file(replace(package, modules=("carrier", "not_there_at_all")), None)
    assert caught.value.reason == "not installed: not_there_at_all"
    assert "'.[some]'" in caught.value.remedy
    with pytest.raises(Unavailable, match=r"carrier has no file models/other\.dat"):
        pretrained_file(replace(package, file="models/other.dat"), None)


@pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights"
)
@pytest.mark.parametrize("name", [n for n, e in PRETRAINED.items() if e.size and not e.pretrained.modules])
def test_the_real_files(name: str) -> None:
    entry = PRETRAINED[name]
    folder = WeightsFolder.find()
    assert folder is not None
    assert folder.path(entry.pretrained).stat().st_size == entry.size
