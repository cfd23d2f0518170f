"""Theory of the attackers' ladder on made-up faces: what each rung must catch, and what none may see.

Faces are unit vectors in which the attribute is the sign of one direction, several photographs a person.
Attackers learn on some people and are scored on others. Protections are made by code, so it is known what
they hide: a flip by the label hides nothing, a target drawn by a coin and a constant hide everything.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from attackers.knn import NearestNeighbours
from attackers.quadratic import Quadratic
from attackers.svm import SupportVectorMachine
from bench.api import Context
from bench.faces import GENDER
from bench.metrics.privacy import accuracy, attribute_leak, auc, balanced_accuracy, decide
from bench.metrics.uncertainty import (
    identity_weights,
    interval,
    leak_interval,
    resampled_balanced_accuracy,
    resampled_roc,
)
from bench.threats.folding import Recalibration
from bench.threats.neighbours import NeighbourAttack
from bench.threats.residuals import (
    Standardisation,
    residual_features,
    template_residual_features,
)
from bench.threats.restoration import RESTORATIONS, TemplateRestoration

ATTACKERS = (SupportVectorMachine, NearestNeighbours, Quadratic)
every_attacker = pytest.mark.parametrize("kind", ATTACKERS, ids=lambda kind: kind.__name__)
WIDTH, STRENGTH = 24, 6.0


@dataclass(frozen=True)
class People:
    """Unit vectors (N, WIDTH) float32, class of each, and whose photograph it is."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    identities: NDArray[np.int64]


def people(seed, count=150, images=4):
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 2, count), images)
    persons = np.repeat(rng.normal(size=(count, WIDTH)), images, axis=0)
    persons[:, 0] = STRENGTH * (2 * labels - 1)
    vectors = persons + 0.5 * rng.normal(size=persons.shape)
    return People(unit(vectors), labels, np.repeat(np.arange(count) + 1000 * seed, images))


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def flip(vectors, labels):
    """Told the label: the attribute's direction is turned over."""
    flipped = vectors.copy()
    flipped[:, 0] = np.abs(vectors[:, 0]) * (1 - 2 * labels)
    return flipped


def random_flip(vectors, labels, seed=0):
    """A target drawn by a coin, whatever the label."""
    return flip(vectors, np.random.default_rng(seed).integers(0, 2, len(labels)))


def code(vectors, labels):
    """Told the label: removes the attribute's direction and turns another one, mute on clean faces, by it."""
    coded = 0.8 * unit(np.hstack([np.zeros((len(vectors), 2)), vectors[:, 2:]]))
    coded[:, 1] = 0.6 * (2 * labels - 1)
    return coded.astype(np.float32)


def constant(vectors, labels):
    return np.tile(vectors[0], (len(vectors), 1))


def learned(kind, vectors, labels):
    attacker = kind()
    attacker.fit(vectors, {"gender": labels.astype(np.float32)}, (GENDER,), Context(seed=5))

    def read(vectors):
        # Equal inputs are read once, as in a run: matrix products round equal rows differently.
        distinct, inverse = np.unique(vectors, axis=0, return_inverse=True)
        return attacker.scores(distinct, Context())["gender"][inverse]

    return read


def auc_interval(one, scores, seed=0):
    draw = identity_weights(one.identities, resamples=400, seed=seed)
    return interval(resampled_roc(draw, one.identities, one.labels, scores).auc)


KNOWN, TEST = people(1), people(2)


@every_attacker
def test_everybody_reads_clean_faces(kind):
    static = learned(kind, KNOWN.vectors, KNOWN.labels)
    assert accuracy(TEST.labels, decide(static(TEST.vectors))) > 0.97


@every_attacker
def test_a_flip_by_the_label_fools_a_fixed_classifier_and_nobody_else(kind):
    static = learned(kind, KNOWN.vectors, KNOWN.labels)
    mine, theirs = flip(KNOWN.vectors, KNOWN.labels), flip(TEST.vectors, TEST.labels)
    fooled = static(theirs)
    assert accuracy(TEST.labels, decide(fooled)) < 0.03
    # A1: inverted and re-tuned on protected faces of other people.
    folded = Recalibration.fit(static(mine), KNOWN.labels).apply(fooled)
    assert balanced_accuracy(TEST.labels, decide(folded)) > 0.97
    assert attribute_leak(TEST.labels, folded) >= 0.95
    # A2: learned anew on protected faces of other people.
    aware = learned(kind, mine, KNOWN.labels)(theirs)
    assert accuracy(TEST.labels, decide(aware)) > 0.97
    assert attribute_leak(TEST.labels, aware) >= 0.95


@every_attacker
def test_a_code_in_another_direction_needs_learning_anew(kind):
    mine, theirs = code(KNOWN.vectors, KNOWN.labels), code(TEST.vectors, TEST.labels)
    static = learned(kind, KNOWN.vectors, KNOWN.labels)
    assert attribute_leak(TEST.labels, static(theirs)) < 0.3
    folded = Recalibration.fit(static(mine), KNOWN.labels).apply(static(theirs))
    assert attribute_leak(TEST.labels, folded) < 0.3
    assert attribute_leak(TEST.labels, learned(kind, mine, KNOWN.labels)(theirs)) >= 0.95


@pytest.mark.parametrize("protect", [flip, code], ids=lambda p: p.__name__)
def test_comparison_scores_catch_what_the_label_decided(protect):
    mine, theirs = protect(KNOWN.vectors, KNOWN.labels), protect(TEST.vectors, TEST.labels)
    attack = NeighbourAttack.fit(mine, KNOWN.identities, KNOWN.labels, 2)
    assert attribute_leak(TEST.labels, attack.scores(theirs)) >= 0.95


@every_attacker
def test_a_target_drawn_by_a_coin_leaves_nothing_to_any_rung(kind):
    mine, theirs = random_flip(KNOWN.vectors, KNOWN.labels, 3), random_flip(TEST.vectors, TEST.labels, 4)
    static = learned(kind, KNOWN.vectors, KNOWN.labels)
    draw = identity_weights(TEST.identities, resamples=400, seed=0)
    right = interval(resampled_balanced_accuracy(draw, TEST.identities, TEST.labels, decide(static(theirs))))
    assert right.low <= 0.5 <= right.high
    readings = {
        "folded": Recalibration.fit(static(mine), KNOWN.labels).apply(static(theirs)),
        "aware": learned(kind, mine, KNOWN.labels)(theirs),
        "score": NeighbourAttack.fit(mine, KNOWN.identities, KNOWN.labels, 2).scores(theirs),
        "recovery": static(TemplateRestoration.fit(mine, KNOWN.vectors, KNOWN.identities).apply(theirs)),
    }
    for rung, scores in readings.items():
        found = auc_interval(TEST, scores)
        assert found.low <= 0.5 <= found.high, rung


@every_attacker
def test_a_constant_leaks_exactly_nothing_on_any_rung(kind):
    mine, theirs = constant(KNOWN.vectors, KNOWN.labels), constant(KNOWN.vectors, KNOWN.labels)
    static = learned(kind, KNOWN.vectors, KNOWN.labels)
    restored = TemplateRestoration.fit(mine, KNOWN.vectors, KNOWN.identities).apply(theirs)
    readings = {
        "static": static(theirs),
        "folded": Recalibration.fit(static(mine), KNOWN.labels).apply(static(theirs)),
        "aware": learned(kind, mine, KNOWN.labels)(theirs),
        "score": NeighbourAttack.fit(mine, KNOWN.identities, KNOWN.labels, 2).scores(theirs),
        "recovery": static(restored),
        "generator": generator(kind, mine, [mine, mine], theirs, [theirs, theirs]),
    }
    leaks = {rung: attribute_leak(KNOWN.labels, scores) for rung, scores in readings.items()}
    assert leaks == dict.fromkeys(readings, 0.0)


def generator(kind, mine, again, theirs, theirs_again):
    """Scores of `theirs` by an attacker of residuals learned on `mine`, the known people's."""
    measure = residual_features if mine.ndim == 4 else template_residual_features
    features = measure(mine, again)
    rule = Standardisation.fit(features)
    attacker = learned(kind, rule.apply(features), KNOWN.labels)
    return attacker(rule.apply(measure(theirs, theirs_again)))


def towards(vectors, target):
    """A generator on templates: the attribute's direction is set to that of a typical face of the target."""
    return unit(np.hstack([np.full((len(vectors), 1), 0.6 * (2 * target - 1)), vectors[:, 1:]]))


@every_attacker
@pytest.mark.parametrize("told", ["label", "coin"])
def test_applying_a_generator_again_tells_the_target(kind, told):
    # The protected template alone shows its target too, so residuals are all this attacker is given.
    protected, again, targets = [], [], []
    for one, seed in ((KNOWN, 7), (TEST, 8)):
        coin = np.random.default_rng(seed).integers(0, 2, len(one.labels))
        target = 1 - one.labels if told == "label" else coin
        made = np.where(target[:, None] == 1, towards(one.vectors, 1), towards(one.vectors, 0))
        protected.append(made)
        again.append([towards(made, 0), towards(made, 1)])
        targets.append(target)
    scores = generator(kind, protected[0], again[0], protected[1], again[1])
    if told == "label":
        assert attribute_leak(TEST.labels, scores) >= 0.95
        return
    found = auc_interval(TEST, scores)
    assert found.low <= 0.5 <= found.high
    aimed = learned(kind, template_residual_features(protected[0], again[0]), targets[0])
    assert attribute_leak(targets[1], aimed(template_residual_features(protected[1], again[1]))) >= 0.95


STAMP = np.kron(np.array([[1, -1], [-1, 1]]), np.ones((8, 8)))[None, :, :, None]


def pictures(one, seed):
    """Noisy pictures uint8 (N, 16, 16, 3) with a pattern whose sign is the class."""
    rng = np.random.default_rng(seed)
    signs = (2 * one.labels - 1)[:, None, None, None]
    noise = rng.normal(size=(len(signs), 16, 16, 3))
    return (128 + 15 * signs * STAMP + 20 * noise).clip(0, 255).round().astype(np.uint8)


def strength(images):
    """What a fixed classifier sees: how much of the pattern there is, in grey levels (N,)."""
    return ((images.astype(float) - 128) * STAMP).mean(axis=(1, 2, 3))


def repaint(images, targets):
    """A generator: replaces the pattern by that of the target (N,) in {0, 1}."""
    change = 15 * (2 * targets - 1) - strength(images)
    changed = images + change[:, None, None, None] * STAMP
    return changed.clip(0, 255).round().astype(np.uint8)


@every_attacker
def test_applying_an_image_generator_again_tells_the_label(kind):
    protected, again = [], []
    for one, seed in ((KNOWN, 9), (TEST, 10)):
        made = repaint(pictures(one, seed), 1 - one.labels)
        protected.append(made)
        again.append([repaint(made, np.full(len(made), target)) for target in (0, 1)])
    sign = strength(protected[1]) > 0
    assert accuracy(TEST.labels, sign.astype(int)) == 0
    scores = generator(kind, protected[0], again[0], protected[1], again[1])
    assert attribute_leak(TEST.labels, scores) >= 0.95
    assert accuracy(TEST.labels, decide(scores)) > 0.97


CHECKS = (2 * (np.indices((32, 32)).sum(axis=0) % 2) - 1)[None, :, :, None]


@pytest.mark.parametrize("name", RESTORATIONS)
def test_restoration_undoes_a_perturbation_against_a_fixed_classifier(name):
    # The classifier reads a smooth gradient, and wrongly also the finest pattern, which the perturbation
    # uses to bring every score to zero.
    rng = np.random.default_rng(11)
    signs = (2 * TEST.labels - 1)[:, None, None, None]
    slope = np.linspace(-1, 1, 32)[None, None, :, None]
    clean = 128 + 40 * signs * slope + rng.normal(0, 3, (len(signs), 32, 32, 3))

    def score(images):
        return ((images - 128.0) * (slope + 2 * CHECKS)).mean(axis=(1, 2, 3))

    amount = score(clean)[:, None, None, None] / 2
    hidden = (clean - amount * CHECKS).clip(0, 255).round().astype(np.uint8)
    assert auc(TEST.labels, score(clean)) > 0.99
    assert attribute_leak(TEST.labels, score(hidden)) < 0.3
    restored = RESTORATIONS[name](hidden)
    assert attribute_leak(TEST.labels, score(restored)) > 0.9


def test_templates_are_restored_when_their_protection_is_invertible():
    turn = np.linalg.qr(np.random.default_rng(12).normal(size=(WIDTH, WIDTH)))[0]
    mine, theirs = (unit(one.vectors @ turn) for one in (KNOWN, TEST))
    static = learned(SupportVectorMachine, KNOWN.vectors, KNOWN.labels)
    assert attribute_leak(TEST.labels, static(theirs)) < 0.7
    restored = TemplateRestoration.fit(mine, KNOWN.vectors, KNOWN.identities).apply(theirs)
    assert attribute_leak(TEST.labels, static(restored)) >= 0.95


def test_the_worst_rung_of_a_coin_is_no_leak_and_of_a_flip_is():
    draw = identity_weights(TEST.identities, resamples=400, seed=1)
    for protect, leaks in ((random_flip, False), (flip, True)):
        mine, theirs = protect(KNOWN.vectors, KNOWN.labels), protect(TEST.vectors, TEST.labels)
        scores = [learned(kind, mine, KNOWN.labels)(theirs) for kind in ATTACKERS]
        scores.append(NeighbourAttack.fit(mine, KNOWN.identities, KNOWN.labels, 2).scores(theirs))
        found = leak_interval([resampled_roc(draw, TEST.identities, TEST.labels, s) for s in scores])
        assert (found.low > 0.9) if leaks else (found.low == 0)
