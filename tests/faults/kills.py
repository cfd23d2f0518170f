"""Kills a run at random points until it was killed often enough, repeating the command each time.

Two ways to choose a point. By time: some moment after something was seen to happen. By event: just before
the store or the report does a certain thing, which would hardly ever be hit by time (see
`hook/sitecustomize.py`).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from .command import Command, different, trouble, wait_for_the_end_of

WORKER, PARENT, ALL = "worker", "parent", "all"
_EVENTS = (
    "before the data",
    "between data and card",
    "before the rename",
    "after the rename",
    "in a checkpoint",
    "after a checkpoint",
    "in the report",
)
_HANGS_SECONDS = 1500.0
_MOST_OF_WORKERS = 6


@dataclass(frozen=True)
class Kill:
    """Who was killed, and what the run was doing."""

    victim: str
    stage: str


class Series:
    """Kills of one command whose results, whenever it ends well, must be `expected`.

    reports: the largest share of kills that may hit the writing of the report, which takes long.
    """

    def __init__(
        self,
        command: Command,
        expected: dict[str, bytes],
        seed: int,
        folder: Path,
        say: Callable[[str], None],
        reports: float = 0.25,
    ) -> None:
        self.command, self.expected, self.folder, self.say = command, expected, folder, say
        self.chance, self.reports = random.Random(seed), reports
        self.kills: list[Kill] = []
        self.finished = 0
        self.orphans: list[float] = []
        self._passes = 0
        self._loose: list[int] = []
        self._planning = 3.0

    def run(self, wanted: int) -> None:
        """Kill until `wanted` points were hit; then let the command end, and look at what it left."""
        while len(self.kills) < wanted:
            ended_well = self._pass(wanted - len(self.kills))
            if ended_well:
                self._look()
            if not ended_well and len(self.kills) >= wanted:
                self._to_the_end()
                self._look()
            elif ended_well and len(self.kills) < wanted:
                self._lose_a_part()
            counts = Counter(f"{kill.victim}, {kill.stage}" for kill in self.kills)
            self.say(f"{len(self.kills)} kills in {self._passes} runs: {dict(sorted(counts.items()))}")

    # -- one run of the command --------------------------------------------------------------------

    def _pass(self, most: int) -> bool:
        """Start the command and kill some of it; whether it ended well by itself."""
        self._passes += 1
        run = _Run(self.command, self.folder / f"{self._passes}.log", self._shot(most))
        mild = self.chance.randint(0, min(_MOST_OF_WORKERS, max(0, most - 1)))
        fatal = self.chance.random() < 0.7
        early = self.chance.random() < 0.2
        due = time.monotonic() + (self.chance.uniform(0, self._planning) if early else 1e9)
        seen = ""
        while run.process.poll() is None:
            if run.age() > _HANGS_SECONDS:
                os.killpg(run.process.pid, signal.SIGKILL)
                raise AssertionError(f"the command hangs; it said:\n{run.said()[-3000:]}")
            self._note(run)
            stage = run.stage()
            if seen == "planning" and stage != seen:
                self._planning = max(1.0, run.age())
            if stage != seen and not early:
                if stage == "before the first result":
                    due = time.monotonic() + self.chance.uniform(0, 6)
                elif stage == "in the report":
                    killed = sum(kill.stage == stage for kill in self.kills)
                    more = killed < self.reports * (len(self.kills) + most)
                    due = time.monotonic() + (self.chance.uniform(0, 12) if more and fatal else 1e9)
            seen = stage
            if time.monotonic() >= due:
                if run.workers() and mild > 0:
                    mild -= self._kill(run, WORKER)
                elif fatal or early:
                    self._kill(run, self.chance.choice((PARENT, PARENT, ALL)))
                    break
                due = time.monotonic() + self.chance.uniform(0.5, 8 if mild else 15)
            time.sleep(0.01)
        status = run.process.wait()
        self._note(run)
        self._after(run, status)
        return status == 0

    def _shot(self, most: int) -> dict[str, object]:
        kind = self.chance.choice(_EVENTS)
        victim = self.chance.choice((WORKER, WORKER, PARENT, ALL)) if kind != "in the report" else PARENT
        skip = self.chance.randint(0, 40 if kind == "in the report" else 12)
        if "checkpoint" in kind:
            skip = 0
        number = min(most, 3 if victim == WORKER else 1)
        return {"kind": kind, "victim": victim, "skip": skip, "most": number}

    def _kill(self, run: _Run, victim: str) -> int:
        stage = run.stage()
        if victim == WORKER:
            workers = run.workers()
            if not workers:
                return 0
            self.chance.choice(workers).kill()
        elif victim == PARENT:
            run.process.kill()
        else:
            os.killpg(run.process.pid, signal.SIGKILL)
        self.kills.append(Kill(victim, stage))
        return 1

    def _note(self, run: _Run) -> None:
        """Count the shots that the run has fired at itself."""
        self.kills += [Kill(str(run.shot["victim"]), stage) for stage in run.fired()]

    def _after(self, run: _Run, status: int) -> None:
        """Whether the run ended as it should, and its workers with it, now or by the time of the next run."""
        said = run.said()
        assert status in (0, 1, -signal.SIGKILL), f"exit status {status}; it said:\n{said[-3000:]}"
        assert "Traceback" not in said, said[-3000:]
        if status == 1:
            assert "its worker died twice" in said, said[-3000:]
        if self.chance.random() < 0.5:
            self.orphans.append(wait_for_the_end_of(run.process.pid))
        else:
            self._loose.append(run.process.pid)

    # -- the end ----------------------------------------------------------------------------------

    def _to_the_end(self) -> None:
        status, said = self.command.finish()
        assert status == 0, said[-3000:]

    def _look(self) -> None:
        """Raises AssertionError unless all is there, whole, equal, and nothing but that."""
        for leader in self._loose:
            wait_for_the_end_of(leader)
        self._loose.clear()
        wrong = different(self.command.results(), self.expected)
        assert not wrong, f"after {len(self.kills)} kills these differ: {wrong}"
        found = trouble(self.command)
        assert not found, f"after {len(self.kills)} kills: {found}"
        self.finished += 1
        self.say(f"equal bytes in {len(self.expected)} files after {len(self.kills)} kills")

    def _lose_a_part(self) -> None:
        """Remove the report and a part of the finished work, so that there is something to do again."""
        shutil.rmtree(self.command.out)
        cells = sorted((self.command.store / "cells").glob("*/*"))
        share = self.chance.uniform(0.2, 0.7)
        for cell in self.chance.sample(cells, int(share * len(cells))):
            shutil.rmtree(cell)


class _Run:
    """The command under way. log: where it writes. shot: what it is to shoot itself at."""

    def __init__(self, command: Command, log: Path, shot: dict[str, object]) -> None:
        self.command, self.log, self.shot = command, log, shot
        self.began = time.monotonic()
        places = {"log": f"{log}.shot", "store": str(command.store), "out": str(command.out)}
        self._fired, self._before, self._busy = 0, self._stored(), False
        self.process: subprocess.Popen[bytes] = command.start(log, FAULT_SHOT=json.dumps(shot | places))

    def _stored(self) -> int:
        """Cells that are done."""
        return sum(1 for _ in (self.command.store / "cells").glob("*/*"))

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.began

    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def fired(self) -> list[str]:
        """What it was doing at those shots that it fired since the last call."""
        found = []
        while Path(f"{self.log}.shot.{self._fired}").exists():
            self._fired += 1
            found.append(str(self.shot["kind"]))
        return found

    def stage(self) -> str:
        """What it is doing, as far as can be seen from outside."""
        said = self.said()
        if " workers\n" not in said:
            return "planning"
        if "writing the report" in said:
            return "in the report"
        if " cells computed" in said:
            return "between work and report"
        if not self._busy:
            self._busy = self._stored() != self._before
            return "before the first result"
        if any((self.command.store / "new").glob("*")):
            return "while storing"
        return "in a cell"

    def workers(self) -> list[psutil.Process]:
        """Its living workers."""
        found = []
        try:
            for child in psutil.Process(self.process.pid).children():
                if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
        except psutil.NoSuchProcess:
            return []
        return found
