"""What kernel attackers share: the training embeddings are part of their state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import ArrayAttacker
from bench.api import KernelAttacker


class StoredKernelAttacker(ArrayAttacker, KernelAttacker):
    """A kernel attacker whose references are the array `vectors` of its state."""

    def _references(self) -> NDArray[np.float32]:
        references: NDArray[np.float32] = self.state()["vectors"]
        return references
