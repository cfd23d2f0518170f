"""Writes the file of a new component from `bench/templates`."""

from __future__ import annotations

import keyword
from pathlib import Path

from bench.discover import NAME, components, folder_of
from bench.errors import UsageError
from bench.files import write_atomically

_TEMPLATES = Path(__file__).parent / "templates"


def write_component(kind: str, name: str, *, template: bool = False) -> Path:
    """Write a working start for a component; returns its path.

    template: of a method, whether it changes a matcher's templates instead of images. Raises UsageError for a
    name that cannot be a module or is taken.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(f"'{name}' cannot be a file's name; use lower case letters, digits and _")
    if template and kind != "method":
        raise UsageError(f"--level template is of methods; leave it out of new {kind}")
    if name in components(kind):
        raise UsageError(f"there is a {kind} called {name} already: {components(kind)[name].where}")
    if kind == "metric":
        from bench.report.added import refuse_taken

        refuse_taken([name])
    path = folder_of(kind) / f"{name}.py"
    source = _TEMPLATES / f"{'template_' if template else ''}{kind}.py"
    write_atomically(path, _named(source.read_text("utf-8"), name).encode())
    return path


def next_step(kind: str, name: str) -> str:
    """The command to go on with."""
    return f"python -m bench check {name}" + (" --data FOLDER" if kind == "dataset" else "")


def _named(text: str, name: str) -> str:
    words = name.split("_")
    text = text.replace("MyIdea", "".join(word.capitalize() for word in words))
    return text.replace("My idea", " ".join(words).strip().capitalize()).replace("my_idea", name)
