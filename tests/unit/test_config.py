from pathlib import Path

import pytest

from bench.cli import _read_config
from bench.config import load_config
from bench.errors import InputError, UsageError


def _write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_options_override_the_file(tmp_path):
    path = _write(tmp_path, "seed: 3\nmethods: [san, blur]\nresamples: 200\n")
    config = load_config(path, {"seed": 4})
    assert (config.seed, config.methods, config.resamples) == (4, ("san", "blur"), 200)


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path):
    path = _write(tmp_path, "datset: celeba\n")
    with pytest.raises(UsageError, match=r"'datset'; did you mean dataset.*\? in .*run.yaml"):
        load_config(path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: -1", "seed"),
        ("seed: many", "seed"),
        ("variants: some", "variants"),
        ("resamples: 5", "resamples"),
    ],
)
def test_a_bad_value_names_the_key_and_the_value(tmp_path, text, said):
    with pytest.raises(UsageError, match=rf"{said}: .*got"):
        load_config(_write(tmp_path, text), {})


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "just words"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"YAML|mapping"):
        load_config(_write(tmp_path, text), {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml", {})


def test_names_are_split_at_commas_and_set_reaches_nested_options():
    config = _read_config(
        {"methods": ["san, blur", "grey"], "seed": None, "set": ["dataset_options.test_people=9"]}
    )
    assert config.methods == ("san", "blur", "grey")
    assert config.dataset_options == {"test_people": 9}
    with pytest.raises(UsageError, match="key=value"):
        _read_config({"set": ["seed"]})
