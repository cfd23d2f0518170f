"""Seconds on an accelerator, from tables of `bench throughput`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bench.costs.fit import SECONDS
from bench.costs.model import GUESS, TABLE, Figure, Model
from bench.costs.work import Work
from bench.report.cost import PEER, Machine, components
from bench.throughput.table import Row

ON_DEVICE = ("auxiliary", "fit", "matcher_fit", "protect", "embed", "generator")
"""Stages whose networks run on the device of the workers; all others are counted on processors."""
EXACT_PATHS = ("eager", "channels_last")
"""Paths of a run with `--inference exact`."""
_TRAINING = "training"
_TIMES_FORWARD = 28.0
"""Passes of its network that an image of a training step costs, forward and backward through generator,
critic and auxiliaries, where the tables have no method whose training and passes were both measured:
Gender-AN's on an NVIDIA H200 at 224 px."""
_HANDLED = 1e9
"""Bytes a second that a core reads, prepares and stores beside a busy accelerator."""


class Accelerator:
    """Rates of one machine's accelerator.

    preset: of the plan's components. side: of its images in pixels. exact: whether networks are evaluated in
    fp32. model: what the same takes on a processor, which tells how much dearer one network is than another.
    """

    def __init__(
        self, label: str, rows: Iterable[Row], *, preset: str, side: int, exact: bool, model: Model
    ) -> None:
        self.label, self.preset, self.side, self.model = label, preset, side, model
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if row.per_second and _is_taken(row, exact):
                self._rows.setdefault((row.kind, row.name), []).append(row)
        self._ratios: dict[tuple[str, str], float] = {}
        self._passes_a_step = self._measured_passes()

    def seconds(self, works: Mapping[str, Work]) -> dict[str, Figure]:
        """Of every cell that runs on it; what the tables have no rate of is taken to gain as much over a core
        as what they have."""
        on_device = {key: work for key, work in works.items() if work.stage in ON_DEVICE}
        found = {key: self._known(work) for key, work in on_device.items()}
        gains = [
            self.model.seconds(on_device[key]).value / figure.value
            for key, figure in found.items()
            if figure is not None and figure.value > 0
        ]
        gain = max(1.0, median(gains)) if gains else 1.0
        return {
            key: figure or Figure(self.model.seconds(on_device[key]).value / gain, GUESS)
            for key, figure in found.items()
        }

    def _known(self, work: Work) -> Figure | None:
        if not work.passes:
            return None
        kind, name, variant = work.network
        if work.trains:
            if row := self._row(_TRAINING, name, ""):
                return self._figure(row, work.passes / max(1, row.batch))
            if (row := self._row(kind, name, "")) is None:
                return None
            return Figure(self._figure(row, self._passes_a_step * work.passes).value, GUESS)
        row = self._row(kind, name, variant)
        if row is None:
            return None
        if variant in ("", row.variant):
            return self._figure(row, work.passes)
        return Figure(self._figure(row, work.passes).value * self._dearer(work, name, row.variant), GUESS)

    def _measured_passes(self) -> float:
        """How many passes of its network an image of a training step costs, over the methods that the tables
        have both of, at one preset and size."""
        found = []
        for kind, name in self._rows:
            step, one = self._row(_TRAINING, name, ""), self._row("method", name, "")
            if kind == _TRAINING and step and one and (step.preset, step.side) == (one.preset, one.side):
                assert step.per_second is not None
                assert one.per_second is not None
                found.append(one.per_second / (step.per_second * max(1, step.batch)))
        return median(found) if found else _TIMES_FORWARD

    def _figure(self, row: Row, items: float) -> Figure:
        """Seconds for so many of the row's items; a guess, by pixels, where it is of another size."""
        assert row.per_second is not None
        if self._fits(row):
            return Figure(items / row.per_second, TABLE)
        return Figure(items / row.per_second * ((self.side / row.side) ** 2 if row.side else 1.0), GUESS)

    def _fits(self, row: Row) -> bool:
        return row.side == self.side and row.preset in (self.preset, "") and not row.settings

    def _row(self, kind: str, name: str, variant: str) -> Row | None:
        """Of the same output and preset where there is such a row, and of those the fastest."""
        rows = self._rows.get((kind, name), [])
        return max(
            rows,
            key=lambda r: (r.variant == variant, self._fits(r), r.per_second or 0.0),
            default=None,
        )

    def _dearer(self, work: Work, name: str, measured: str) -> float:
        """How many times what the output that the table has takes on a processor; 1 where nothing tells."""
        place = work.stage, work.component
        if place not in self._ratios:
            other = f"{name}:{measured}" if measured not in ("", "default") else name
            mine, theirs = self.model.seconds(work), self._of_output(work, other)
            told = mine.basis != GUESS and theirs > 0
            self._ratios[place] = max(1.0, mine.value / theirs) if told else 1.0
        return self._ratios[place]

    def _of_output(self, work: Work, output: str) -> float:
        """Seconds of the same work by another output on a processor; 0 where that was not measured."""
        for rates in (self.model.own, self.model.shipped):
            for (stage, component, quantity), found in rates.items():
                if (stage, quantity) == (work.stage, SECONDS) and component.partition(" ")[0] == output:
                    return found.at(work.terms)
        return 0.0


def core_seconds(read: float, left: float) -> Figure:
    """Of the core beside a busy accelerator. read, left: bytes."""
    return Figure((read + left) / _HANDLED, GUESS)


def accelerator(
    machines: Sequence[Machine], *, preset: str, side: int, exact: bool, model: Model
) -> Accelerator | None:
    """The first one that the tables name, with all their rows of it: of one that was measured in several runs
    each tells another part."""
    names = [dict(machine.facts).get("accelerator", "") for machine in machines]
    name = next(filter(None, names), "")
    if not name:
        return None
    rows = [
        measured.row
        for machine, its in zip(machines, names, strict=True)
        if its == name
        for component in components(machine)
        for measured in component.measured
        if machine.ran_here(measured.row)
    ]
    return Accelerator(name, rows, preset=preset, side=side, exact=exact, model=model)


def _is_taken(row: Row, exact: bool) -> bool:
    """Whether a run would go this way: not the public style; in fp32 unless it takes what is fastest."""
    if row.kind == _TRAINING:
        return row.path != PEER and row.precision == "fp32"
    return not exact or (row.path in EXACT_PATHS and row.precision == "fp32")
