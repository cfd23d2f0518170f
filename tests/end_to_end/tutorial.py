"""Follows a text literally: writes its files, types its commands, looks for the answers it promises."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE = {".bench", "runs", "__pycache__"}


def follow(text: str, folder: Path, *, more: str = "") -> None:
    """Do what the blocks of a Markdown text say, in order, in `folder`.

    A block `python FILE` or `toml FILE` is a file; in a block `console` lines after `$` are commands, and the
    lines below one must be among those it answers, in that order, `...` standing for anything. A command may
    fail only where FAIL is promised. more: options added to every `run`.
    """
    for block in _BLOCK.finditer(text):
        if block["file"]:
            path = folder / block["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
        elif block["kind"] == "console":
            for command in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                typed, *promised = command.splitlines()
                _type(typed + (f" {more}" if " -m bench run " in typed else ""), promised, folder)


def _type(command: str, promised: list[str], folder: Path) -> None:
    python = f'python() {{ "{sys.executable}" "$@"; }}; '
    done = subprocess.run(
        ["bash", "-c", python + command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    said = f"$ {command}\n{done.stdout}"
    assert done.returncode == any(line.startswith("FAIL") for line in promised), said
    answers = iter(done.stdout.splitlines())
    for line in promised:
        if line != "...":
            assert any(_fits(line, answer) for answer in answers), f"not answered: {line}\n{said}"


def _fits(promised: str, answer: str) -> bool:
    parts = (re.escape(" ".join(part.split())) for part in f" {promised} ".split("..."))
    return re.fullmatch(".*".join(parts), " ".join(answer.split())) is not None


def tree(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file but those that runs leave."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _MADE & set(path.relative_to(folder).parts)
    }


def text_of(name: str) -> str:
    """One of the project's documents."""
    return (DOCS / name).read_text(encoding="utf-8")
