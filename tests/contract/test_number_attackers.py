"""The contract of attackers that learn numbers: labels in the unit, NaN where unknown, one column back."""

import sys

import pytest

from bench import contract, discover

ATTACKER = """
import numpy as np
from bench.api import Attacker

class Mean(Attacker):
    title = "Mean"
    learns = "numbers"

    def _fit(self, inputs, labels, attributes, ctx):
        assert all(a.is_number for a in attributes)
        assert all(v.dtype == np.float32 for v in labels.values())
        self._means = {a.name: np.nanmean(labels[a.name], keepdims=True) for a in attributes}
        return {}

    def state(self):
        return dict(self._means)

    def restore(self, state):
        self._means = dict(state)

    def _scores(self, inputs, ctx):
        return {n: np.full((len(inputs), COLUMNS), m[0], np.float32) for n, m in self._means.items()}
"""


@pytest.fixture
def author(tmp_path, monkeypatch):
    package = tmp_path / "authors_attackers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(discover.PACKAGES, "attacker", "authors_attackers")
    discover.components.cache_clear()
    yield package
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.startswith("authors_attackers")]:
        del sys.modules[name]


def check(author, columns):
    (author / "mean.py").write_text(ATTACKER.replace("COLUMNS", str(columns)))
    (finding,) = contract.check_component("mean", "attacker")
    return finding


def test_one_column_of_numbers_passes(author):
    finding = check(author, 1)
    assert finding.ok, finding.why


def test_a_column_a_class_is_caught(author):
    finding = check(author, 2)
    assert not finding.ok
    assert "scores of age must be" in finding.why
