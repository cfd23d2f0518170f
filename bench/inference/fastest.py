"""The fastest path that answers as strict fp32 does, found by trying all of them on the first real batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.components.method_base import AnyMethod, Request, Variant
from bench.inference.clock import DeviceClock
from bench.inference.environment import environment
from bench.inference.memory import Memory
from bench.inference.paths import (
    ALIGNED,
    BF16,
    COMPILED,
    EAGER,
    FLAT,
    FORMS,
    FP32,
    LAYOUT,
    WINOGRAD,
    NothingNew,
    Prepared,
    convolutions,
    native_bf16,
    possible,
    prepare,
)
from bench.inference.work import (
    COSINE,
    GREY_LEVELS,
    HeldRequest,
    TensorWork,
    deviation_of,
    hook_of,
    networks_of,
    tensors_of,
    with_tensors,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

LIMITS = {GREY_LEVELS: 1.0, COSINE: 1e-3}
"""Largest mean deviation of any image of the batch, in grey levels, and of any embedding."""

_AT_ONCE = {"cpu": 16}
"""Most items that a graph is made for; on a GPU as many as the first batch has."""
_WORTH = 1.1
"""A path has to be so many times as fast as plain code: less may be noise, and is not worth a graph."""
_CHEAP = 2e-3
"""Seconds below which a call is not worth trying anything on."""
_ROUNDS, _PATIENCE = 5, 1.0
"""Every path is timed so often, or once where all together take longer than so many seconds."""


@dataclass(frozen=True)
class Choice:
    """What was taken, and why.

    deviation: of the worst item of the first batch from strict fp32, in `unit`. speedup: over plain code.
    refused: path -> why it was not allowed, with its deviation. remembered: it was timed in an earlier run.
    note: what went wrong with what this machine remembers.
    """

    path: str = EAGER
    precision: str = FP32
    deviation: float = 0.0
    unit: str = GREY_LEVELS
    speedup: float = 1.0
    batch: int = 0
    refused: Mapping[str, str] | None = None
    remembered: bool = False
    note: str = ""

    def facts(self) -> dict[str, Any]:
        """As JSON, for the artefact's card."""
        return {
            "path": self.path,
            "precision": self.precision,
            "deviation": float(f"{self.deviation:.3g}"),
            "unit": self.unit,
            "speedup": float(f"{self.speedup:.3g}"),
            "batch": self.batch,
            "refused": dict(self.refused or {}),
            "remembered": self.remembered,
            "note": self.note,
        }


@dataclass(frozen=True)
class Way:
    """How one work is done from now on; function: for `choice.batch` items, None for the component's own
    code. work: what was chosen for."""

    choice: Choice
    work: TensorWork
    function: Callable[..., Tensor] | None = None


class Chooser:
    """Finds the fastest way on one device.

    what: the component and all that its speed and answers depend on beside machine and shapes.
    compiled: whether torch.compile is tried too, which takes minutes. clock: seconds from any moment.
    """

    def __init__(
        self,
        what: Mapping[str, Any],
        device: str,
        *,
        compiled: bool = False,
        memory: Memory | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.device = device
        self._what, self._compiled = dict(what), compiled
        self._memory = memory or Memory()
        self._clock = clock or _clock(device)

    def choose(self, work: TensorWork, tensors: Sequence[Tensor], exact: Callable[[], Tensor]) -> Way:
        """The way for items like those of `tensors`, on which all are tried; `exact` is the component's own
        code on them."""
        import torch

        from bench.inference.algebra import forget

        tensors = tuple(tensors)
        plain = Way(Choice(unit=work.deviation, batch=len(tensors[0])), work)
        if len(tensors[0]) < 2:
            return _refusing_all(plain, "one item cannot show whether a graph holds for others")
        with torch.no_grad(), convolutions(benchmark=False, tf32=False):
            start = self._clock()
            wanted = exact().float()
            taken = self._clock() - start
        if taken < _CHEAP:
            return _refusing_all(plain, f"it takes {1e3 * taken:.1f} ms as it is")
        what = {**self._what, **self._machine(), "shapes": [list(t.shape) for t in tensors]}
        recalled = self._memory.recall(what)
        if recalled is not None:
            found = self._recalled(recalled, tensors, wanted, plain)
            if found is not None:
                return found
        way = self._measured(tensors, exact, wanted, plain)
        for network in work.networks:
            forget(network, {FORMS[EAGER], FORMS[way.choice.path]})
        told = {k: v for k, v in way.choice.facts().items() if k not in ("remembered", "note")}
        self._memory.store(what, told)
        return replace(way, choice=replace(way.choice, note=self._memory.note))

    def _machine(self) -> dict[str, Any]:
        names = ("accelerator", "driver", "processor", "threads", "torch")
        known = environment(self.device)
        device = self.device.partition(":")[0]
        return {**{name: known[name] for name in names}, "device": device, "compiled": self._compiled}

    def _recalled(
        self, told: Mapping[str, Any], tensors: tuple[Tensor, ...], wanted: Tensor, plain: Way
    ) -> Way | None:
        """The remembered path, checked on these items; None where it is none, or these weights need
        another."""
        asked = (told.get("path"), told.get("precision"))
        refused = {str(k): str(v) for k, v in dict(told.get("refused") or {}).items()}
        choice = replace(
            plain.choice, speedup=float(told.get("speedup", 1.0)), refused=refused, remembered=True
        )
        if asked == (EAGER, FP32):
            return replace(plain, choice=choice)
        for path, precision in self._candidates(plain.work):
            if (path, precision) == asked:
                function, deviation, _ = _tried(plain.work, path, precision, tensors, wanted)
                if function is not None:
                    choice = replace(choice, path=path, precision=precision, deviation=deviation)
                    return replace(plain, choice=choice, function=function)
        return None

    def _measured(
        self, tensors: tuple[Tensor, ...], exact: Callable[[], Tensor], wanted: Tensor, plain: Way
    ) -> Way:
        refused: dict[str, str] = {}
        passed: dict[tuple[str, str], tuple[Callable[..., Tensor], float]] = {}
        for path, precision in self._candidates(plain.work):
            function, deviation, reason = _tried(plain.work, path, precision, tensors, wanted)
            if function is not None:
                passed[path, precision] = (function, deviation)
            elif reason:
                refused[f"{path} {precision}"] = reason
        calls: list[Callable[[], Tensor]] = [exact]
        calls += [partial(function, *tensors) for function, _ in passed.values()]
        own, *times = self._timed(calls)
        choice = replace(plain.choice, refused=refused)
        speedups = {name: own / max(taken, 1e-9) for name, taken in zip(passed, times, strict=True)}
        best = max(speedups, key=lambda name: speedups[name], default=None)
        if best is None or speedups[best] < _WORTH:
            return replace(plain, choice=choice)
        function, deviation = passed[best]
        path, precision = best
        choice = replace(choice, path=path, precision=precision, deviation=deviation, speedup=speedups[best])
        return replace(plain, choice=choice, function=function)

    def _candidates(self, work: TensorWork) -> Iterator[tuple[str, str]]:
        """All paths but plain code in fp32, the cheapest to try first."""
        precisions = [FP32, BF16] if native_bf16(self.device) else [FP32]
        paths = [LAYOUT, FLAT]
        paths += [ALIGNED] if self.device.startswith("cuda") else [WINOGRAD]
        paths += [COMPILED] if self._compiled else []
        for path in paths:
            for precision in precisions:
                if possible(work, path, precision):
                    yield path, precision

    def _timed(self, calls: Sequence[Callable[[], Tensor]]) -> list[float]:
        """Seconds of each, median; they take turns, so that whatever else runs here slows all alike."""
        import torch

        times: list[list[float]] = [[] for _ in calls]
        with torch.no_grad():
            for _ in range(_ROUNDS):
                for call, taken in zip(calls, times, strict=True):
                    start = self._clock()
                    call()
                    taken.append(self._clock() - start)
                if sum(map(sum, times)) > _PATIENCE:
                    break
        return [median(taken) for taken in times]


def _refusing_all(plain: Way, reason: str) -> Way:
    return replace(plain, choice=replace(plain.choice, refused={"all": reason}))


def _tried(
    work: TensorWork, path: str, precision: str, tensors: tuple[Tensor, ...], wanted: Tensor
) -> tuple[Callable[..., Tensor] | None, float, str]:
    """`work` on that path if it answers as `wanted` says, its deviation, and why not: empty where the path is
    another one for this work."""
    import torch

    # Written down with the items in another order: what it takes for constant shows as a deviation.
    others = tuple(t.roll(1, 0) for t in tensors)
    try:
        with torch.no_grad():
            function = _settled(prepare(work, path, precision, others, "default"))
            deviation = _worst(function(*tensors).float(), wanted, work.deviation)
    except NothingNew:
        return None, 0.0, ""
    except Exception as error:  # a component, a tracer or a compiler may refuse in any way it likes
        lines = str(error).strip().splitlines() or [""]
        return None, 0.0, f"{type(error).__name__}: {lines[0]}"[:200]
    limit = LIMITS[work.deviation]
    if not deviation <= limit:
        return None, deviation, f"deviates by {deviation:.3g} {work.deviation}, more than {limit:g}"
    return function, deviation, ""


def _clock(device: str) -> Callable[[], float]:
    """Seconds. On one thread of a processor those that were worked: other processes do not count."""
    import torch

    if device == "cpu" and torch.get_num_threads() == 1:
        return time.process_time
    clock = DeviceClock(device)

    def now() -> float:
        clock.synchronise()
        return clock.now()

    return now


def _settled(prepared: Prepared) -> Callable[..., Tensor]:
    """The prepared function for tensors in any memory layout; a replayed graph's output is copied, since the
    next replay overwrites it."""
    layouts = [t.is_contiguous() for t in prepared.tensors]

    def call(*tensors: Tensor) -> Tensor:
        import torch

        laid = [
            t if plain or t.ndim != 4 else t.contiguous(memory_format=torch.channels_last)
            for t, plain in zip(tensors, layouts, strict=True)
        ]
        found = prepared.function(*laid)
        return found.clone() if prepared.replayed else found

    return call


def _worst(found: Tensor, wanted: Tensor, unit: str) -> float:
    """Largest deviation of an item; items without an exact answer, which fail anyway, do not count."""
    import torch

    rows = torch.isfinite(wanted).flatten(1).all(1).nonzero().flatten().tolist()
    if found.shape != wanted.shape or not rows:
        return float("nan")
    each = [deviation_of(found[r : r + 1], wanted[r : r + 1], unit) for r in rows]
    return max(each) if all(value == value for value in each) else float("nan")


def _in_pieces(function: Callable[..., Tensor], size: int, tensors: Sequence[Tensor]) -> Tensor:
    """`function`, which takes `size` items, on any number of them: the last piece is filled up."""
    import torch

    found = []
    for start in range(0, len(tensors[0]), size):
        part = [t[start : start + size] for t in tensors]
        missing = size - len(part[0])
        if missing:
            part = [torch.cat([t, t[-1:].expand(missing, *t.shape[1:])]) for t in part]
        found.append(function(*part)[: size - missing])
    return torch.cat(found)


def _at_once(device: str, count: int) -> int:
    """Size of the pieces that `count` items are worked on in, as equal as can be."""
    most = _AT_ONCE.get(device.partition(":")[0], count)
    return -(-count // -(-count // most))


# -- methods -------------------------------------------------------------------------------------------

ITERATED = ("iterations", "searches")
"""Options of methods that change an image step by step: every rounding leads them somewhere else."""


class _HookWork(TensorWork):
    """A method's hook, told everything by tensors. Names and seeds of the samples are kept from it: what
    depends on them cannot be written down."""

    def __init__(self, method: AnyMethod, template: HeldRequest) -> None:
        import numpy as np

        self._method = method
        self.template = replace(template, keys=(), seeds=np.empty(0, np.uint64))

    def run(self, *tensors: Tensor) -> Tensor:
        first, *rest = tensors
        return hook_of(self._method, first, with_tensors(self.template, rest))

    @property
    def networks(self) -> list[nn.Module]:
        return networks_of(self._method)


class FastestHook:
    """Stands in for a method's `_protect`: `hook(images, request)`. See `Chooser` for the arguments."""

    def __init__(
        self, method: AnyMethod, variant: Variant, what: Mapping[str, Any], device: str, **how: Any
    ) -> None:
        self._method = method
        self._chooser = Chooser({**what, "variant": variant.name}, device, **how)
        self._ways: dict[tuple[int, ...], Way] = {}

    @property
    def choices(self) -> list[Choice]:
        """One for each size of images that was met."""
        return [way.choice for way in self._ways.values()]

    def __call__(self, images: Tensor, request: Request) -> Tensor:
        shape = tuple(images.shape[1:])
        if shape not in self._ways:
            self._ways[shape] = self._chosen(images, request)
        way = self._ways[shape]
        if way.function is None:
            return hook_of(self._method, images, request)
        held = HeldRequest.of(request)
        assert isinstance(way.work, _HookWork)
        for kind, drawn in way.work.template.held:
            held.hold(kind, drawn)
        return _in_pieces(way.function, way.choice.batch, [images, *tensors_of(held)])

    def _chosen(self, images: Tensor, request: Request) -> Way:
        if any(self._method.settings.get(name, 0) for name in ITERATED):
            plain = Way(Choice(batch=len(images)), _HookWork(self._method, HeldRequest.of(request)))
            return _refusing_all(plain, "it changes images step by step, and every rounding leads elsewhere")
        count = _at_once(self._chooser.device, len(images))
        some, held = images[:count], HeldRequest.of(_first(request, count))
        hook_of(self._method, some, held)  # asks for its draws
        own = partial(hook_of, self._method, some, held)
        return self._chooser.choose(_HookWork(self._method, held), [some, *tensors_of(held)], own)


def _first(request: Request, count: int) -> Request:
    """What is told of the first `count` samples."""
    return replace(
        request,
        labels={name: values[:count] for name, values in request.labels.items()},
        keys=request.keys[:count],
        seeds=request.seeds[:count],
        landmarks=None if request.landmarks is None else request.landmarks[:count],
        parts=None if request.parts is None else request.parts[:count],
    )


# -- matchers ------------------------------------------------------------------------------------------


class _NetworkWork(TensorWork):
    deviation = COSINE

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def run(self, *tensors: Tensor) -> Tensor:
        from bench.inference.algebra import evaluated

        found: Tensor = evaluated(self._network, tensors[0].device)(*tensors)
        return found

    @property
    def networks(self) -> list[nn.Module]:
        return [self._network]


class FastestNetwork:
    """Stands in for calls of a matcher's network: `through(network)(images)`; see `Context.through`."""

    def __init__(self, what: Mapping[str, Any], device: str, **how: Any) -> None:
        self._chooser = Chooser(what, device, **how)
        # A way holds its network, so no other one can get that one's number.
        self._ways: dict[tuple[int, ...], Way] = {}

    @property
    def choices(self) -> list[Choice]:
        """One for each network and size of images that was met."""
        return [way.choice for way in self._ways.values()]

    def __call__(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        def call(images: Tensor) -> Tensor:
            key = (id(network), *images.shape[1:])
            if key not in self._ways:
                some = images[: _at_once(self._chooser.device, len(images))]
                own = partial(network, some)
                self._ways[key] = self._chooser.choose(_NetworkWork(network), [some], own)
            way = self._ways[key]
            if way.function is None:
                answer: Tensor = network(images)
                return answer
            return _in_pieces(way.function, way.choice.batch, [images])

        return call
