"""The rungs of the ladder as a run works them: made-up templates through the real stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import discover
from bench.cells import Cell, Environment, Recent, run_cell
from bench.engines.work import make_job
from bench.faces import GENDER, Faces
from bench.metrics.privacy import attribute_leak, auc, balanced_accuracy, decide
from bench.stages.faces import attribute_params, pack
from bench.stages.scores import unpacked
from bench.store import Artefact, Store

WIDTH, PHOTOS = 16, 4
UNITS = {
    f"{name}@net": {"attacker": name, "settings": {}, "extractor": "net", "trained": True}
    for name in ("svm", "knn", "quadratic")
}


def people(count: int, seed: int) -> tuple[Faces, NDArray[np.float32]]:
    """Faces without pictures, and templates in which one direction tells the gender."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(count) + 1000 * seed, PHOTOS)
    gender = (identities % 2).astype(np.float32)
    own = rng.standard_normal((count, WIDTH))[np.repeat(np.arange(count), PHOTOS)]
    vectors = 0.5 * own + 0.2 * rng.standard_normal((len(identities), WIDTH))
    vectors[:, 0] = 2 * (2 * gender - 1) + 0.3 * rng.standard_normal(len(identities))
    keys = np.array([f"{seed}/{i}" for i in range(len(identities))])
    images = np.zeros((len(identities), 4, 4, 3), np.uint8)
    return Faces(images, identities, keys, {"gender": gender}, (GENDER,)), unit(vectors)


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found.astype(np.float32)


def flip(vectors: NDArray[np.float32], faces: Faces) -> NDArray[np.float32]:
    """Every face looks like the other gender: a rule of the label, whatever the face."""
    mirrored = vectors.copy()
    mirrored[:, 0] *= -1
    return mirrored


def code(vectors: NDArray[np.float32], faces: Faces) -> NDArray[np.float32]:
    """Gender is gone from where it was, and written where no clean face has anything."""
    coded = vectors.copy()
    coded[:, 0] = 0
    coded[:, 1] = 0.05 * (2 * faces.labels["gender"] - 1)
    return unit(coded)


def random_flip(vectors: NDArray[np.float32], faces: Faces) -> NDArray[np.float32]:
    """A target drawn by chance for each face; the magnitude carries nothing either."""
    drawn = vectors.copy()
    rng = np.random.default_rng(int(faces.identities[0]))
    drawn[:, 0] = 0.9 * rng.choice([-1.0, 1.0], len(drawn))
    return unit(drawn)


def constant(vectors: NDArray[np.float32], faces: Faces) -> NDArray[np.float32]:
    return np.broadcast_to(unit(np.ones((1, WIDTH))), vectors.shape).copy()


@dataclass
class Bench:
    """The cells that a run would have made before the rungs."""

    store: Store
    inputs: dict[str, str]
    fits: dict[str, str]
    test: Faces

    def make(self, stage: str, params: dict[str, object], inputs: dict[str, str]) -> Artefact:
        cell = Cell(stage, {"seed": 0, **params}, inputs)
        recent = Recent(10**8)
        return run_cell(make_job(cell, self.store, Environment(self.store.root), recent, lambda *_: None))

    def rung(self, stage: str) -> dict[str, NDArray[np.float32]]:
        """Attacker -> its scores of gender on the rung."""
        units = {} if stage == "neighbours" else UNITS
        params = {"units": units, "hunted": attribute_params([GENDER]), "level": "template"}
        said = {"attack:net": self.attack()} if stage == "folded" else {}
        found = self.make(stage, params, self.inputs | self.fits | said)
        assert found.facts["lost"] == {}
        return {name: scores["gender"] for name, scores in unpacked(found).items()}

    def attack(self) -> str:
        """Key of what the static attackers say of TEST."""
        inputs = {"faces": self.inputs["faces"], "embeddings": self.inputs["here:net"]}
        self.store.save("a" * 64, self.make("attack", {"units": UNITS}, inputs | self.fits), {})
        return "a" * 64

    def static(self) -> dict[str, NDArray[np.float32]]:
        found = self.store.load(self.attack())
        return {name: scores["gender"] for name, scores in unpacked(found).items()}

    def leak(self, scores: NDArray[np.float32]) -> float:
        return attribute_leak(self.test.labels["gender"], scores)


@pytest.fixture
def bench(tmp_path: Path):
    store = Store(tmp_path)
    known, plain = people(150, 1)
    test, originals = people(80, 2)

    def keep(name: str, artefact: Artefact) -> str:
        key = name.encode().hex().ljust(64, "0")
        store.save(key, artefact, {})
        return key

    def build(protect) -> Bench:
        inputs = {
            "faces": keep("faces", pack(test)),
            "known": keep("known", pack(known)),
            "plain:net": keep("plain", Artefact({"vectors": plain})),
            "here:net": keep(f"here{protect.__name__}"[:30], Artefact({"vectors": protect(originals, test)})),
            "known:net": keep(f"known{protect.__name__}"[:30], Artefact({"vectors": protect(plain, known)})),
        }
        ready = Bench(store, inputs, {}, test)
        params = {"attributes": attribute_params([GENDER])}
        for name, unit_ in UNITS.items():
            attacker = {"attacker": unit_["attacker"], "settings": {}}
            fit = ready.make(
                "attacker_fit",
                {**params, **attacker},
                {"faces": inputs["known"], "embeddings": inputs["plain:net"]},
            )
            ready.fits[f"fit:{name}"] = keep(f"fit {name}", fit)
        return ready

    for name in ("svm", "knn", "quadratic"):
        discover.load_class("attacker", name)
    return build


def test_a_flip_by_the_label_fools_static_attackers_completely_and_no_other(bench) -> None:
    ready = bench(flip)
    gender = ready.test.labels["gender"].astype(int)
    for scores in ready.static().values():
        assert balanced_accuracy(gender, decide(scores)) < 0.01
    for rung in ("folded", "aware", "neighbours", "recovery"):
        for name, scores in ready.rung(rung).items():
            assert ready.leak(scores) >= 0.95, (rung, name)
    for scores in ready.rung("folded").values():
        assert balanced_accuracy(gender, decide(scores)) > 0.95


def test_a_code_that_clean_faces_do_not_have_is_read_by_those_who_saw_protected_ones(bench) -> None:
    ready = bench(code)
    assert max(ready.leak(scores) for scores in ready.static().values()) < 0.5
    assert max(ready.leak(scores) for scores in ready.rung("aware").values()) >= 0.95


def test_a_target_drawn_by_chance_leaves_every_rung_at_chance(bench) -> None:
    ready = bench(random_flip)
    gender = ready.test.labels["gender"].astype(int)
    # Photos are drawn one by one, so the standard error is that of single photos, not of people.
    bound = 4 * np.sqrt(1 / (12 * len(gender) / 2) * 2)
    for scores in ready.static().values():
        assert balanced_accuracy(gender, decide(scores)) == pytest.approx(0.5, abs=bound)
    for rung in ("folded", "aware", "neighbours"):
        for name, scores in ready.rung(rung).items():
            assert auc(gender, scores) == pytest.approx(0.5, abs=bound), (rung, name)


def test_what_destroys_everything_leaks_exactly_nothing_on_every_rung(bench) -> None:
    ready = bench(constant)
    for rung in ("folded", "aware", "neighbours", "recovery"):
        for name, scores in ready.rung(rung).items():
            assert ready.leak(scores) == 0, (rung, name)
    assert all(ready.leak(scores) == 0 for scores in ready.static().values())


def test_faces_that_were_not_acquired_stay_without_an_answer(bench) -> None:
    ready = bench(flip)
    vectors = ready.store.load(ready.inputs["here:net"]).arrays["vectors"].copy()
    vectors[:5] = np.nan
    ready.store.save("f" * 64, Artefact({"vectors": vectors}), {})
    ready.inputs["here:net"] = "f" * 64
    for rung in ("folded", "aware", "neighbours", "recovery"):
        for scores in ready.rung(rung).values():
            assert np.isnan(scores[:5]).all()
            assert np.isfinite(scores[5:]).all()


def test_an_attacker_that_cannot_learn_is_named_and_the_others_answer(bench, monkeypatch) -> None:
    from bench.errors import InputError

    ready = bench(flip)
    broken = discover.load_class("attacker", "svm")

    def fail(*_: object) -> None:
        raise InputError("no memory for the kernel")

    monkeypatch.setattr(broken, "_fit_products", fail)
    params = {"units": UNITS, "hunted": attribute_params([GENDER]), "level": "template"}
    found = ready.make("aware", params, ready.inputs)
    assert found.facts["lost"] == {"svm@net": "no memory for the kernel"}
    assert set(unpacked(found)) == {"knn@net", "quadratic@net"}
