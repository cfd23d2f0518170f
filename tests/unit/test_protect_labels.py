"""Labels from a table of the user's, and methods that cannot be used on photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.config import RunConfig
from bench.errors import InputError, Unavailable, UsageError
from bench.faces import AGE, GENDER, Faces
from bench.user_photos.labels import TABLE, LabelReaders, read_table, tell
from bench.user_photos.recipe import prepare


def test_classes_by_name_or_number_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,gender,age\na.jpg,Male,31.5\nb.jpg,0,\n", encoding="utf-8-sig")
    assert read_table(path, [GENDER, AGE]) == {"a.jpg": {"gender": 1, "age": 31.5}, "b.jpg": {"gender": 0}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,gender\n", "no column 'file'"),
        ("file,gendr\n", "did you mean gender"),
        ("file,gender\na,man\n", "line 2: gender is 'man', not one of: female, male"),
        ("file,gender\na,2\n", "line 2"),
        ("file,age\na,old\n", "line 2: age is 'old'"),
        ("file,gender\na,0\na,1\n", "line 3: a second row for a"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=why):
        read_table(tmp_path / "labels.csv", [GENDER, AGE])


def test_the_users_label_is_that_of_the_face_a_photograph_is_about() -> None:
    faces = Faces(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2), np.array(["0", "1"]))
    told = tell(faces, ["gender"], {"gender": 1.0}, 1, LabelReaders([GENDER], None))
    assert np.isnan(told.values["gender"][0])
    assert told.values["gender"][1] == 1
    assert told.sources["gender"] == ("", TABLE)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ive", "changes the templates of a matcher"),
        ("original", "its output would be the original"),
        ("flowsan", "several outputs, say which: flowsan:n=1"),
        ("san_ensemble:best-n=3", "a bound over other outputs"),
        ("blurr", "did you mean blur"),
    ],
)
def test_methods_that_cannot_be_used(tmp_path: Path, name: str, why: str) -> None:
    config = RunConfig(store=tmp_path / "store")
    with pytest.raises(UsageError, match=why):
        prepare(config, name, lambda line: None, paste=False, finds_faces=False)


@pytest.mark.usefixtures("no_weights")
def test_without_the_detector_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="give --weights FOLDER"):
        prepare(RunConfig(store=tmp_path), "blur", lambda line: None, paste=False)
