"""My idea: one sentence on what it does to a matcher's template.

Paper: authors, title, venue and year. Needs at inference: nothing but the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from bench.api import Context, EmbeddingMethod, Request, State, Templates


class MyIdea(EmbeddingMethod):
    """Takes the line between the mean woman and the mean man out of every template, as a start."""

    title = "My idea"
    paper = ""
    obfuscates = ("gender",)
    trained = True

    def _fit(self, templates: Templates, validation: Templates, ctx: Context) -> Mapping[str, Any]:
        """Learn from unit vectors (N, D) of one matcher; a label is NaN where it is unknown."""
        gender = templates.labels["gender"]
        line = templates.vectors[gender == 1].mean(axis=0) - templates.vectors[gender == 0].mean(axis=0)
        self._line = np.asarray(line / np.linalg.norm(line), np.float32)
        return {}

    def state(self) -> State:
        return {"line": self._line}

    def restore(self, state: State) -> None:
        self._line = state["line"]

    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        """vectors: float32 (N, D), of unit length; return (N, D) of any length."""
        line = torch.from_numpy(self._line).to(vectors)
        return vectors - (vectors @ line)[:, None] * line
