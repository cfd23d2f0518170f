"""The attacker that may turn, stretch and move fixed estimates."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import InputError
from bench.threats.line import Line

AGES = np.random.default_rng(0).uniform(16, 80, 200)


@pytest.mark.parametrize("disguise", [lambda a: a + 20, lambda a: 90 - a, lambda a: 40 + 0.1 * a])
def test_a_line_undoes_an_offset_a_flip_and_a_squeeze(disguise):
    found = Line.fit(disguise(AGES), AGES).apply(disguise(AGES))
    np.testing.assert_allclose(found, AGES, atol=1e-6)


def test_of_one_answer_for_everybody_the_median_is_made():
    rule = Line.fit(np.full(200, 33.0) + 1e-6, AGES)
    assert rule.slope == 0
    assert rule.apply([33.0]) == pytest.approx([np.median(AGES)])


def test_slope_by_least_squares_and_offset_by_the_median():
    rng = np.random.default_rng(1)
    said = 50 + 0.4 * (AGES - 50) + rng.normal(0, 4, 200)
    rule = Line.fit(said, AGES)
    assert rule.slope == pytest.approx(np.polyfit(said, AGES, 1)[0])
    assert np.median(AGES - rule.apply(said)) == pytest.approx(0, abs=1e-9)


def test_unknown_numbers_teach_nothing():
    ages = AGES.copy()
    ages[:50] = np.nan
    said = AGES + np.where(np.arange(200) < 50, 500.0, 7.0)
    assert Line.fit(said, ages) == Line.fit(said[50:], ages[50:])


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(InputError, match="1 of the faces have a known number"):
        Line.fit([1.0, 2.0], [30.0, np.nan])
    with pytest.raises(InputError, match="finite"):
        Line.fit([1.0, np.nan], [30.0, 40.0])
