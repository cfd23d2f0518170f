"""What this machine and installation can do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench import __version__
from bench.discover import PACKAGES, components, lacking, load_class
from bench.errors import Unavailable
from bench.machine import machine
from bench.weights import WeightsFolder, pretrained_file


def diagnose(weights: Path | None) -> Iterator[str]:
    """Lines about versions, processor, memory, disk, accelerator, and components that cannot run here."""
    import psutil
    import torch

    facts = machine()
    yield f"veilbench {__version__}, python {facts['python']}, {facts['platform']}"
    yield "  " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(".")
    free = f"{memory.available / 2**30:.1f} GiB of memory and {disk.free / 2**30:.1f} GiB of disk free"
    yield f"cores {facts['cores']}, memory {memory.total / 2**30:.1f} GiB; {free}"
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none, all runs on the processor"
    yield f"accelerator: {name}"
    yield f"BENCH_DATA {os.environ.get('BENCH_DATA', 'is not set')}"
    folder = WeightsFolder.find(weights)
    yield f"weights: {folder.root if folder else 'none; give --weights FOLDER or set BENCH_WEIGHTS'}"
    for kind in PACKAGES:
        yield from _components(kind, folder)


def _components(kind: str, folder: WeightsFolder | None) -> Iterator[str]:
    ready, problems = [], []
    for name, listed in components(kind).items():
        if kind == "method":  # a method's file runs when it is named, and nobody named one
            if why := listed.problem or lacking(listed):
                problems.append(f"  {kind} {name}: {why}; mend {listed.where} or install what it needs")
            else:
                ready.append(name)
            continue
        try:
            pretrained = getattr(load_class(kind, name), "pretrained", None)
            if pretrained is not None:
                pretrained_file(pretrained, folder)
            ready.append(name)
        except Unavailable as error:
            problems.append(f"  {kind} {name}: {error}")
    yield f"{kind}s ready: {', '.join(ready) or 'none'}"
    yield from problems
