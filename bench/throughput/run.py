"""One throughput run: ceilings, then every component on every path, the most telling measurements first."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError, Unavailable, UsageError, unknown_name
from bench.inference.clock import Clock, DeviceClock, Timing, measure
from bench.inference.environment import environment
from bench.inference.paths import (
    ALIGNED,
    BF16,
    COMPILED,
    EAGER,
    FLAT,
    FP32,
    LIBRARY,
    PATHS,
    PEER,
    PRECISIONS,
    NothingNew,
    convolutions,
    possible,
    prepare,
    prepare_peer,
)
from bench.inference.work import COSINE, GREY_LEVELS, RELATIVE, deviation_of
from bench.throughput.anchors import Anchors, measure_anchors
from bench.throughput.build import Builder, Wanted, Work, builders
from bench.throughput.table import FAILED, LEFT_OUT, UNAVAILABLE, Row, Table, line
from bench.throughput.training import training_rows
from bench.throughput.workloads import LibraryCall, Workload, parameters_of
from bench.weights import WeightsFolder

if TYPE_CHECKING:
    import torch

    from bench.inference.paths import Prepared
    from bench.throughput.counts import Counts

TOLERANCE = {GREY_LEVELS: 0.5, COSINE: 1e-3, RELATIVE: 0.05}
"""Largest deviation in fp32, TF32 convolutions included, of what may be called the same work; bf16, whose
rounding is 8 times TF32's, may deviate 20 times as much."""

_COMPILING = 60.0
"""Seconds that must be left for compilation to be started."""

_SPENT = "the time that --budget allows was spent"


@dataclass(frozen=True)
class Options:
    """What a run measures.

    compiled: components that go through torch.compile, which takes long; they come first, in this order.
    training: methods whose training is measured, too, in steps a second.
    seconds: spent on timing a row. budget: seconds after which no row is begun; 0: no limit.
    """

    wanted: Wanted = field(default_factory=Wanted)
    batches: Sequence[int] = (1, 16, 128)
    precisions: Sequence[str] = PRECISIONS
    paths: Sequence[str] = (EAGER, "channels_last", FLAT, ALIGNED)
    compiled: Sequence[str] = ()
    compile_mode: str = "default"
    training: Sequence[str] = ()
    seconds: float = 0.5
    budget: float = 0.0
    weights: Path | None = None
    out: Path = Path("runs/throughput")

    def check(self) -> None:
        """Raises UsageError for unknown names, InputError for a device or batch that is none."""
        import torch

        for kind, names, known in (
            ("path", self.paths, PATHS),
            ("precision", self.precisions, PRECISIONS),
        ):
            for name in names:
                if name not in known:
                    raise unknown_name(kind, name, known)
        if not self.batches or min(self.batches) < 1:
            raise UsageError("--batch takes numbers of images from 1 on, such as 1,16,128")
        device = self.wanted.device
        if device != "cpu" and not device.startswith("cuda"):
            raise InputError(f"--device {device}: throughput is measured on cpu or cuda")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"--device {device}: torch sees no GPU here; use --device cpu")


@dataclass(frozen=True)
class Task:
    """A row to be measured. rank: tasks of a lower one come first."""

    rank: int
    builder: Builder
    path: str
    precision: str
    batch: int


def throughput(options: Options, say: Callable[[str], None], clock: Clock | None = None) -> Path:
    """Measure everything that `options` name; returns the folder with the table and the roofline figure.

    Rows are written as they are made, and what the budget leaves out is listed too.
    """
    from bench.throughput.plot import roofline

    options.check()
    device = options.wanted.device
    clock = clock or DeviceClock(device)
    started = clock.now()
    # What public code of this kind switches on; it serves the peer as well.
    with convolutions(benchmark=True, tf32=True):
        anchors = measure_anchors(device, clock, seconds=options.seconds)
        say(_ceilings(anchors))
        table = Table(options.out, {**environment(device), **_columns(anchors)})
        gc.freeze()  # what is there now stays; looking through it after every row would take long
        bench = _Bench(options, clock, anchors)
        try:
            for task in plan(options):
                left = options.budget - (clock.now() - started) if options.budget else float("inf")
                row = bench.row(task) if left > _needed(task, device) else _left_out(task, device)
                if row is not None:
                    table.add([row])
                    say(line(row))
            for rows in _trainings(options, clock, started):
                table.add(rows)
                for row in rows:
                    say(line(row))
        finally:  # a run that is stopped has its figure too
            gc.unfreeze()
            if table.rows:
                roofline(table.path, anchors, options.out)
    return options.out


def _trainings(options: Options, clock: Clock, started: float) -> Iterator[list[Row]]:
    """Rows of the trainings, method by method, as long as the budget lasts."""
    wanted = options.wanted
    for base, rows in training_rows(
        options.training, wanted.preset, wanted.side, wanted.device, options.precisions, options.seconds
    ):
        if options.budget and clock.now() - started > options.budget:
            yield [replace(base, status=LEFT_OUT, reason=_SPENT)]
        else:
            yield rows(clock)


def plan(options: Options) -> list[Task]:
    """All rows in order: of what is compiled the peers, the plain and the best general path at the largest
    batch, then its compilations there, then the former of all others, then everything else."""
    found = []
    largest = max(options.batches)
    for builder in builders(options.wanted, WeightsFolder.find(options.weights)):
        first = builder.named.name in options.compiled
        found.append(Task(0 if first else 2, builder, PEER, FP32, 1))
        for batch in sorted(options.batches, reverse=True):
            for precision in options.precisions:
                paths = [*options.paths, *([COMPILED] if first and COMPILED not in options.paths else [])]
                for path in paths:
                    early = batch == largest and (path, precision) in ((EAGER, FP32), (FLAT, BF16))
                    rank = (0 if first else 2) if early else (3 if first else 4)
                    if first and path in (COMPILED, ALIGNED) and precision == BF16 and batch == largest:
                        rank = 1
                    elif path == COMPILED:
                        rank = 5
                    found.append(Task(rank, builder, path, precision, batch))
    order = {name: place for place, name in enumerate(options.compiled)}
    return sorted(found, key=lambda task: (task.rank, order.get(task.builder.named.name, len(order))))


class _Bench:
    """Makes rows. Components are built once, when they are first needed."""

    def __init__(self, options: Options, clock: Clock, anchors: Anchors) -> None:
        self._options, self._clock, self._anchors = options, clock, anchors
        self._works: dict[int, Work | Exception] = {}
        self._peers: dict[int, float] = {}
        self._counts: dict[tuple[int, int], Counts] = {}
        self._references: dict[tuple[int, int], tuple[tuple[torch.Tensor, ...], torch.Tensor]] = {}
        self._inputs: dict[tuple[int, int], tuple[torch.Tensor, ...]] = {}
        self._done: set[tuple[int, str, int]] = set()

    def row(self, task: Task) -> Row | None:
        """The measurement, or why there is none; None for a path that says nothing new of the component."""
        key = id(task.builder)
        work = self._work(task.builder)
        if isinstance(work, Exception):
            return self._once(key, "", 0, _unbuilt(task, self._options.wanted.device, work))
        base = _base(task, work)
        try:
            if isinstance(work, LibraryCall):
                if task.path == PEER or task.precision != FP32:
                    return None
                base = replace(base, path=LIBRARY, batch=work.items or task.batch)
                return self._once(key, LIBRARY, base.batch, base, lambda: self._library(work, task, base))
            if task.path == PEER:
                return self._tensors(work, task, base)
            if not possible(work, task.path, task.precision):
                return None
            return self._tensors(work, task, base)
        except NothingNew:
            return None
        except Exception as error:  # a component's or a compiler's own failure is that row's result
            return replace(base, status=_status(error), reason=_reason(error))
        finally:
            self._tidy()

    def _once(
        self, key: int, path: str, batch: int, row: Row, make: Callable[[], Row] | None = None
    ) -> Row | None:
        if (key, path, batch) in self._done:
            return None
        self._done.add((key, path, batch))
        return make() if make else row

    def _work(self, builder: Builder) -> Work | Exception:
        if id(builder) not in self._works:
            try:
                self._works[id(builder)] = builder.make()
            except Exception as error:  # whatever a component's code raises is its row's reason
                self._works[id(builder)] = error
        return self._works[id(builder)]

    def _library(self, work: LibraryCall, task: Task, base: Row) -> Row:
        call = work.call_for(task.batch)
        timing = measure(call, self._clock, seconds=self._options.seconds)
        return _timed(base, timing, base.batch)

    def _tensors(self, work: Workload, task: Task, base: Row) -> Row:
        from bench.throughput.counts import count

        key = id(task.builder)
        if (key, task.batch) not in self._inputs:
            self._inputs = {(key, task.batch): work.inputs(task.batch, 1)}
        tensors = self._inputs[key, task.batch]
        if (key, task.batch) not in self._counts:
            # Weights are read once a call, so that the bytes of an image depend on the batch.
            found = count(lambda: work.run(*tensors))
            self._counts[key, task.batch] = type(found)(*(value / task.batch for value in found))
        self._reset_peak()
        started = self._clock.now()
        if task.path == PEER:
            prepared = prepare_peer(work, tensors)
        else:
            prepared = prepare(work, task.path, task.precision, tensors, self._options.compile_mode)
        self._clock.synchronise()
        base = replace(base, prepare_s=self._clock.now() - started, replayed=prepared.replayed)
        timing = measure(
            lambda: prepared.function(*prepared.tensors), self._clock, seconds=self._options.seconds
        )
        base = replace(
            base, peak_mb=self._peak(), reason=prepared.note, parameters=parameters_of(work.networks)
        )
        row = _timed(base, timing, task.batch)
        if task.path == PEER:
            self._peers[key] = timing.seconds
        else:
            deviation = self._deviation(work, task, prepared)
            row = replace(row, deviation=deviation, deviation_unit=work.deviation)
            if not deviation <= TOLERANCE[work.deviation] * (20 if task.precision == BF16 else 1):
                return replace(
                    row, status=FAILED, reason=f"{prepared.note} does not compute the same".strip()
                )
        if key in self._peers:
            row = replace(row, speedup=self._peers[key] / (timing.seconds / task.batch))
        return self._against_ceilings(row, self._counts[key, task.batch])

    def _deviation(self, work: Workload, task: Task, prepared: Prepared) -> float:
        """From the component's own code in strict fp32, on inputs that nothing was traced with."""
        import torch

        key = (id(task.builder), task.batch)
        if key not in self._references:
            others = work.inputs(task.batch, 2)
            with torch.no_grad(), convolutions(benchmark=True, tf32=False):
                self._references = {key: (others, work.run(*others).float())}
        others, wanted = self._references[key]
        found = prepared.function(*_laid_out_like(prepared.tensors, others))
        return deviation_of(found.float(), wanted, work.deviation)

    def _against_ceilings(self, row: Row, counts: Counts) -> Row:
        if not counts.flop or row.per_second is None:
            return row
        strict = row.precision == FP32 and not row.device.startswith("cuda")
        unit = "bf16" if row.precision == BF16 else "fp32" if strict else "tf32"
        moved = counts.moved / (2 if row.precision == BF16 else 1)
        rate = row.per_second
        return replace(
            row,
            gflop=counts.flop / 1e9,
            moved_mb=moved / 1e6,
            unit=unit,
            tflops=counts.flop * rate / 1e12,
            share_gemm=counts.flop * rate / self._anchors.gemm[unit],
            share_copy=moved * rate / self._anchors.copy,
            share_floor=self._anchors.floor(unit, counts.flop, moved) * rate,
        )

    def _reset_peak(self) -> None:
        import torch

        if self._options.wanted.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()

    def _peak(self) -> float | None:
        import torch

        on_gpu = self._options.wanted.device.startswith("cuda")
        return torch.cuda.max_memory_allocated() / 1e6 if on_gpu else None

    def _tidy(self) -> None:
        """Give back what the last row held, or graphs of large batches would add up."""
        import torch

        if self._options.wanted.device.startswith("cuda"):
            gc.collect()  # graphs of operations refer to themselves
            torch.cuda.empty_cache()


def _laid_out_like(tensors: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """`others` in the memory layout of `tensors`, which a compiled graph insists on."""
    import torch

    for tensor, other in zip(tensors, others, strict=True):
        yield torch.empty_like(tensor).copy_(other)


def _base(task: Task, work: Work) -> Row:
    named = work.named
    return Row(
        kind=named.kind,
        name=named.name,
        path=task.path,
        precision=task.precision,
        batch=task.batch,
        device=work.device,
        variant=named.variant,
        preset=named.preset,
        side=named.side,
        item=named.item,
        settings=named.settings,
        weights=named.weights,
    )


def _unbuilt(task: Task, device: str, error: Exception) -> Row:
    named = task.builder.named
    return Row(
        kind=named.kind,
        name=named.name,
        path="",
        precision="",
        batch=0,
        device=device,
        status=_status(error),
        reason=_reason(error),
        variant=named.variant,
        preset=named.preset,
        side=named.side,
    )


def _left_out(task: Task, device: str) -> Row:
    named = task.builder.named
    reason = _SPENT
    return Row(
        named.kind,
        named.name,
        task.path,
        task.precision,
        task.batch,
        device,
        LEFT_OUT,
        reason,
        named.variant,
        named.preset,
        named.side,
    )


def _timed(row: Row, timing: Timing, items: int) -> Row:
    return replace(
        row,
        per_second=items / timing.seconds,
        per_second_low=items / timing.high,
        per_second_high=items / timing.low,
        latency_p50_ms=timing.p50 * 1e3,
        latency_p95_ms=timing.p95 * 1e3,
        calls=timing.calls,
    )


def _needed(task: Task, device: str) -> float:
    return _COMPILING if task.path == COMPILED and device.startswith("cuda") else 0.0


def _status(error: Exception) -> str:
    from bench.inference.flat import NotFlat

    return UNAVAILABLE if isinstance(error, Unavailable | NotFlat) else FAILED


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    named = "" if isinstance(error, Unavailable) else f"{type(error).__name__}: "
    return f"{named}{lines[0]}"[:300]


def _ceilings(anchors: Anchors) -> str:
    products = ", ".join(f"{unit} {rate / 1e12:.4g} TFLOP/s" for unit, rate in anchors.gemm.items())
    return f"matrix product: {products}; copy: {anchors.copy / 1e9:.4g} GB/s read and written"


def _columns(anchors: Anchors) -> dict[str, Any]:
    products = {f"gemm_{unit}_tflops": f"{rate / 1e12:.6g}" for unit, rate in anchors.gemm.items()}
    return {**products, "copy_gb_per_second": f"{anchors.copy / 1e9:.6g}"}
