"""Attackers' speed beside scikit-learn, in one run: `pytest tests/benchmarks -m benchmark -s`.

The case is 20,000 embeddings of 2,048 dimensions for training, 20,000 to be read, 30 variants of a method.
There scikit-learn needs hours, so by default 1,020 are learned from and 400 read of each variant: of 20,000
that is a 20th and a 50th; dimensions, variants, attributes and attackers are those of the case. An SVC alone
is timed on 1,500. BENCH_SPEED_TRAIN, BENCH_SPEED_READ and BENCH_SPEED_MACHINE set other numbers. Times are
CPU seconds of this process. Goals: >= 20 times faster on 30 variants with the same predictions; SVC >= 12
times faster to fit and >= 40 times to read with. Reading cannot be faster than the product of matrices alone,
which is timed beside it. Only the predictions are asserted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attackers.knn import NearestNeighbours
from attackers.svm import SupportVectorMachine
from bench.api import Attribute, Context, yes_no
from bench.together import fit_together, scores_together

from .cpu_time import cpu_seconds

pytestmark = pytest.mark.benchmark

TRAIN = int(os.environ.get("BENCH_SPEED_TRAIN", "1020")) // 6 * 6
MACHINE = int(os.environ.get("BENCH_SPEED_MACHINE", "1500")) // 6 * 6
READ = int(os.environ.get("BENCH_SPEED_READ", "400"))
DIMENSIONS, VARIANTS, CLUSTERS, NEIGHBOURS = 2048, 30, 16, 15
ATTRIBUTES = (Attribute("gender", ("f", "m")), Attribute("race", ("a", "b", "c")), yes_no("young"))
CONTEXT = Context(seed=0)
# libsvm stops within 1e-3 of the optimum; nearer to the boundary than this, a prediction is a matter of luck.
UNDECIDED = 2e-3

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def drawn(count: int, seed: int) -> tuple[Vectors, dict[str, NDArray[np.float32]]]:
    """Clustered embeddings; classes of an attribute are equally frequent, so that priors change nothing."""
    rng = np.random.default_rng(seed)
    labels = {a.name: rng.permutation(np.arange(count) % len(a.classes)) for a in ATTRIBUTES}
    return faces(rng, labels), {name: values.astype(np.float32) for name, values in labels.items()}


def variants() -> list[Vectors]:
    """What 30 variants of a method make of the same faces: ever more of them is lost in noise."""
    clean, _ = drawn(READ, 1)
    noise = unit(np.random.default_rng(2).standard_normal((READ, DIMENSIONS)))
    return [unit((1 - share) * clean + share * noise) for share in np.linspace(0, 0.7, VARIANTS)]


def faces(rng: np.random.Generator, labels: dict[str, NDArray[np.int64]]) -> Vectors:
    shared = np.random.default_rng(7)
    count = len(labels["gender"])
    found = shared.standard_normal((CLUSTERS, DIMENSIONS))[rng.integers(0, CLUSTERS, count)]
    for attribute in ATTRIBUTES:
        found += 0.5 * shared.standard_normal((len(attribute.classes), DIMENSIONS))[labels[attribute.name]]
    return unit(found + 1.5 * rng.standard_normal((count, DIMENSIONS)))


def test_thirty_variants_beside_one_by_one(benchmark: Any, compare: Any) -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    (train, labels), made = drawn(TRAIN, 0), variants()
    ours = {"svm": SupportVectorMachine(), "knn": NearestNeighbours(neighbours=NEIGHBOURS)}
    peers: dict[str, dict[str, Any]] = {"svm": {}, "knn": {}}
    for name, values in labels.items():
        peers["svm"][name] = SVC(class_weight="balanced", break_ties=True).fit(train, values)
        peers["knn"][name] = KNeighborsClassifier(NEIGHBOURS, weights="distance").fit(train, values)
    fit_together(ours, train, labels, ATTRIBUTES, CONTEXT)

    def together() -> list[Any]:
        return [scores_together(ours, vectors, CONTEXT) for vectors in made]

    def one_by_one(kind: str) -> list[dict[str, Any]]:
        return [{name: p.predict(v) for name, p in peers[kind].items()} for v in made]

    scores_together(ours, made[0][:50], CONTEXT)  # compiles or loads the kernels
    mine, found = cpu_seconds(together)
    theirs = {kind: cpu_seconds(partial(one_by_one, kind)) for kind in peers}
    benchmark.pedantic(together, rounds=2)
    ratio = sum(seconds for seconds, _ in theirs.values()) / mine
    benchmark.extra_info.update(train=TRAIN, read=READ, ratio=ratio)
    undecided = total = 0
    for at, vectors in enumerate(made):
        for kind, by_name in theirs.items():
            for name, predicted in by_name[1][at].items():
                scores = found[at][kind][name]
                top = np.sort(scores, axis=1)
                sure = top[:, -1] - top[:, -2] > UNDECIDED
                np.testing.assert_array_equal(scores.argmax(axis=1)[sure], predicted[sure])
                undecided, total = undecided + (~sure).sum(), total + len(vectors)
    assert undecided <= 0.01 * total
    compare(
        f"attackers, {VARIANTS} variants of {READ:,}",
        "sklearn SVC and KNN one by one",
        ratio,
        20,
        f"{TRAIN:,} learned from, 3 attributes; CPU s SVC {theirs['svm'][0]:.2f} + KNN "
        f"{theirs['knn'][0]:.2f} / {mine:.2f}; same predictions, {undecided} of {total} undecided",
    )


def test_support_vector_machines_beside_sklearn(benchmark: Any, compare: Any) -> None:
    from sklearn.svm import SVC

    (train, labels), (probes, _) = drawn(MACHINE, 0), drawn(MACHINE, 1)
    one, three = SupportVectorMachine(), SupportVectorMachine()
    peers = {name: SVC(class_weight="balanced", break_ties=True) for name in labels}
    only, gender = ATTRIBUTES[:1], {"gender": labels["gender"]}
    works: dict[str, Callable[[], Any]] = {
        "fit one": lambda: one.fit(train, gender, only, CONTEXT),
        "fit three": lambda: three.fit(train, labels, ATTRIBUTES, CONTEXT),
        "peer fit one": lambda: peers["gender"].fit(train, labels["gender"]),
        "peer fit three": lambda: [peers[name].fit(train, values) for name, values in labels.items()],
        "read one": lambda: one.scores(probes, CONTEXT),
        "read three": lambda: three.scores(probes, CONTEXT),
        "peer read one": lambda: peers["gender"].decision_function(probes),
        "peer read three": lambda: [peer.decision_function(probes) for peer in peers.values()],
        "product": lambda: probes @ train.T,
    }
    seconds = {
        name: float(np.median([cpu_seconds(work)[0] for _ in range(3)])) for name, work in works.items()
    }
    ratios = {name: seconds[f"peer {name}"] / seconds[name] for name in works if f"peer {name}" in works}
    wanted, found = peers["gender"].decision_function(probes), one.scores(probes, CONTEXT)["gender"]
    np.testing.assert_allclose(2 * found[:, 1], wanted, atol=2 * UNDECIDED)
    benchmark.pedantic(works["read three"], rounds=3)
    benchmark.extra_info.update(faces=MACHINE, seconds=seconds, ratios=ratios)
    for name, ratio in ratios.items():
        goal = 12 if name.startswith("fit") else 40
        what, count = name.split()
        compare(f"SVC {what}, {MACHINE:,}, {count} of 3 attributes", "sklearn SVC", ratio, goal)
    least = seconds["read one"] / seconds["product"]
    compare("SVC read one", "product alone", least, None, "times the peer's", at_most=True)
