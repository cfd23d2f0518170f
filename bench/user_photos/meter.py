"""Shows how many photographs are done: one live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_SECONDS = 10.0


class Meter:
    """Counts to `total`; `say` prints a line where there is no terminal."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self.say = total, say
        self.done = 0
        self.started = self.said = time.monotonic()
        self.bar: Progress | None = None

    def __enter__(self) -> Meter:
        if sys.stderr.isatty():
            self.bar = _new_bar()
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.advance(self.task)
        elif time.monotonic() - self.said > _LINE_SECONDS:
            self.said = time.monotonic()
            left = round((self.said - self.started) / self.done * (self.total - self.done))
            self.say(f"{self.done} of {self.total} files, {left // 60}:{left % 60:02d} left")


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
