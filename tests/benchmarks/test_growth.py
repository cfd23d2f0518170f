"""How the cost of a run grows with the images: `pytest tests/benchmarks -m benchmark -s`.

The same run on 1, 2, 4 and 8 times the test images (BENCH_SPEED_TEST sets the first number), each in a
process of its own with one worker. Figures are CPU seconds and the largest memory of any process, as Linux
tells it. What does not grow with the images (starting, training on the other pools) is the same in every run
and cancels in the differences: the time of a further image should rise by no more than 20 % from one doubling
to the next, memory should grow less than 1.3 times at the last one. Comparisons grow with the square.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.metrics.verification import compare as all_pairs
from bench.metrics.verification import pairs_within

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

FIRST = int(os.environ.get("BENCH_SPEED_TEST", "160"))
TIMES, PHOTOS = (1, 2, 4, 8), 5
RUN = [
    "--methods=original,blur,noise,san,flowsan:n=3,privacynet",
    "--attackers=svm,knn,random_forest",
    "--matchers=se_resnet",
    "--attributes=gender,smiling,race",
    "--threats=static,folded,aware",
    "--workers=1",
    *("--set=dataset_options.attack_people=100", f"--set=dataset_options.test_images={PHOTOS}"),
    *("--set=options.se_resnet.steps=60", "--set=quality_images=40"),
]
_MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "bench", "run", *sys.argv[1:]], check=True, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def measured(folder: Path, images: int) -> tuple[float, float]:
    """CPU seconds and peak memory (MB) of a run on so many test images."""
    found = subprocess.run(
        [sys.executable, "-c", _MEASURED, *RUN, f"--set=dataset_options.test_people={images // PHOTOS}"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, kilobytes = map(float, found.stdout.split())
    return seconds, kilobytes / 1024


def test_a_run_on_ever_more_images(tmp_path: Path, compare: Any) -> None:
    counts = [FIRST * times for times in TIMES]
    taken = []
    for images in counts:
        folder = tmp_path / str(images)
        folder.mkdir()
        taken.append(measured(folder, images))
    seconds, memory = np.array(taken).T
    each = np.diff(seconds) / np.diff(counts)
    told = ", ".join(f"{n:,}: {s:.0f} s, {m:.0f} MB" for n, s, m in zip(counts, seconds, memory, strict=True))
    peer = f"{FIRST:,} to {counts[-1]:,} images"
    by_step = " / ".join(f"{1000 * e:.0f}" for e in each)
    rise = (each[1:] / each[:-1]).max()
    note = f"ms of a further image at each doubling: {by_step}"
    compare("whole run, rise of a further image's time", peer, rise, 1.2, note, at_most=True)
    growth = memory[-1] / memory[-2]
    compare("whole run, memory at the last doubling", peer, growth, 1.3, told, at_most=True)


def test_comparisons_on_ever_more_images(compare: Any) -> None:
    peaks = []
    for times in TIMES:
        rng, count = np.random.default_rng(0), 1000 * times
        vectors = rng.standard_normal((count, 128), dtype=np.float32)
        identities = np.arange(count) // 10
        all_pairs(pairs_within(vectors[:200], identities[:200]))  # compiles or loads the kernels
        tracemalloc.start()
        all_pairs(pairs_within(vectors, identities))
        peaks.append((tracemalloc.get_traced_memory()[1] - vectors.nbytes) / 1e6)
        tracemalloc.stop()
    told = ", ".join(f"{1000 * t:,}: {p:.1f} MB" for t, p in zip(TIMES, peaks, strict=True))
    work = "verification, memory at 64 times the pairs"
    compare(work, "beyond the embeddings", peaks[-1] / peaks[0], None, told, at_most=True)
    assert peaks[-1] <= 100
