"""Template-level methods: the sealed entry, their cells, and what the leaderboard makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.api import ContractError, EmbeddingMethod, InputError, Request, Templates, UsageError, Variant
from bench.components.base import Context
from bench.config import load_config
from bench.faces import GENDER
from bench.ladder import RUNGS
from bench.planning.build import build
from bench.report.tables import leaderboard
from bench.results import Row, to_frame


def templates(count: int = 6, first: int = 0, width: int = 4) -> Templates:
    rng = np.random.default_rng(first)
    vectors = rng.standard_normal((count, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = np.arange(first, first + count)
    labels = {"gender": (people % 2).astype(np.float32)}
    return Templates(vectors, people, people.astype(str), labels, (GENDER,))


class Doubled(EmbeddingMethod):
    title = "Doubled"
    obfuscates = ("gender",)
    needs_labels = ("gender",)

    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        found = vectors * 2
        found[request.labels["gender"] == 1] *= -1
        return found


class Halved(Doubled):
    title = "Halved"
    same_space = False

    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        return vectors[:, :2]


def test_outputs_are_brought_to_unit_length() -> None:
    method, given = Doubled([GENDER]), templates()
    found = method.protect(given, method.variants()[0])
    signs = np.where(given.labels["gender"] == 1, -1, 1)[:, None]
    np.testing.assert_allclose(found, given.vectors * signs, atol=1e-6)


def test_lost_inputs_and_unknown_labels_are_lost_rows_and_nothing_else() -> None:
    method, given = Doubled([GENDER]), templates()
    given.vectors[1] = np.nan
    given.labels["gender"][3] = np.nan
    lost = np.isnan(method.protect(given, method.variants()[0])).all(1)
    assert lost.tolist() == [False, True, False, True, False, False]


def test_a_zero_output_is_lost_rather_than_divided_by() -> None:
    class Nothing(Doubled):
        title = "Nothing"

        def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
            return torch.zeros_like(vectors)

    assert np.isnan(Nothing([GENDER]).protect(templates(), Variant(obfuscates=("gender",)))).all()


def test_the_width_may_change_only_where_the_space_does() -> None:
    variant = Variant(obfuscates=("gender",))
    assert Halved([GENDER]).protect(templates(), variant).shape == (6, 2)

    class Wrong(Halved):
        title = "Wrong"
        same_space = True

    with pytest.raises(ContractError, match="must keep the width 4"):
        Wrong([GENDER]).protect(templates(), variant)


def test_fitting_refuses_shared_people_failures_and_too_little() -> None:
    method = Halved([GENDER])
    with pytest.raises(ContractError, match="share identity 2"):
        method.fit(templates(), templates(3, first=2), Context())
    broken = replace(templates(3, first=9), vectors=np.full((3, 4), np.nan, np.float32))
    with pytest.raises(InputError, match="failures to acquire"):
        method.fit(templates(), broken, Context())
    with pytest.raises(InputError, match="cannot learn from 1"):
        method.fit(templates(1), templates(3, first=9), Context())
    with pytest.raises(ContractError, match="has no `_fit`"):
        method.fit(templates(), templates(3, first=9), Context())


def test_a_bound_has_no_output_of_its_own() -> None:
    class Bounded(Doubled):
        title = "Bounded"

        def _variants(self) -> list[Variant]:
            return [Variant("a", ("gender",)), Variant("best", ("gender",), oracle=("a",))]

    method = Bounded([GENDER])
    with pytest.raises(UsageError, match="bound over other outputs"):
        method.protect(templates(), method.variant("best"))


def planned(*methods: str, **options: object):
    given = {"methods": methods, "attackers": ("svm", "cnn_light"), "matchers": ("se_resnet",), **options}
    return build(load_config(None, given))


@pytest.mark.usefixtures("no_weights")
def test_templates_are_changed_matched_and_read_but_never_drawn() -> None:
    plan = planned("template_constant", threats=("static",))
    subject = next(s for s in plan.subjects if s.method == "template_constant")
    assert (subject.level, subject.protect) == ("template", "")
    titles = [c.title for c in plan.cells.values() if "template_constant" in c.title]
    assert sorted(titles) == [
        "protect template_constant on se_resnet",
        "score template_constant",
        "template_constant attack se_resnet",
        "template_constant match se_resnet",
    ]
    score = plan.cells[subject.score]
    assert "images" not in score.inputs
    assert "attack:images" not in score.tolerated


@pytest.mark.usefixtures("no_weights")
def test_a_new_space_is_read_by_attackers_who_learned_it_on_other_people() -> None:
    plan = planned("pfrnet:gender")
    subject = next(s for s in plan.subjects if s.method == "pfrnet")
    assert {"aware", "recovery", "score"} == set(plan.cells[subject.score].tolerated) & {*RUNGS}
    aware = plan.cells[plan.cells[subject.score].tolerated["aware"]]
    protected = plan.cells[aware.inputs["known:se_resnet"]]
    assert protected.stage == "template_protect"
    assert plan.cells[protected.inputs["faces"]].params["pool"] == "attack"
    match = next(c for c in plan.cells.values() if c.title == "pfrnet:gender match se_resnet")
    assert "reference" not in match.inputs
    fit = plan.cells[protected.inputs["fit"]]
    assert plan.cells[fit.inputs["develop"]].params["pool"] == "develop"


def test_template_lines_show_protected_against_protected() -> None:
    base = Row(
        "t", "default", "method", "d", "leak", 0.3, level="template", attribute="gender", role="obfuscated",
        threat="static", component_kind="attacker", component="pool", ci_low=0.2, ci_high=0.4, n=9,
    )  # fmt: skip
    matched = replace(
        base, metric="tmr", attribute=None, role=None, component_kind="matcher", policy="reset",
        operating_point="fmr=0.01", ci_low=0.5, ci_high=0.9,
    )  # fmt: skip
    rows = [
        base,
        replace(base, threat="worst"),
        replace(matched, condition="original-protected", value=0.6),
        replace(matched, condition="protected-protected", value=0.7),
    ]
    board = leaderboard(to_frame(rows))
    assert board["level"].tolist() == ["template"]
    assert board["tmr"].tolist() == [0.7]
