"""What `bench throughput` measured, beside a run: told apart by machine, and held to the run's own networks.

A row is of one network at one size on one machine. It becomes a figure of a leaderboard line only where the
run's own output is that very network at that size; everything else stands beside it with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from bench.report.tables import label
from bench.throughput.table import OK, Row

if TYPE_CHECKING:
    import pandas as pd

METHOD = "method"
PEER = "peer"
FIRST = "machine"
"""The first column of the joined table, which tells it from one that was measured."""

_MEASURED = ("status", "reason", "deviation_unit", "unit")
IDENTITY = tuple(n for n, k in get_type_hints(Row).items() if "None" not in str(k) and n not in _MEASURED)
"""What tells one measurement on a machine from another."""

FIGURES = {
    "images_per_second": "Images a second of the fastest path whose outputs agree with the component's own "
    "code",
    "speedup": "How many times faster that is than the papers' style (fp32, eager, one image a call) of the "
    "same run",
    "path": "That path, its precision and its batch",
    "parameters": "Numbers in the network",
    "gflop": "Operations of convolutions and products for one image, in 10^9",
    "peak_mb": "Most memory allocated on the device, in MB",
}
"""The leaderboard's columns of one machine, and what they hold."""


class Measured(NamedTuple):
    """A row with the table and line it is from. ceilings: of that table's run, in 10^12 operations a second
    by unit of arithmetic, and in 10^9 bytes a second for `copy`."""

    row: Row
    table: Path
    line: int
    ceilings: tuple[tuple[str, float], ...]


class Machine(NamedTuple):
    """label: what its columns are named by. facts: the columns of its environment that are not empty."""

    label: str
    facts: tuple[tuple[str, str], ...]
    measured: tuple[Measured, ...]

    @property
    def device(self) -> str:
        """What was measured; single rows may be of its processor all the same."""
        return "cuda" if dict(self.facts).get("accelerator") else "cpu"

    def ran_here(self, row: Row) -> bool:
        """Whether a row is of the device itself."""
        return row.device.partition(":")[0] == self.device

    @property
    def ceilings(self) -> tuple[tuple[tuple[str, float], ...], ...]:
        """One set for each run that measured its own."""
        return tuple(dict.fromkeys(m.ceilings for m in self.measured))


class Component(NamedTuple):
    """One piece of work on one machine: all its measurements, and of those that agree the fastest."""

    measured: tuple[Measured, ...]
    best: Measured
    peer: Measured | None

    @property
    def row(self) -> Row:
        return self.best.row


@dataclass(frozen=True)
class Setting:
    """What the networks of a run are. side: of its images in pixels.

    own_sides: method -> pixels at which it works whatever it is given; absent: as it is given.
    changed: method -> options that the run sets other than its preset does.
    """

    preset: str
    side: int
    own_sides: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """The machines, and the setting of the run that they stand beside."""

    machines: tuple[Machine, ...]
    setting: Setting

    def beside(self, row: Row, outputs: Iterable[tuple[str, str]]) -> str:
        """Why a method's row gives no figure to the leaderboard; empty where it does.

        outputs: (method, variant) of the run.
        """
        given, side = self.setting, self.setting.own_sides.get(row.name, self.setting.side)
        if row.item != "image":
            return "measured on templates, whose length differs between matchers"
        if row.settings:
            return f"measured with {row.settings}"
        if (row.preset, row.side) != (given.preset, side):
            told = f"preset {row.preset}" if row.preset else "no preset"
            return f"measured at {told} and {row.side} px, here preset {given.preset} and {side} px"
        if side != given.side:
            return f"works here at {side} px of {given.side}, and resizes; measured without"
        if row.name in given.changed:
            return f"this run sets {', '.join(given.changed[row.name])} otherwise"
        names = {label(*output) for output in outputs}
        return "" if label(row.name, row.variant) in names else "this run has no such output"

    def placed(self, outputs: Sequence[tuple[str, str]]) -> dict[str, dict[str, Component]]:
        """Label of a machine -> name of an output, as typed -> what it costs there."""
        found = {}
        for machine in self.machines:
            methods = [c for c in components(machine) if c.row.kind == METHOD and machine.ran_here(c.row)]
            found[machine.label] = {
                label(c.row.name, c.row.variant): c for c in methods if not self.beside(c.row, outputs)
            }
        return {name: costs for name, costs in found.items() if costs}

    def with_columns(self, board: pd.DataFrame) -> pd.DataFrame:
        """The leaderboard with the columns of `definitions` at its end."""
        import pandas as pd

        outputs = outputs_of(board)
        names = [label(*output) for output in outputs]
        columns = {
            f"{figure}@{machine}": [value(costs.get(name), figure) for name in names]
            for machine, costs in self.placed(outputs).items()
            for figure in FIGURES
        }
        return pd.concat([board, pd.DataFrame(columns, index=board.index, dtype=object)], axis=1)

    def definitions(self, board: pd.DataFrame) -> dict[str, str]:
        """Name and meaning of the columns that `with_columns` adds."""
        return {
            f"{figure}@{machine}": f"{says}; on {machine}, see throughput.csv."
            for machine in self.placed(outputs_of(board))
            for figure, says in FIGURES.items()
        }

    def table(self, board: pd.DataFrame) -> pd.DataFrame:
        """All rows of all machines. beside: why a method's row gives the leaderboard no figure."""
        import pandas as pd

        outputs = outputs_of(board)
        records = []
        for machine in self.machines:
            for measured in machine.measured:
                row, ceilings = measured.row, dict(measured.ceilings)
                why = self.beside(row, outputs) if row.kind == METHOD and row.status == OK else ""
                start = {FIRST: machine.label, "table": measured.table.name, "beside": why}
                records.append({**start, **asdict(row), **dict(machine.facts), **_ceiling_columns(ceilings)})
        names = dict.fromkeys(name for record in records for name in record)
        return pd.DataFrame([[r.get(n) for n in names] for r in records], columns=list(names), dtype=object)


def outputs_of(board: pd.DataFrame) -> list[tuple[str, str]]:
    """(method, variant) of every line."""
    return [(str(m), str(v)) for m, v in zip(board["method"], board["variant"].fillna(""), strict=True)]


def value(component: Component | None, figure: str) -> Any:
    """A figure of `FIGURES`; None where it is not known."""
    if component is None:
        return None
    if figure == "path":
        return way(component.row)
    return getattr(component.row, {"images_per_second": "per_second"}.get(figure, figure))


def way(row: Row) -> str:
    """Path, precision and batch of a row in words."""
    return f"{row.path} {row.precision} x{row.batch}"


def components(machine: Machine) -> list[Component]:
    """Everything that was measured, in the order of the tables; what has no valid row is left out.

    Of the valid rows, `failed` ones being those that deviate beyond tolerance, the fastest is the best.
    """
    works: dict[tuple[Any, ...], list[Measured]] = {}
    for measured in machine.measured:
        row = measured.row
        if row.status == OK:
            key = tuple(getattr(row, n) for n in IDENTITY if n not in ("path", "precision", "batch"))
            works.setdefault(key, []).append(measured)
    found = []
    for rows in works.values():
        peer = next((m for m in rows if m.row.path == PEER), None)
        found.append(Component(tuple(rows), max(rows, key=lambda m: m.row.per_second or 0.0), peer))
    return found


def _ceiling_columns(ceilings: Mapping[str, float]) -> dict[str, float]:
    return {"copy_gb_per_second" if k == "copy" else f"gemm_{k}_tflops": v for k, v in ceilings.items()}
