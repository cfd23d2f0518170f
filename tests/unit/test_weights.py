"""The folder of foreign weights, and the catalogue of what may be in it."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from pathlib import Path

import pytest

from bench import discover
from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.weights import ENVIRONMENT_VARIABLE, PRETRAINED, WeightsFolder, pretrained_file

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
        assert re.fullmatch("[0-9a-f]{64}", entry.pretrained.sha256)
        assert entry.pretrained.file.endswith((".onnx", ".safetensors", ".mat"))
        assert all((entry.size, entry.use, entry.geometry, entry.pretrained.licence, entry.pretrained.source))


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


@pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights"
)
@pytest.mark.parametrize("name", PRETRAINED)
def test_the_real_files(name: str) -> None:
    entry = PRETRAINED[name]
    folder = WeightsFolder.find()
    assert folder is not None
    assert folder.path(entry.pretrained).stat().st_size == entry.size
