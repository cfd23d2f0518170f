"""Places that run full or may not be written, where this system lets the tests have them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this system mounts no file systems for tests: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own at `folder`, with `size=4m` or `nr_inodes=50`; skips where there is none."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can mount a small file system")
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def change(folder: Path, options: str) -> None:
    """Give a mounted file system other options, as `size=500m` or `ro`."""
    _mount("-o", f"remount,{options}", str(folder))
