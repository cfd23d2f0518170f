"""What this machine and installation are, for the record; never part of a key."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench import __version__

_VERSIONS_OF = ("numpy", "torch", "scikit-learn", "xgboost", "lpips", "pyiqa", "onnxruntime")


def machine() -> dict[str, Any]:
    """Versions and processor."""
    versions = {}
    for name in _VERSIONS_OF:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "veilbench": __version__,
        "python": platform.python_version(),
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
    }


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
