"""A package of somebody else's, built, installed and found through its entry points."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_run import bench, checkout
from tutorial import text_of

pytestmark = pytest.mark.slow

TINY = [
    *("--attackers", "knn", "--matchers", "se_resnet", "--attributes", "gender", "--threats", "static"),
    *(f"--set=dataset_options.{pool}_people=20" for pool in ("attack", "test")),
    *("--set=options.se_resnet.steps=5", "--set=resamples=100", "--set=quality_images=8"),
    *("--workers", "1", "--out", "mine"),
]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _written(folder: Path, **names: str) -> Path:
    """The package of the documentation, with other names for some things."""
    blocks = re.findall(
        r"^```\w+ my_package/(\S+)\n(.*?)^```$", text_of("add_other_components.md"), re.M | re.S
    )
    folder.mkdir(parents=True)
    for file, text in blocks:
        for old, new in names.items():
            text = text.replace(old, new)
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def _installed(source: Path, target: Path) -> dict[str, str]:
    """Built as a wheel without a network and installed; returns the environment that sees it."""
    pytest.importorskip("setuptools", minversion="77", reason="the wheel is built with setuptools >= 77")
    wheels = target.with_name(f"{target.name}-wheels")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels), str(source))
    (wheel,) = wheels.glob("*.whl")
    _pip("install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return {"PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    base = tmp_path_factory.mktemp("packages")
    return base, _installed(_written(base / "veil"), base / "site")


def test_a_package_is_listed_checked_and_run_as_any_file(packages, tmp_path):
    _, seen = packages
    folder = checkout(tmp_path)
    assert "two_tone" not in bench(folder, "list", "methods").stdout
    assert re.search(r"^two_tone +Two-tone$", bench(folder, "list", "methods", **seen).stdout, re.M)
    assert "brightness_shift" in bench(folder, "list", "metrics", **seen).stdout
    assert "two_tone: 2 of 2 checks passed" in bench(folder, "check", "two_tone", **seen).stdout
    bench(folder, "run", "--methods", "two_tone", *TINY, **seen)
    table = pd.read_csv(folder / "mine/leaderboard.csv").set_index("method")
    assert table.loc["two_tone", "brightness_shift"] > 1
    assert table.loc["original", "brightness_shift"] == 0
    assert "Brightness shift (levels)" in (folder / "mine/index.html").read_text("utf-8")


def test_a_package_with_a_name_that_is_taken_is_refused_and_both_are_named(packages, tmp_path):
    base, _ = packages
    seen = _installed(_written(base / "clash", two_tone="blur"), base / "clash-site")
    found = bench(checkout(tmp_path), "list", "methods", check=False, **seen)
    assert found.returncode == 2
    assert (
        "two methods are called blur: blur.py and veil_extras.py of package veil-extras 1.0" in found.stderr
    )
    assert "Traceback" not in found.stderr
