"""What a training needs to go on where it was interrupted, in one file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.components.base import State, load_module, module_state
from bench.distributed import here, is_first
from bench.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

SAVE_SECONDS = 20.0
"""Between two checkpoints."""

_CHECK = sha256().digest_size


class Checkpoint:
    """Networks, optimisers and more in `folder`, replaced atomically; does nothing where `folder` is None.

    recipe: what the training depends on; a file made by another recipe, or by another number of processes,
    is not taken up. Of several processes the first writes. The file is safetensors followed by a SHA-256
    of them and of where the file belongs: a damaged one, or one that was put in the place of another, would
    train on from wrong numbers.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        recipe: Any,
        modules: Mapping[str, nn.Module],
        optimisers: Mapping[str, Optimizer],
        save_seconds: float | None = None,
    ) -> None:
        told = recipe if here()[1] == 1 else [recipe, here()[1]]
        key = sha256(repr(told).encode()).hexdigest()[:16]
        self.path = None if folder is None else Path(folder) / f"{name}-{key}.checkpoint"
        self.save_seconds = SAVE_SECONDS if save_seconds is None else save_seconds
        self._modules, self._optimisers = modules, optimisers
        self._saved_at = time.monotonic()

    def restore(self) -> State:
        """Load the file into networks and optimisers; returns what else was saved, empty without a file.

        A damaged file is passed over, with a note, and replaced by the next one.
        """
        if self.path is None or not self.path.exists():
            return {}
        from safetensors.numpy import load

        data = self._intact()
        if data is None:
            note = f"note: checkpoint {self.path} is damaged; this training begins anew"
            print(note, file=sys.stderr, flush=True)
            return {}
        stored = load(data)
        for name, module in self._modules.items():
            load_module(module, stored, f"module/{name}/")
        for name, optimiser in self._optimisers.items():
            _load_optimiser(optimiser, _below(stored, f"optimiser/{name}/"))
        return _below(stored, "further/")

    def save_if_due(self, further: Callable[[], State]) -> None:
        """Save once `save_seconds` have passed since the last time."""
        if time.monotonic() - self._saved_at >= self.save_seconds:
            self.save(further)

    def save(self, further: Callable[[], State]) -> None:
        """Write the state and what `further` returns beside the old file, then put it in its place."""
        if self.path is None or not is_first():
            return
        from safetensors.numpy import save

        state: State = {f"further/{k}": v for k, v in further().items()}
        for name, module in self._modules.items():
            state |= module_state(module, f"module/{name}/")
        for name, optimiser in self._optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                for moment, value in moments.items():
                    if value is not None:
                        state[f"optimiser/{name}/{index}/{moment}"] = value.detach().cpu().numpy()
        data = save({k: np.asarray(v, order="C") for k, v in state.items()})
        write_atomically(self.path, data + self._digest(data))
        self._saved_at = time.monotonic()

    def _intact(self) -> bytes | None:
        """The safetensors in the file; None where they are not what was written here."""
        assert self.path is not None
        try:
            found = self.path.read_bytes()
        except OSError:
            return None
        data = found[:-_CHECK]
        return data if found[-_CHECK:] == self._digest(data) else None

    def _digest(self, data: bytes) -> bytes:
        assert self.path is not None
        place = f"{self.path.parent.name}/{self.path.name}".encode()
        return sha256(sha256(data).digest() + place).digest()


def _load_optimiser(optimiser: Optimizer, stored: State) -> None:
    import torch

    trained = [p for group in optimiser.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in stored.items():
        index, moment = key.split("/")
        tensor, parameter = torch.from_numpy(value), trained[int(index)]
        if tensor.shape == parameter.shape:
            # Fused kernels go through memory in its order, so both must lie there alike.
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        moments.setdefault(int(index), {})[moment] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def _below(stored: State, prefix: str) -> State:
    return {k[len(prefix) :]: v for k, v in stored.items() if k.startswith(prefix)}
