"""What a run is asked to do: one typed object, from a YAML file, the command line, or both."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bench.errors import InputError, UsageError, unknown_name
from bench.outside import MOST_SETTINGS, parse_yaml, read_text
from bench.quick import with_quick

ALL, DEFAULT = "all", "default"
LabelSource = Literal["truth", "predicted", "random"]


class RunConfig(BaseModel):
    """Every choice of a run. Lists of components take names, `all`, or `default`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field("synthetic", description="dataset to run on")
    data: tuple[Path, ...] = Field((), description="folders with the publisher's files; several are joined")
    dataset_options: dict[str, Any] = Field({}, description="options of the dataset")
    train_on: tuple[str, ...] = Field(
        (), description="datasets that methods learn on, joined; default: the dataset itself"
    )
    train_on_options: dict[str, dict[str, Any]] = Field(
        {}, description="options of the other datasets in train_on, by dataset"
    )
    test_on: tuple[str, ...] = Field(
        (), description="datasets to evaluate on, one after the other, in place of `dataset`"
    )
    test_on_options: dict[str, dict[str, Any]] = Field(
        {}, description="options of the datasets in test_on, by dataset"
    )
    weights: Path | None = Field(None, description="folder of pretrained networks; else BENCH_WEIGHTS")
    size: int = Field(
        0, ge=0, le=4096, description="side of the images in pixels; 0: the dataset's own default"
    )
    methods: tuple[str, ...] = Field((ALL,), description="methods or method:variant")
    variants: Literal["default", "all"] = Field("default", description="which variants a bare name means")
    attackers: tuple[str, ...] = Field((DEFAULT,), description="attribute classifiers")
    matchers: tuple[str, ...] = Field((DEFAULT,), description="face matchers")
    extractors: tuple[str, ...] = Field((DEFAULT,), description="matchers whose embeddings attackers read")
    attributes: tuple[str, ...] = Field((DEFAULT,), description="attributes to attack and to keep watch on")
    preset: str = Field("quick", description="preset of the methods")
    shipped: bool = Field(True, description="whether trained weights that ship are used where they fit")
    label_source: tuple[LabelSource, ...] = Field(("truth",), description="whose labels the methods are told")
    train_precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="number format in which image-level methods and their auxiliaries are trained"
    )
    threats: tuple[str, ...] = Field((ALL,), description="rungs of the attackers' ladder beside `static`")
    adaptive_images: int = Field(
        1200, ge=0, description="faces of ATTACK that adaptive attackers learn on, whole people; 0: all"
    )
    learning_images: int = Field(
        0,
        ge=0,
        description="faces of DEVELOP that methods learn on, whole people, and a quarter as many of "
        "VALIDATION; 0: all",
    )
    pairs: str = Field(
        "all",
        description="comparisons: `all`, the `published` list, or MATED/NON_MATED drawn once, as 1000/2000",
    )
    protocol: str = Field("", description="protocol of a paper, whose settings all others override")
    quick: bool = Field(False, description="a first look, whose settings all others override")
    options: dict[str, dict[str, Any]] = Field({}, description="component -> its options, over the preset")
    show_faces: bool = Field(
        False, description="whether the report shows photographs of people, which must not be published"
    )
    throughput: tuple[Path, ...] = Field(
        (), description="tables of `bench throughput` that the report shows beside the run's own figures"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="the only source of randomness")
    seeds: int = Field(1, ge=1, le=1000, description="how many seeds to run, from `seed` upwards")
    resamples: int = Field(1000, ge=100, le=1_000_000, description="bootstrap resamples over identities")
    quality_images: int = Field(128, ge=0, description="images a variant for LPIPS and NIQE; 0: no quality")
    workers: int = Field(0, ge=0, le=4096, description="worker processes; 0: one a core")
    device: str = Field("cpu", description="torch device of the workers")
    engine: Literal["local", "ray"] = Field(
        "local", description="where cells are worked on: this machine's processes, or a Ray cluster"
    )
    address: str = Field(
        "", description="of the Ray cluster: HOST:PORT, ray://HOST:PORT, or auto for one that runs here"
    )
    gpu_share: float = Field(
        1.0, gt=0, le=1, description="part of a GPU for each worker on a Ray cluster, where device is cuda"
    )
    inference: Literal["exact", "fastest", "compiled"] = Field(
        "exact",
        description="how trained networks are evaluated: exact, in fp32 and alike on every run; fastest, on "
        "the path that measures fastest here and answers nearly the same; compiled, torch.compile among them",
    )
    store: Path = Field(Path(".bench"), description="where finished work is kept")
    out: Path | None = Field(None, description="where the report goes; default runs/<dataset>")

    @field_validator("data", "weights", "throughput", "store", "out")
    @classmethod
    def _usable_paths(cls, given: Any) -> Any:
        for path in given if isinstance(given, tuple) else (given,):
            if path is not None and "\0" in str(path):
                raise ValueError("no path has a NUL in it")
        return given

    @field_validator("store", "out")
    @classmethod
    def _folders(cls, path: Path | None) -> Path | None:
        if path is not None and path.exists() and not path.is_dir():
            raise ValueError("this is a file; name a folder, new or there already")
        return path

    @field_validator("device")
    @classmethod
    def _known_device(cls, text: str) -> str:
        if not re.fullmatch(r"(cpu|cuda|mps|xpu|hpu)(:\d{1,4})?", text):
            raise ValueError("write cpu, cuda or cuda:1")
        return text

    @field_validator("pairs")
    @classmethod
    def _known_pairs(cls, text: str) -> str:
        if not re.fullmatch(r"all|published|[1-9]\d*/[1-9]\d*", text):
            raise ValueError("write all, published, or MATED/NON_MATED as 1000/2000")
        return text


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> RunConfig:
    """The configuration of a YAML file with `overrides` on top; settings of a protocol or of `quick` lie
    beneath both.

    Raises InputError for an unreadable file, UsageError for an unknown key (with the nearest) or a bad value.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read(path)
    where = f" in {path}" if path else ""
    for key in (*values, *overrides):
        if key not in RunConfig.model_fields:
            error = unknown_name("configuration key", str(key), RunConfig.model_fields)
            raise UsageError(f"{error}{where if key in values else ''}")
    given = {**values, **overrides}
    if given.get("protocol"):
        from bench.protocols import protocol_settings

        given = {**protocol_settings(str(given["protocol"])), **given}
    if given.get("quick"):
        given = with_quick(given)
    try:
        return RunConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        got, message = reprlib.repr(first["input"]), first["msg"].removeprefix("Value error, ")
        raise UsageError(f"configuration{where}: {key[:80]}: {message}, got {got}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = parse_yaml(read_text(path, MOST_SETTINGS))
    except InputError as error:
        raise InputError(f"configuration: {error}; give --config a YAML file") from error
    except ValueError as error:
        raise InputError(f"configuration {path} is not YAML: {error}; correct it there") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"configuration {path} must be a mapping of keys, not {type(values).__name__}")
    return values
