"""Spreads photographs over worker processes, one thread each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.errors import BenchError, InputError
from bench.files import no_room
from bench.orphans import end_with_parent
from bench.user_photos.photo import Finder, PhotoProtector, Result, Task
from bench.user_photos.recipe import Recipe
from bench.user_photos.record import FAILED, Record

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

OpenFinder = Callable[[Recipe], Finder]
"""Opens what finds faces, in a worker process; a function of a module."""


def open_finder(recipe: Recipe) -> Finder:
    """The detector of the weights folder."""
    from bench.detection import FaceFinder

    folder = recipe.weights_folder()
    assert folder is not None
    return FaceFinder(folder)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class Processes:
    """At most `count` workers that protect files of `source` into `target`."""

    def __init__(
        self, recipe: Recipe, source: Path, target: Path, count: int, finder: OpenFinder = open_finder
    ) -> None:
        self._arguments = (recipe, source, target, finder)
        self._count = count
        self._workers: list[_Worker] = []
        self._retried: set[str] = set()

    def run(self, tasks: Iterable[Task]) -> Generator[Result, None, None]:
        """A result a task, in the order in which they are done. However this ends, no worker is left."""
        waiting = deque(tasks)
        try:
            while waiting or self._busy():
                self._hand_out(waiting)
                for pipe in wait([w.pipe for w in self._busy()]):
                    worker = next(w for w in self._workers if w.pipe is pipe)
                    if (result := self._listen(worker, waiting)) is not None:
                        yield result
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
                worker.pipe.close()
            self._workers.clear()

    def _busy(self) -> list[_Worker]:
        return [w for w in self._workers if w.task is not None]

    def _hand_out(self, waiting: deque[Task]) -> None:
        while waiting:
            worker = next((w for w in self._workers if w.task is None), None)
            if worker is None:
                if len(self._workers) >= self._count:
                    return
                worker = _spawn(self._arguments)
                self._workers.append(worker)
            worker.task = waiting.popleft()
            with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when we listen to it
                worker.pipe.send(worker.task)

    def _listen(self, worker: _Worker, waiting: deque[Task]) -> Result | None:
        task = worker.task
        assert task is not None
        try:
            answer: Result | str = worker.pipe.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of an answer
            return self._lost(worker, task, waiting)
        worker.task = None
        if isinstance(answer, str):
            raise InputError(answer)
        return answer

    def _lost(self, worker: _Worker, task: Task, waiting: deque[Task]) -> Result | None:
        """A worker died: its photograph is tried once more, then given up."""
        self._workers.remove(worker)
        worker.process.join()
        worker.pipe.close()
        if task.path not in self._retried:
            self._retried.add(task.path)
            waiting.appendleft(task)
            return None
        code = worker.process.exitcode
        reason = f"its worker died twice (exit code {code}); too little memory?"
        return Result(Record(task.path, status=FAILED, reason=reason))


def _spawn(arguments: tuple[Recipe, Path, Path, OpenFinder]) -> _Worker:
    for name in _THREADS:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, recipe: Recipe, source: Path, target: Path, finder: OpenFinder) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    import torch

    torch.set_num_threads(1)
    protector: PhotoProtector | None = None
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        if protector is None:
            try:
                protector = PhotoProtector(recipe, source, target, finder(recipe))
            except BenchError as error:
                pipe.send(str(error))
                return
        pipe.send(_attempt(protector, task))


def _attempt(protector: PhotoProtector, task: Task) -> Result | str:
    """What became of a photograph, or why no other one can be protected either."""
    try:
        return protector.protect(task)
    except Exception as error:  # nothing about one photograph may end the others
        if isinstance(error, OSError) and (told := no_room(error)):
            return told
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return Result(Record(task.path, status=FAILED, reason=reason))
