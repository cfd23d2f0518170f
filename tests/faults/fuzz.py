"""Spoils files at random for as long as you like: `python -m tests.faults.fuzz --seconds 60`.

Every parser of `parsers` gets its share of the time. What a parser does other than read or refuse is printed
with its traceback, and the file that did it is kept in `--out`; the exit status is then 1. With `--guided`,
and atheris installed (`pip install atheris`), harm that reaches new lines of code is built upon; without it
all harm is random.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

_UNIT = str(Path(__file__).parents[1] / "unit")
_SLACK = 120.0


def main(given: Sequence[str] | None = None) -> int:
    """How many parsers failed; prints a line a parser."""
    os.environ.pop("BENCH_WEIGHTS", None)
    chosen = _options(given)
    if chosen.child:
        _guided(chosen.parser[0], chosen.seconds, chosen.out)
    sys.path.insert(0, _UNIT)
    from .parsers import PARSERS

    names = chosen.parser or list(PARSERS)
    if unknown := sorted(set(names) - set(PARSERS)):
        sys.exit(f"no parser {', '.join(unknown)}; there are: {', '.join(PARSERS)}")
    failed, total = 0, Counter[str]()
    for name in names:
        work = _in_child if chosen.guided else _at_random
        counts = work(name, chosen.seconds / len(names), chosen.out, chosen.seed)
        total += counts
        failed += counts["failed"] > 0
        said = ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items()))
        print(f"{name:28} {said}", flush=True)
    print(f"{sum(total.values()):,} files, {len(names)} parsers, {failed} of them failed")
    return failed


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all parsers together")
    parser.add_argument("--parser", action="append", default=[], help="one of them; repeat it for several")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="where files go that did harm")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(given)


def _at_random(name: str, seconds: float, out: Path, seed: int) -> Counter[str]:
    from .mutation import random_harms, spoilt
    from .parsers import PARSERS, TooSlow, read_spoilt

    rng, counts = Random(f"{seed} {name}"), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        parser, root = PARSERS[name], Path(scratch)
        parser.make(root)
        valid, until = (root / parser.file).read_bytes(), time.monotonic() + seconds
        while time.monotonic() < until and not counts["failed"]:
            data = spoilt(valid, random_harms(rng))
            try:
                counts[read_spoilt(parser, root, data)] += 1
            except (Exception, TooSlow):
                counts["failed"] += 1
                traceback.print_exc()
                print(f"kept in {_kept(out, name, data)}", file=sys.stderr)
    return +counts


def _kept(out: Path, name: str, data: bytes) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / re.sub(r"\W+", "_", name)
    path.write_bytes(data)
    return path


# -- by coverage ---------------------------------------------------------------------------------------


def _in_child(name: str, seconds: float, out: Path, seed: int) -> Counter[str]:
    """atheris ends its process, so each parser has one of its own."""
    command = [sys.executable, "-m", "tests.faults.fuzz", "--child", "--parser", name]
    command += ["--seconds", str(seconds), "--seed", str(seed), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _SLACK)
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    counts = Counter({"read or refused": int(found[1])} if found else {})
    if done.returncode:
        counts["failed"] += 1
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
    return counts


def _guided(name: str, seconds: float, out: Path) -> None:
    import atheris

    sys.path.insert(0, _UNIT)
    with atheris.instrument_imports(include=["bench"]):
        from .mutation import random_harms, spoilt
        from .parsers import PARSERS, read_spoilt

    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as corpus:
        parser, root = PARSERS[name], Path(scratch)
        parser.make(root)
        valid = (root / parser.file).read_bytes()
        (Path(corpus) / "valid").write_bytes(valid)

        def once(data: bytes) -> None:
            try:
                read_spoilt(parser, root, data)
            except BaseException:
                print(f"kept in {_kept(out, name, data)}", file=sys.stderr)
                raise

        def change(data: bytes, most: int, seed: int) -> bytes:
            rng = Random(seed)
            if rng.random() < 0.5:
                return bytes(atheris.Mutate(data, most))
            return spoilt(data or valid, random_harms(rng, 2))[:most]

        flags = [f"-max_total_time={max(1, int(seconds))}", "-print_final_stats=1", "-max_len=400000"]
        atheris.Setup([sys.argv[0], *flags, "-rss_limit_mb=6000", corpus], once, custom_mutator=change)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(min(main(), 1))
