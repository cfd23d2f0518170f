"""Shows how far a run is: one live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from bench.cells import Cell
from bench.engines.outcome import Event
from bench.shown import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_SECONDS = 10.0


class Progress:
    """Counts cells and estimates the time left from their declared costs and the pace so far."""

    def __init__(self, cells: Iterable[Cell], workers: int) -> None:
        self.cost = {c.key: c.cost for c in cells}
        self.total, self.workers = sum(self.cost.values()), workers
        self.count, self.finished, self.cached = len(self.cost), 0, 0
        self.done = 0.0
        self.worked = 0.0
        self.running: dict[int, tuple[Cell, float, str]] = {}
        self.started = self.printed = time.monotonic()
        self.bar: Bar | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self.bar = _new_bar()
            self.task = self.bar.add_task("", total=self.total or 1.0, left="")
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Take note of an event of the engine and show it."""
        if event.kind in ("start", "progress"):
            text = " ".join(part for part in (event.text, f"on {event.where}" if event.where else "") if part)
            self.running[event.worker] = (event.cell, event.share, text)
        else:
            self.running = {w: r for w, r in self.running.items() if r[0].key != event.cell.key}
        if event.kind in ("done", "cached", "failed"):
            self.finished += 1
            self.cached += event.kind == "cached"
            self.done += event.cell.cost
            self.worked += event.cell.cost if event.kind != "cached" else 0.0
        self._show(event)

    def left(self) -> str:
        """Time left as `m:ss`, or an empty string before anything was measured."""
        under_way = sum(cell.cost * share for cell, share, _ in self.running.values())
        worked = self.worked + under_way
        if worked < 1.0:
            return ""
        pace = (time.monotonic() - self.started) / worked
        seconds = round(max(0.0, self.total - self.done - under_way) * pace)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _show(self, event: Event) -> None:
        if event.kind == "failed":
            self.say(f"failed: {event.cell.title}: {event.text}")
        under_way = sum(cell.cost * share for cell, share, _ in self.running.values())
        if self.bar is not None:
            text = "; ".join(_describe(*r) for r in self.running.values())
            self.bar.update(
                self.task, completed=self.done + under_way, description=text or "checking", left=self.left()
            )
        elif event.kind != "cached" and time.monotonic() - self.printed > _LINE_SECONDS:
            self.printed = time.monotonic()
            share = 100 * (self.done + under_way) / (self.total or 1.0)
            left = self.left()
            self.say(
                f"{share:3.0f} %  {self.finished}/{self.count} cells{f', {left} left' if left else ''}: "
                + "; ".join(_describe(*r) for r in self.running.values())
            )

    def say(self, line: str) -> None:
        """A line of its own, above the bar where there is one."""
        line = one_line(line)
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _describe(cell: Cell, share: float, text: str) -> str:
    return one_line(f"{cell.title}{f' {100 * share:.0f} %' if share else ''}{f' ({text})' if text else ''}")


def _new_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        TaskProgressColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[left]} left"),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
