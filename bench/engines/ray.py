"""Works on cells on the machines of a Ray cluster.

A place is an actor that is pinned to one machine and holds one CPU, and where the run uses a GPU also a share
of one. Tasks of Ray's own scheduling would be fewer lines, but with places the machine that fits the run is
chosen here and not by chance, a process that has once touched a GPU keeps that one, what cells share stays at
hand between them, and the loss of a place concerns one known cell. Artefacts never pass through Ray: store,
data and weights are folders that every machine sees.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.cells import Cell, Environment
from bench.engines import schedule
from bench.engines.node import Worker, installation
from bench.engines.outcome import Event, Outcome
from bench.engines.work import THREADS, Report
from bench.errors import BenchError, Unavailable, UsageError
from bench.files import temporary_prefix
from bench.store import Store

ANYWHERE, ON_GPU = 0, 1

WITHOUT_DEVICE = frozenset({"faces", "pairs", "oracle", "neighbours", "niqe_fit", "score"})
"""Stages that never compute on `device`; the others are given a place with a GPU where the run uses one."""

_KNOCK_SECONDS = 10.0
_LOOK_SECONDS = 2.0
_NEWS_SECONDS = 1.0
_FIT_SECONDS = 120.0
_PATIENCE_SECONDS = 600.0
_SAID_AFTER_SECONDS = 15.0
_MOST_BAD_STARTS = 3


@dataclass(frozen=True)
class Cluster:
    """address: as of `ray.init`, empty for `auto`. gpu_share: of one GPU, for each place that has any.
    workers: places at most; 0: as many as there are CPUs."""

    address: str = ""
    gpu_share: float = 1.0
    workers: int = 0


def execute(
    cells: Iterable[Cell],
    environment: Environment,
    cluster: Cluster,
    notify: Callable[[Event], None],
    say: Callable[[str], None],
    provenance: Mapping[str, Any],
) -> Outcome:
    """Make every cell of the plan that the store lacks. KeyboardInterrupt stops all work and passes on.

    Raises Unavailable without Ray, UsageError where there is no such cluster or a machine of it does not fit
    the run, BenchError when nothing in the cluster could take a cell for ten minutes.
    """
    if environment.device not in ("cpu", "cuda"):
        raise UsageError(f"--device {environment.device}: with --engine ray write cpu, or cuda for any GPU")
    planned, store = list(cells), Store(environment.store)
    with _connected(cluster.address):
        places = _Actors(environment, cluster, say, provenance)
        try:
            places.survey()
        except BaseException:
            places.close()
            raise
        return schedule.execute(planned, store, places, notify)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before the import: nothing is reported to anybody
    try:
        import ray
    except ImportError as error:
        raise Unavailable(f"Ray is not installed ({error})", "pip install 'veilbench[ray]'") from error
    _knock(address)
    main = threading.current_thread() is threading.main_thread()
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        ray.init(address=address or "auto", logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()
        raise _unreachable(address, error) from error
    finally:
        for sign, handler in before.items():  # Ray puts its own in place, which ends without order
            signal.signal(sign, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise UsageError at once where nobody listens, for which Ray itself would try for minutes."""
    if address in ("", "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--address {address}: write HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> UsageError:
    return UsageError(
        f"no Ray cluster can be reached at {address or 'auto'} ({_gist(error)}); start one with `ray start "
        "--head`, or say where it is with --address HOST:PORT"
    )


@dataclass
class _Place:
    """An actor. starting: its answer that it is there. busy: the answer of the work under way, which takes
    `memory` bytes; news: the answer on how far it is, where it was asked. told_at: when."""

    node: str
    kind: int
    actor: Any
    starting: Any
    memory: float = 0.0
    busy: Any = None
    news: Any = None
    told_at: float = 0.0


class _Actors:
    """Places on all machines that fit the run, as they come and go."""

    def __init__(
        self,
        environment: Environment,
        cluster: Cluster,
        say: Callable[[str], None],
        provenance: Mapping[str, Any],
    ) -> None:
        import ray

        self.environment, self.cluster, self.say, self.provenance = environment, cluster, say, provenance
        remote: Any = ray.remote
        self.actor_class = remote(concurrency_groups={"news": 1})(Worker)
        self.places: dict[int, _Place] = {}
        self.rooms: dict[str, tuple[int, ...]] = {}
        self.memory: dict[str, float] = {}
        self.names: dict[str, str] = {}
        self.looks: dict[Any, tuple[str, Any]] = {}
        self.unfit: set[str] = set()
        self.bad_starts: Counter[str] = Counter()
        self.looked_at = self.worked_at = time.monotonic()
        self.said_waiting = False

    # -- machines ----------------------------------------------------------------------------------

    def survey(self) -> None:
        """Look at all machines that are there, and prepare places on them.

        Raises UsageError naming each that does not fit the run, before anything is done on any.
        """
        nodes = self._nodes()
        looks = {name: self._look(name) for name in nodes}
        found = {name: self._found(look, _FIT_SECONDS) for name, (look, _) in looks.items()}
        for _, seen in looks.values():
            seen.close()
        bad = [f"{self.names[node]}: {'; '.join(why)}" for node, why in found.items() if why]
        if bad:
            raise UsageError(f"a machine of the cluster does not fit this run: {' | '.join(bad)}")
        for node in nodes:
            self._make_room(node, nodes[node])
        if nodes and self.environment.device == "cuda" and not any(ON_GPU in r for r in self.rooms.values()):
            raise UsageError(
                "no machine of the cluster offers a GPU; start some with `ray start --num-gpus`, or write "
                "--device cpu"
            )
        self._fill()

    def _nodes(self) -> dict[str, Mapping[str, float]]:
        """The machines that are alive and take work, and what each has."""
        import ray

        alive = {n["NodeID"]: n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1}
        hosts = Counter(n["NodeManagerHostname"] for n in alive.values())
        for node, facts in alive.items():
            host = facts["NodeManagerHostname"]
            self.names.setdefault(node, host if hosts[host] == 1 else f"{host}/{node[:6]}")
        return {node: facts["Resources"] for node, facts in alive.items()}

    def _look(self, node: str) -> tuple[Any, Any]:
        """An answer to come on why a machine does not fit, and the file that it is to see until then."""
        store = self.environment.store
        try:
            store.mkdir(parents=True, exist_ok=True)
            seen = tempfile.NamedTemporaryFile("w", dir=store, prefix=temporary_prefix())  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"cannot write to the store {store} ({error.strerror}); give another") from error
        content = os.urandom(16).hex()
        seen.write(content)
        seen.flush()
        folders = [str(root) for source in self.environment.sources.values() for root in source.roots]
        folders += [str(self.environment.weights)] if self.environment.weights else []
        look = _remote_look().options(scheduling_strategy=_on(node))
        return look.remote(installation(), folders, str(store), seen.name, content), seen

    def _found(self, look: Any, timeout: float) -> list[str]:
        import ray

        try:
            why: list[str] = ray.get(look, timeout=timeout)
        except ray.exceptions.GetTimeoutError:
            return [f"it has not answered for {timeout:.0f} s"]
        except ray.exceptions.RayError as error:
            return [_gist(error)]
        return why

    def _make_room(self, node: str, resources: Mapping[str, float]) -> None:
        """Note what places a machine has room for: those with a share of a GPU first."""
        cpus, gpus = int(resources.get("CPU", 0)), resources.get("GPU", 0)
        share = self.cluster.gpu_share
        with_gpu = int(gpus / share + 1e-6) if self.environment.device == "cuda" else 0
        with_gpu = min(cpus, with_gpu)
        self.rooms[node] = (ON_GPU,) * with_gpu + (ANYWHERE,) * (cpus - with_gpu)
        self.memory[node] = resources.get("memory", math.inf)

    def _fill(self) -> None:
        """Start an actor in every room that has none, machine by machine, up to the places asked for."""
        wanted = []
        for node, kinds in self.rooms.items():
            taken = Counter(p.kind for p in self.places.values() if p.node == node)
            for number, kind in enumerate(kinds):
                if taken[kind]:
                    taken[kind] -= 1
                else:
                    wanted.append((number, node, kind))
        for _, node, kind in sorted(wanted, key=lambda room: (-room[2], room[0])):
            if self.cluster.workers and len(self.places) >= self.cluster.workers:
                return
            number = next(n for n in range(len(self.places) + 1) if n not in self.places)
            self.places[number] = self._hired(node, kind)

    def _hired(self, node: str, kind: int) -> _Place:
        device = self.environment.device if kind == ON_GPU else "cpu"
        actor = self.actor_class.options(
            num_cpus=1,
            num_gpus=self.cluster.gpu_share if kind == ON_GPU else 0,
            max_restarts=0,
            scheduling_strategy=_on(node),
            runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
        ).remote(replace(self.environment, device=device), dict(self.provenance))
        return _Place(node, kind, actor, actor.ready.remote())

    def _look_around(self) -> None:
        """Take in machines that have joined, and let go of those that have gone."""
        self.looked_at = time.monotonic()
        nodes = self._nodes()
        for node in [n for n in self.rooms if n not in nodes]:
            del self.rooms[node]
            self.say(f"{self.names[node]} has left the cluster; its work is done again elsewhere")
        looked_at = {node for node, _ in self.looks.values()}
        for node in nodes.keys() - self.rooms.keys() - looked_at - self.unfit:
            look, seen = self._look(node)
            self.looks[look] = (node, seen)
        self._fill()

    def _take_in(self, look: Any) -> None:
        node, seen = self.looks.pop(look)
        seen.close()
        nodes = self._nodes()
        if node not in nodes:
            return
        if why := self._found(look, _FIT_SECONDS):
            self.unfit.add(node)
            told = f"{self.names[node]} has joined and does not fit this run: {'; '.join(why)}"
            if not self.rooms:
                raise UsageError(told)
            self.say(f"{told}; it is given no work")
            return
        self.say(f"{self.names[node]} has joined")
        self._make_room(node, nodes[node])
        self._fill()

    # -- work --------------------------------------------------------------------------------------

    def need(self, cell: Cell) -> int:
        return ON_GPU if self.environment.device == "cuda" and cell.stage not in WITHOUT_DEVICE else ANYWHERE

    def free(self, cell: Cell) -> int | None:
        need, taken = self.need(cell), self._taken()
        fitting = [
            (place.kind, number)
            for number, place in self.places.items()
            if place.kind >= need
            and place.starting is None
            and place.busy is None
            and (place.node not in taken or taken[place.node] + cell.memory <= self.memory[place.node])
        ]
        return min(fitting)[1] if fitting else None

    def _taken(self) -> dict[str, float]:
        """Bytes of memory that the work under way takes, by machine; a machine without any is not there."""
        taken: dict[str, float] = {}
        for place in self.places.values():
            if place.busy is not None:
                taken[place.node] = taken.get(place.node, 0.0) + place.memory
        return taken

    def start(self, place: int, cell: Cell) -> None:
        found = self.places[place]
        found.memory = cell.memory
        found.busy = found.actor.work.options(name=cell.title or cell.stage).remote(cell)
        found.told_at = time.monotonic()

    def where(self, place: int) -> str:
        return self.names[self.places[place].node]

    def wait(self) -> Iterable[tuple[int, Report]]:
        import ray

        now = time.monotonic()
        if now - self.looked_at > _LOOK_SECONDS:
            self._look_around()
        self._ask_for_news(now)
        answers = self._answers()
        if not answers:
            time.sleep(1.0)
        else:
            ray.wait(list(answers), num_returns=1, timeout=1.0)
        heard, _ = ray.wait(list(answers), num_returns=len(answers), timeout=0) if answers else ([], [])
        reports = []
        for answer in heard:
            if answer in self.looks:
                self._take_in(answer)
            elif report := self._listen(answers[answer], answer):
                reports.append((answers[answer], report))
        self._mind_standstill()
        return reports

    def _answers(self) -> dict[Any, int]:
        """All that is being waited for, and the place it comes from."""
        found = dict.fromkeys(self.looks, -1)
        for number, place in self.places.items():
            for answer in (place.starting, place.busy, place.news):
                if answer is not None:
                    found[answer] = number
        return found

    def _ask_for_news(self, now: float) -> None:
        for place in self.places.values():
            if place.busy is not None and place.news is None and now - place.told_at > _NEWS_SECONDS:
                place.told_at = now
                place.news = place.actor.told.options(concurrency_group="news").remote()

    def _listen(self, number: int, answer: Any) -> Report | None:
        """What an answer says of the work of a place; None where it says nothing of it."""
        import ray

        place = self.places.get(number)
        if place is None or answer not in (place.starting, place.busy, place.news):
            return None  # of a place, or of work, that another answer has already ended
        try:
            said = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            said = Report("failed", _gist(error), details=str(error))
        except ray.exceptions.RayError as error:
            return self._lost(number, error)
        if answer == place.news:
            place.news = None
            return said
        if answer == place.busy:
            place.busy = place.news = None
            self.worked_at = time.monotonic()
            return said
        if isinstance(said, Report):
            return self._lost(number, BenchError(said.text))
        place.starting = None
        return None

    def _lost(self, number: int, error: Exception) -> Report | None:
        """Let go of a place; what becomes of the cell it worked on, if it did."""
        import ray

        place = self.places.pop(number)
        ray.kill(place.actor)  # it may only be out of reach
        gone = isinstance(error, ray.exceptions.ActorUnavailableError) or place.node not in self._nodes()
        if place.starting is not None and not gone:
            self._count_bad_start(place, error)
        if place.busy is None:
            return None
        what = "the machine has left the cluster" if gone else "a worker of the cluster has died"
        self.say(f"{self.names[place.node]}: {what}; its cell is done again")
        return Report("lost", what, of_node=gone)

    def _count_bad_start(self, place: _Place, error: Exception) -> None:
        self.bad_starts[place.node] += 1
        if self.bad_starts[place.node] < _MOST_BAD_STARTS:
            return
        told = f"no worker can be started on {self.names[place.node]}: {_gist(error)}"
        self.unfit.add(place.node)
        self.rooms.pop(place.node, None)
        if not self.rooms:
            raise UsageError(told)
        self.say(f"{told}; it is given no work")

    def _mind_standstill(self) -> None:
        """Say when nothing has taken a cell for a while, and end it when that lasts."""
        now = time.monotonic()
        if any(place.busy is not None for place in self.places.values()):
            self.worked_at, self.said_waiting = now, False
        elif now - self.worked_at > _PATIENCE_SECONDS:
            raise BenchError(
                f"nothing in the cluster could take a cell for {_PATIENCE_SECONDS / 60:.0f} minutes; see "
                "`ray status`, then repeat the command to continue"
            )
        elif now - self.worked_at > _SAID_AFTER_SECONDS and not self.said_waiting:
            self.said_waiting = True
            self.say("waiting for a machine with a free CPU" + (" and GPU" if self._uses_gpu() else ""))

    def _uses_gpu(self) -> bool:
        return self.environment.device == "cuda"

    def close(self) -> None:
        import ray

        for place in self.places.values():
            ray.kill(place.actor)
        self.places.clear()
        for _, seen in self.looks.values():
            seen.close()
        self.looks.clear()


def _remote_look() -> Any:
    """`bench.engines.node.misfits` as a task that also answers where veilbench is missing."""
    import ray

    def look(*facts: Any) -> list[str]:  # inside, so that it travels whole
        try:
            from bench.engines.node import misfits
        except ImportError as error:
            return [f"veilbench cannot be imported there ({error})"]
        return misfits(*facts)

    return ray.remote(num_cpus=0, max_retries=0)(look)


def _on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _gist(error: Exception) -> str:
    """One line of an error that may hold a traceback from elsewhere."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Traceback" in str(error) else lines[0]
