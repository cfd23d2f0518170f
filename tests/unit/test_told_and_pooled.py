"""Labels that methods are told, and attackers that learn on several outputs at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_rung_stages import UNITS, flip, people, unit

from bench.cells import Cell, Environment, Recent, run_cell
from bench.config import load_config
from bench.engines.work import make_job
from bench.errors import UsageError
from bench.faces import GENDER, first_photos, most_people
from bench.metrics.privacy import attribute_leak
from bench.stages.faces import attribute_params, pack
from bench.stages.scores import unpacked
from bench.store import Artefact, Store

HUNTED = attribute_params([GENDER])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def keep(store: Store, name: str, artefact: Artefact) -> str:
    key = name.encode().hex()[:64].ljust(64, "0")
    store.save(key, artefact, {})
    return key


def make(store: Store, stage: str, params: dict[str, object], inputs: dict[str, str]) -> Artefact:
    cell = Cell(stage, {"seed": 0, **params}, inputs)
    return run_cell(make_job(cell, store, Environment(store.root), Recent(10**8), lambda *_: None))


def test_predicted_labels_come_from_people_of_another_pool_and_miss_only_what_was_not_acquired(
    store: Store,
) -> None:
    develop, learned = people(100, 3)
    test, vectors = people(50, 4)
    vectors[:3] = np.nan
    inputs = {
        "faces": keep(store, "faces", pack(test)),
        "vectors": keep(store, "vectors", Artefact({"vectors": vectors})),
        "develop": keep(store, "develop", pack(develop)),
        "develop_vectors": keep(store, "dvectors", Artefact({"vectors": learned})),
    }
    params = {"label_source": "predicted", "attributes": HUNTED}
    told = make(store, "told", params, inputs).arrays["label:gender"]
    assert np.isnan(told[:3]).all()
    assert np.mean(told[3:] == test.labels["gender"][3:]) > 0.95


def test_random_labels_know_nothing_of_the_true_ones_and_come_out_the_same_twice(store: Store) -> None:
    test, _ = people(300, 5)
    inputs = {"faces": keep(store, "faces", pack(test))}
    params = {"label_source": "random", "attributes": HUNTED}
    told = make(store, "told", params, inputs).arrays["label:gender"]
    assert set(told) == {0.0, 1.0}
    right = np.mean(told == test.labels["gender"])
    assert right == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(told)))
    np.testing.assert_array_equal(told, make(store, "told", params, inputs).arrays["label:gender"])


def test_pooled_attackers_read_an_output_they_saw_among_others(store: Store) -> None:
    known, plain = people(150, 6)
    test, originals = people(60, 7)
    outputs = {"plain": plain, "flipped": flip(plain, known)}
    inputs = {"known": keep(store, "known", pack(known))}
    for name, vectors in outputs.items():
        inputs[f"known:net:{name}"] = keep(store, f"known {name}", Artefact({"vectors": vectors}))
    params = {"units": UNITS, "hunted": HUNTED, "outputs": [*outputs, "failed"]}
    fit = make(store, "pooled_fit", params, inputs)
    assert fit.facts["outputs"] == ["plain", "flipped"]  # what failed is left out
    assert fit.facts["faces"] == 2 * len(known)
    # Half of what they learned on says the opposite of the other half, so nothing is left to read.
    marked = originals.copy()
    marked[:, 1] = 0
    reading = {
        "faces": keep(store, "faces", pack(test)),
        "fit": keep(store, "fit", fit),
        "here:net": keep(store, "here", Artefact({"vectors": unit(marked)})),
    }
    found = unpacked(make(store, "pooled", {"units": UNITS, "hunted": HUNTED}, reading))
    assert set(found) == set(UNITS)
    assert attribute_leak(test.labels["gender"], found["quadratic@net"]["gender"]) < 0.9


def test_the_first_photos_and_the_first_people() -> None:
    identities = np.array([7, 3, 7, 3, 7, 9])
    assert first_photos(identities, 2).tolist() == [True, True, True, True, False, True]
    assert most_people(identities, 3).tolist() == [True, False, True, False, True, False]
    assert most_people(identities, 5).tolist() == [True, True, True, True, True, False]


@pytest.mark.parametrize("text", ["some", "10", "0/5", "5/0", "10/20/30"])
def test_pairs_are_all_or_two_counts(text: str) -> None:
    with pytest.raises(UsageError, match="1000/2000"):
        load_config(None, {"pairs": text})
    assert load_config(None, {"pairs": "1000/2000"}).pairs == "1000/2000"


def test_a_protocol_lies_beneath_what_the_user_sets() -> None:
    chosen = load_config(None, {"protocol": "san", "attackers": ("svm",)})
    assert chosen.attackers == ("svm",)
    assert any(name.startswith("san") for name in chosen.methods)
    with pytest.raises(UsageError, match="did you mean san"):
        load_config(None, {"protocol": "sann"})
