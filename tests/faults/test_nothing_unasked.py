"""No file of a method runs that nobody named, and nothing but `weights fetch` asks the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .counting import counted

ROOT = Path(__file__).parents[2]
GUARD = """
import os, sys

def hook(event, args):
    asked = event == "socket.getaddrinfo" or event == "socket.connect" and isinstance(args[1], tuple)
    if asked and args[0] is not None:
        with open(os.environ["NOTES"], "a") as file:
            file.write(f"network: {event} {args!r}\\n")
        raise OSError("no network in this test")

sys.addaudithook(hook)
"""
STRANGER = """
import os

with open(os.environ["NOTES"], "a") as file:
    file.write("the stranger ran\\n")

from bench.api import Method


class Stranger(Method):
    title = "Stranger"
    obfuscates = ("gender",)

    def _protect(self, images, request):
        return 1 - images
"""
TINY = (
    "--attackers svm --set quality_images=2 --set options.se_resnet.steps=2 "
    "--set 'dataset_options={attack_people: 30, test_people: 12, test_images: 2}'"
)
TYPING = """
import shlex, sys
from bench import cli

for line in sys.argv[1:]:
    sys.argv = ["bench", *shlex.split(line)]
    try:
        cli.main()
    except SystemExit as left:
        print("status", left.code, line, file=sys.stderr)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose folder of methods has one file more, and a Python that notes what it must not do."""
    for name in ("bench", "attackers", "matchers"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "methods").mkdir()
    for path in (ROOT / "methods").iterdir():
        if path.name != "__pycache__":
            (tmp_path / "methods" / path.name).symlink_to(path)
    (tmp_path / "methods" / "stranger.py").write_text(STRANGER)
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "temporary").mkdir()
    (tmp_path / "notes").write_text("")
    return tmp_path


def _type(checkout: Path, *lines: str) -> tuple[str, str]:
    """What was noted while the commands ran, and what they said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("BENCH_WEIGHTS", "BENCH_DATA")}
    environment |= {
        "NOTES": str(checkout / "notes"),
        "PYTHONPATH": f"{checkout / 'guard'}{os.pathsep}{checkout}",
        "XDG_CACHE_HOME": str(checkout / "cache"),
        "TMPDIR": str(checkout / "temporary"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", TYPING, *lines]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return (checkout / "notes").read_text(), done.stdout + done.stderr


@pytest.mark.slow
def test_a_method_runs_when_it_is_named_and_never_else(checkout: Path) -> None:
    noted, said = _type(
        checkout,
        "list methods",
        "plan --methods blur",
        "plan --methods san --preset paper",
        "check blur",
        "report --methods blur",
        "weights list",
        "doctor",
    )
    assert noted == ""
    assert "stranger " in said
    assert said.count("status 0") == 7, said
    noted, said = _type(checkout, "plan --methods stranger")
    assert noted == "the stranger ran\n"
    counted("method nobody named", "file in the folder of methods", "not run")


@pytest.mark.slow
def test_a_run_asks_no_network_and_leaves_nothing_in_the_temporary_folder(checkout: Path) -> None:
    noted, said = _type(checkout, f"run --methods blur --quick --threats static --workers 1 {TINY}")
    assert noted == ""
    assert said.count("status 0") == 1, said
    assert not list((checkout / "temporary").iterdir())
    counted("network", "run and check", "not asked")


def test_the_guard_notices_whoever_asks_the_network(checkout: Path) -> None:
    ask = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    environment = os.environ | {"PYTHONPATH": str(checkout / "guard"), "NOTES": str(checkout / "notes")}
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True)
    assert done.returncode
    assert "network: socket.getaddrinfo" in (checkout / "notes").read_text()
