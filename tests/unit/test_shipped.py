"""The weights that ship with the package fit what the package would ask for, all of them and nothing else."""

import json

import numpy as np
import pytest

from bench import discover, shipped
from bench.components.base import Context
from bench.components.method import Method
from bench.faces import ATTACK, DEVELOP, TEST
from bench.store import canonical_json

DATASET = discover.load_class("dataset", "synthetic")()
CARDS = {f"{c['method']} {c['part']}".rstrip(): c for c in shipped.cards()}


def quick(name):
    return discover.load_class("method", name)(DATASET.attributes(), preset="quick")


def trained_outputs():
    """(method, part, whether a default output needs it) of every trained image-level method."""
    for name in discover.components("method"):
        method = quick(name)
        if isinstance(method, Method) and type(method).trained:
            for part in method.parts():
                usual = any(v.selected for v in method.variants() if v.part == part)
                yield pytest.param(name, part, usual, id=f"{name} {part}".rstrip())


@pytest.mark.parametrize(("name", "part", "usual"), list(trained_outputs()))
def test_every_output_of_a_default_run_has_weights(name, part, usual):
    found = shipped.matching(name, part, quick(name).settings, DATASET.fingerprint(DEVELOP), DATASET.size)
    assert found or not usual, "train it anew with --ship: nothing that ships fits its quick preset"


@pytest.mark.parametrize("name", CARDS)
def test_no_card_is_stale(name):
    card = CARDS[name]
    method = quick(card["method"])
    assert canonical_json(method.settings) == canonical_json(card["settings"])
    assert card["part"] in method.parts()
    assert card["dataset_fingerprint"] == DATASET.fingerprint(DEVELOP)
    method.part = card["part"]
    method.restore({k: v.astype("float32") for k, v in shipped.load(card["sha256"]).items()})


def trained_matchers():
    """Every matcher that a default run trains, as the run makes it."""
    for name in discover.components("matcher"):
        matcher = discover.load_class("matcher", name)
        if matcher.trained:
            yield name, matcher(preset="quick")


@pytest.mark.parametrize(("name", "matcher"), [pytest.param(n, m, id=n) for n, m in trained_matchers()])
def test_the_matchers_of_a_default_run_have_weights_of_its_seed_alone(name, matcher):
    asked = (name, matcher.settings, DATASET.fingerprint(ATTACK), DATASET.size)
    found = shipped.matching_matcher(*asked, 0)
    assert found, f"train it anew: python -m bench train --matchers {name} --ship"
    assert not shipped.matching_matcher(*asked, 1)
    matcher.restore(
        {k: v.astype("float32") if v.dtype.kind == "f" else v for k, v in shipped.load(found).items()}
    )
    faces = discover.load_class("dataset", "synthetic")(test_people=4, test_images=2).load(TEST)
    vectors = matcher.embed(faces, Context())
    similar = vectors @ vectors.T
    own = faces.identities[:, None] == faces.identities
    assert similar[own & ~np.eye(len(own), dtype=bool)].mean() > similar[~own].mean() + 0.3


def test_a_card_says_how_the_weights_came_about():
    for name, card in CARDS.items():
        assert card["command"].startswith("python -m bench train --methods"), name
        assert {"commit", "seed", "figures", "bytes"} <= card.keys(), name
        assert json.dumps(card["figures"]), name


def test_all_weights_together_stay_small():
    cards = [*CARDS.values(), *shipped.cards(shipped.MATCHER)]
    assert sum(c["bytes"] for c in cards) <= 40e6
