"""What the five kinds of component share: identity, options, context, stored state."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import ContractError, UsageError, unknown_name

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.weights import WeightsFolder

State = dict[str, NDArray[Any]]
"""Everything a fitted component needs to predict again: name -> array. Stored as safetensors."""


def _as_it_is(network: nn.Module) -> Callable[..., torch.Tensor]:
    return network


def _say_nothing(done: float, total: float, text: str) -> None:
    return None


@dataclass(frozen=True)
class Context:
    """What the harness lends a component for one call.

    seed: the only source of randomness a component may use.
    device: torch device string.
    precision: in which networks are trained, `fp32` or `bf16`.
    workdir: a folder for checkpoints of this very unit of work, to be made by who needs it: what is written
        there is found again when an interrupted call is repeated, and is deleted once the call has succeeded.
        None: no resume.
    weights: the folder of pretrained files, or None.
    through: `through(network)(images)` calls a matcher's network; a run that asked for the fastest path puts
        one here.
    report: `report(done, total, text)` moves the progress bar; call it at least once a second.
    """

    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    workdir: Path | None = None
    weights: WeightsFolder | None = None
    through: Callable[[nn.Module], Callable[..., torch.Tensor]] = field(default=_as_it_is)
    report: Callable[[float, float, str], None] = field(default=_say_nothing)


class Component(ABC):
    """A plug-in: one class in one file whose stem is its name.

    Class attributes with literal values are read from the syntax tree by `list`, without importing.

    title: what people call it. paper: where it was published, empty for the harness's own.
    options: the defaults of everything a user may set; presets override some of them by name.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.id = cls.__module__.rpartition(".")[2]

    def __init__(self, *, preset: str = "", **overrides: Any) -> None:
        self.settings = self.resolve(preset, overrides)

    @classmethod
    def resolve(cls, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults, then the preset, then `overrides`; unknown names are a `UsageError`.

        A preset that this component does not know leaves its defaults: one preset name is given to
        all components of a run.
        """
        settings = dict(cls.options)
        for name, value in {**cls.presets.get(preset, {}), **overrides}.items():
            if name not in settings:
                raise unknown_name(f"option of {cls.id}", name, settings)
            default = settings[name]
            if isinstance(default, float) and isinstance(value, int):
                value = float(value)
            if default is not None and not isinstance(value, type(default)):
                raise UsageError(f"option {name} of {cls.id} must be {type(default).__name__}, got {value!r}")
            settings[name] = value
        return settings

    def state(self) -> State:
        """What `fit` learned, as arrays; empty for a component that learns nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Take up what `state()` of a fitted twin returned."""
        if state:
            raise ContractError(f"{self.id} was given a stored state but has no `restore`")


def module_state(module: nn.Module, prefix: str = "", *, half: bool = False) -> State:
    """Parameters and buffers of a torch module as arrays; floating ones as float16 if `half`."""
    arrays = {prefix + k: v.detach().cpu().numpy() for k, v in module.state_dict().items()}
    if half:
        return {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    return arrays


def load_module(module: nn.Module, state: State, prefix: str = "") -> None:
    """Load what `module_state` returned; a missing, extra or misshapen array is a `ContractError`."""
    import torch

    wanted = module.state_dict()
    found = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    if wanted.keys() != found.keys():
        differing = sorted(wanted.keys() ^ found.keys())
        raise ContractError(f"stored weights do not fit the network: {', '.join(differing[:5])}")
    for name, tensor in wanted.items():
        if tuple(found[name].shape) != tuple(tensor.shape):
            raise ContractError(
                f"stored weights do not fit the network: {name} is {found[name].shape}, "
                f"expected {tuple(tensor.shape)}"
            )
    module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in found.items()})
