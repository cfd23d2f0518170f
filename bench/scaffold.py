"""Writes the file of a new component."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from bench.discover import components, folder_of
from bench.errors import UsageError
from bench.files import write_atomically

_TEMPLATES = {
    "method": '''"""{title}: one sentence on what it does to a face.

Paper: authors, title, venue and year. Needs at inference: nothing but the image.
"""

from __future__ import annotations

from torch import Tensor

from bench.api import Method, Request


class {class_name}(Method):
    """What it hides and how; which choices were made where the paper is silent."""

    title = "{title}"
    paper = ""
    obfuscates = ("gender",)

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        """images: float32 (N, 3, H, W) in [0, 1]; return the same shape and range."""
        return (0.5 * images + 0.5 * images.flip(-1)).clamp(0, 1)
''',
    "attacker": '''"""{title}: one sentence on how it reads an attribute off an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Attacker, Attribute, Context, Scores, State


class {class_name}(Attacker):
    """Nearest class mean, as a start."""

    title = "{title}"
    reads = "embedding"

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        self._means = {{
            a.name: np.stack([inputs[labels[a.name] == k].mean(axis=0) for k in range(len(a.classes))])
            for a in attributes
        }}
        return {{}}

    def state(self) -> State:
        return dict(self._means)

    def restore(self, state: State) -> None:
        self._means = dict(state)

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        return {{name: inputs @ means.T for name, means in self._means.items()}}
''',
    "matcher": '''"""{title}: one sentence on what it compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, Faces, Matcher, resize, to_tensor


class {class_name}(Matcher):
    """Thumbnails without their mean, as a start."""

    title = "{title}"

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        small = resize(to_tensor(faces.images), 16).flatten(1).numpy()
        return (small - small.mean(axis=1, keepdims=True)).astype(np.float32)
''',
}


def write_component(kind: str, name: str) -> Path:
    """Write a working start for a component; returns its path.

    Raises UsageError for a name that cannot be a module or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"'{name}' cannot be a file's name; use lower case letters, digits and _")
    if name in components(kind):
        raise UsageError(f"there is a {kind} called {name} already: {components(kind)[name].path.name}")
    path = folder_of(kind) / f"{name}.py"
    words = name.split("_")
    text = _TEMPLATES[kind].format(
        title=" ".join(words).capitalize(), class_name="".join(w.capitalize() for w in words)
    )
    write_atomically(path, text.encode())
    return path
