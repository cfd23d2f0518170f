"""The evaluation that public code of this kind does, written plainly: the peer of a whole run.

One method after the other, one image a call, four embeddings for every pair, scikit-learn attacker by
attacker and attribute by attribute, a loop over resamples, nothing kept from one method to the next. The
networks, the faces and the settings are the harness's own, so its figures are those of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from bench.components.base import Context
from bench.components.matcher import Matcher
from bench.components.method import Method
from bench.components.method_base import Variant
from bench.faces import Faces
from bench.metrics.pair_lists import PairCounts, draw_pairs

Figures = dict[tuple[str, ...], float]
NEIGHBOURS, TARGETS = 15, (0.1, 0.01)


class Straightforward:
    """Everything an evaluation needs; `evaluate` is called once a method."""

    def __init__(
        self, matcher: Matcher, attack: Faces, test: Faces, attributes: Sequence[str], pairs: PairCounts
    ) -> None:
        self.matcher, self.attack, self.test = matcher, attack, test
        self.attributes, self.wanted = attributes, pairs

    def evaluate(
        self, method: Method, variant: Variant, hidden: Collection[str], seed: int, resamples: int
    ) -> Figures:
        """Attackers that learned on originals (`static`) and on protected faces (`aware`), and matching.

        hidden: attributes that adaptive attackers hunt for; the others should survive.
        """
        found: Figures = {}
        shown = self._protected(method, variant, self.test, seed)
        for threat in ("static", "aware"):
            known = self.attack if threat == "static" else self._protected(method, variant, self.attack, seed)
            learned_from, read = self._embedded(known), self._embedded(shown)
            for attribute in self.attributes if threat == "static" else hidden:
                codes = self.attack.labels[attribute].astype(int), self.test.labels[attribute].astype(int)
                for name, scores in _attackers(learned_from, codes[0], read).items():
                    figures = self._read((threat, name, attribute), codes[1], scores, resamples)
                    found |= {k: v for k, v in figures.items() if attribute in hidden or k[-1] == "auc"}
        return found | self._matched(shown, seed, resamples)

    def _protected(self, method: Method, variant: Variant, faces: Faces, seed: int) -> Faces:
        made = [method.protect(faces.take([n]), variant, seed=seed).images for n in range(len(faces))]
        return replace(faces, images=np.concatenate(made))

    def _embedded(self, faces: Faces) -> NDArray[np.float32]:
        return np.concatenate([self._embedding(faces, n) for n in range(len(faces))])

    def _embedding(self, faces: Faces, n: int) -> NDArray[np.float32]:
        return self.matcher.embed(faces.take([n]), Context())

    def _read(
        self, key: tuple[str, ...], labels: NDArray[Any], scores: NDArray[Any], resamples: int
    ) -> Figures:
        for rows in self._resamples(resamples):
            if len(set(labels[rows])) == 2:
                balanced_accuracy_score(labels[rows], scores[rows] > 0)
                roc_auc_score(labels[rows], scores[rows])
        return {
            (*key, "balanced_accuracy"): balanced_accuracy_score(labels, scores > 0),
            (*key, "auc"): roc_auc_score(labels, scores),
        }

    def _matched(self, shown: Faces, seed: int, resamples: int) -> Figures:
        found: Figures = {}
        pairs = draw_pairs(self.test.identities, self.wanted, seed)
        mated = self.test.identities[pairs[:, 0]] == self.test.identities[pairs[:, 1]]
        one_side, both_sides = [], []
        for left, right in pairs:
            original, other = self._embedding(self.test, left)[0], self._embedding(self.test, right)[0]
            changed, changed_other = self._embedding(shown, left)[0], self._embedding(shown, right)[0]
            one_side.append(max(float(original @ changed_other), -1.0))
            both_sides.append(max(float(changed @ changed_other), -1.0))
            float(original @ other)
        for condition, scores in (("original-protected", one_side), ("protected-protected", both_sides)):
            for rows in self._resampled_pairs(pairs, resamples):
                if 0 < mated[rows].sum() < len(rows):
                    roc_curve(mated[rows], np.array(scores)[rows])
            fmr, tmr, _ = roc_curve(mated, scores, drop_intermediate=False)
            for target in TARGETS:
                found["match", condition, f"fmr={target:g}", "tmr"] = tmr[fmr <= target].max()
        return found

    def _resamples(self, count: int) -> list[NDArray[np.int64]]:
        """Rows of the images of people drawn with replacement."""
        rng, people = np.random.default_rng(0), np.unique(self.test.identities)
        drawn = (rng.choice(people, len(people)) for _ in range(count))
        return [np.concatenate([np.flatnonzero(self.test.identities == p) for p in some]) for some in drawn]

    def _resampled_pairs(self, pairs: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
        left = self.test.identities[pairs[:, 0]]
        rng, people = np.random.default_rng(0), np.unique(self.test.identities)
        drawn = (rng.choice(people, len(people)) for _ in range(count))
        return [np.concatenate([np.flatnonzero(left == p) for p in some]) for some in drawn]


def _attackers(
    known: NDArray[np.float32], codes: NDArray[Any], read: NDArray[np.float32]
) -> Mapping[str, NDArray[np.float64]]:
    """Scores (N,) of class 1, above 0 where it is chosen, one attacker after the other."""
    support = SVC(class_weight="balanced").fit(known, codes)
    neighbours = KNeighborsClassifier(NEIGHBOURS, weights="distance").fit(known, codes)
    share, prior = neighbours.predict_proba(read)[:, 1], codes.mean()
    # As if both classes were equally frequent, as balanced accuracy wants it.
    return {"svm": support.decision_function(read), "knn": share / prior - (1 - share) / (1 - prior)}
