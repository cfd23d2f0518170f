"""Claims: how inequalities are decided, how figures are found, that every declared one can be tested."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench import discover
from bench.claims import CANNOT_TELL, HELD, NOT_HELD, Declared, Measured, decide, declared, retest
from bench.components.claim import Claim, Figure
from bench.errors import ContractError, MetricError, UsageError
from bench.faces import AGE_GROUP, GENDER, YOUNG, Attribute, yes_no
from bench.ladder import RUNGS
from bench.report.claims import COLUMNS, to_lines, write_claims
from bench.report.tables import METRICS
from bench.results import UNDEFINED, Row, to_frame
from bench.scoring.rows import sample_key
from bench.source_text import code_of

B = 2000
RNG = np.random.default_rng(0)
SHARED = 0.05 * RNG.standard_normal(B)
OP, SM = Figure.matched("san:op"), Figure.matched("san:sm")
AUC = Figure.read("flowsan:n=3", "gender", "auc")


def measured(value, spread=0.01, shared=0.0):
    """A figure whose resamples scatter by `spread` of its own and by what all figures share."""
    return Measured(value, value + shared * SHARED + spread * RNG.standard_normal(B))


def verdict(inequality, *more, **figures):
    """The verdict where the figures of `san:op`, `san:sm`, ... are as given, by variant."""
    claim = Claim("some-claim", "words", "Table 1", (inequality, *more))

    def find(figure):
        found = figures[figure.subject[1].replace("=", "")]
        if isinstance(found, str):
            raise MetricError(found)
        return found

    return decide(claim, find)


@pytest.mark.parametrize(("op", "answer"), [(0.8, HELD), (0.9, CANNOT_TELL), (0.95, NOT_HELD)])
def test_the_interval_of_the_difference_decides(op, answer):
    found = verdict(SM.at_least(OP), sm=measured(0.9), op=measured(op))
    assert found.answer == answer
    assert found.value == pytest.approx(0.9 - op)
    assert found.low < found.value < found.high
    assert found.decided_by == "tmr fmr=0.01 of san:sm >= tmr fmr=0.01 of san:op"


def test_the_difference_is_paired():
    """What moves both figures alike cancels: .03 apart, each known to +-.1, and still told apart."""
    sm, op = measured(0.90, 0.001, shared=1.0), measured(0.87, 0.001, shared=1.0)
    assert np.percentile(op.samples, 97.5) > 0.95
    assert verdict(SM.above(OP), sm=sm, op=op).answer == HELD
    shuffled = replace_samples(op, RNG.permutation(op.samples))
    assert verdict(SM.above(OP), sm=sm, op=shuffled).answer == CANNOT_TELL


def replace_samples(figure, samples):
    return Measured(figure.value, samples)


def test_equality_holds_at_least_and_refutes_above():
    same = measured(1.0)
    assert verdict(SM.at_least(OP), sm=same, op=same).answer == HELD
    assert verdict(SM.at_most(OP), sm=same, op=same).answer == HELD
    assert verdict(SM.above(OP), sm=same, op=same).answer == NOT_HELD
    assert verdict(SM.below(OP), sm=same, op=same).answer == NOT_HELD


@pytest.mark.parametrize(
    ("inequality", "held", "not_held"),
    [
        (AUC.within(0.1, of=0.5), [0.45, 0.55], [0.3, 0.7]),
        (AUC.beyond(0.1, of=0.5), [0.3, 0.7], [0.45, 0.55]),
        (AUC.at_least(0.6), [0.7], [0.5]),
        (AUC.at_least(0.6, margin=0.2), [0.5, 0.7], [0.3]),
        (AUC.at_most(0.6, margin=0.1), [0.5, 0.65], [0.75]),
        (AUC.above(0.6), [0.7], [0.5]),
        (AUC.below(0.6), [0.5], [0.7]),
    ],
)
def test_bounds_and_distances(inequality, held, not_held):
    for value in held:
        assert verdict(inequality, n3=measured(value)).answer == HELD
    for value in not_held:
        assert verdict(inequality, n3=measured(value)).answer == NOT_HELD


def test_nearer_compares_distances_from_either_side():
    other = Figure.read("san:op", "gender", "auc")
    assert verdict(AUC.nearer(0.5, than=other), n3=measured(0.45), op=measured(0.75)).answer == HELD
    assert verdict(AUC.nearer(0.5, than=other), n3=measured(0.2), op=measured(0.6)).answer == NOT_HELD
    assert verdict(AUC.nearer(0.5, than=other), n3=measured(0.4), op=measured(0.6)).answer == CANNOT_TELL
    inverted = verdict(AUC.nearer(0.5, than=other), n3=measured(0.45), op=measured(0.1))
    assert inverted.value == pytest.approx(0.4 - 0.05)


def test_all_parts_must_hold_and_the_worst_is_named():
    nt = Figure.matched("san:nt")
    parts = SM.at_least(nt), nt.at_least(OP)
    held = verdict(*parts, sm=measured(0.9), nt=measured(0.8), op=measured(0.5))
    assert (held.answer, held.decided_by) == (HELD, parts[0].says)
    broken = verdict(*parts, sm=measured(0.5), nt=measured(0.8), op=measured(0.8))
    assert (broken.answer, broken.decided_by) == (NOT_HELD, parts[0].says)
    lost = verdict(*parts, sm=measured(0.9), nt=measured(0.8), op="no face was protected")
    assert (lost.answer, lost.decided_by, lost.reason) == (
        CANNOT_TELL,
        parts[1].says,
        "no face was protected",
    )
    assert lost.value is None
    # One part that fails is enough, whatever is missing elsewhere.
    assert verdict(*parts, sm=measured(0.5), nt=measured(0.8), op="lost").answer == NOT_HELD


def test_intervals_of_several_parts_hold_together():
    one, many = (verdict(*[SM.above(OP)] * k, sm=measured(0.9), op=measured(0.8)) for k in (1, 5))
    assert many.high - many.low > 1.15 * (one.high - one.low)


def test_a_figure_that_most_resamples_lack_cannot_tell():
    hanging = measured(0.9)
    hanging.samples[:200] = np.nan
    found = verdict(SM.above(OP), sm=hanging, op=measured(0.1))
    assert found.answer == CANNOT_TELL
    assert "undefined in 200 of 2000 resamples" in found.reason


# -- finding figures among rows --------------------------------------------------------------------------

MATCH = Row(
    "san",
    "op",
    "method",
    "made_up",
    "tmr",
    0.8,
    threat="static",
    component_kind="matcher",
    component="pool",
    condition="original-protected",
    policy="reset",
    operating_point="fmr=0.01",
)
READ = Row(
    "san",
    "op",
    "method",
    "made_up",
    "auc",
    0.3,
    attribute="gender",
    role="obfuscated",
    threat="static",
    component_kind="attacker",
    component="pool",
)
ROWS = (
    MATCH,
    replace(MATCH, variant="sm", value=0.9),
    replace(MATCH, policy="fixed", value=0.1),
    replace(MATCH, condition="protected-protected", value=0.2),
    replace(MATCH, component="arcface", value=0.3),
    READ,
    replace(READ, threat="aware", value=0.9),
    replace(READ, attribute="race", status=UNDEFINED, value=None, reason="all faces are of one race"),
    replace(READ, label_source="random", value=0.5),
    replace(MATCH, metric="lpips", component_kind="quality", component="alex", condition=None, policy=None),
)


def results(rows=ROWS, unsampled=("lpips",)):
    samples = {
        sample_key(r): r.value + 0.01 * RNG.standard_normal(B)
        for r in rows
        if r.value is not None and r.metric not in unsampled
    }
    return to_frame(rows), samples


def table(*inequalities, rows=ROWS):
    claims = [
        Declared("san", "SAN, ICB 2018", Claim(f"claim-{i}", "words", "Table 3", (one,)))
        for i, one in enumerate(inequalities)
    ]
    return retest(claims, *results(rows))


def test_claims_are_tested_on_the_rows_they_name():
    race = Figure.read("san:op", "race", "auc")
    found = table(
        SM.at_least(OP),
        Figure.read("san:op", "gender", "auc").beyond(0.1, of=0.5),
        Figure.read("san:op", "gender", "auc", "aware").within(0.1, of=0.5),
        race.within(0.1, of=0.5),
        Figure.matched("san:nt").above(OP),
        Figure.matched("san:op", "tmr_kept").above(0.5),
        Figure("san:op", "tmr").above(0.5),
        Figure.looks("san:op", "lpips").below(1.0),
    )
    assert list(found.columns) == list(COLUMNS)
    assert found["answer"].tolist() == [HELD, HELD, NOT_HELD, *[CANNOT_TELL] * 5]
    assert found["value"][:3].tolist() == pytest.approx([0.1, 0.1, -0.3])
    assert found["value"][3:].isna().all()
    assert [str(reason) for reason in found["reason"][3:]] == [
        "no race auc of san:op: all faces are of one race",
        "san:nt is not among the results with true labels",
        "no tmr_kept fmr=0.01 of san:op was measured",
        "4 values of tmr of san:op: the claim must name one",
        "no lpips of san:op was resampled",
    ]
    assert found.loc[0, ["claim", "method", "seed", "paper", "source"]].tolist() == [
        "claim-0",
        "san",
        0,
        "SAN, ICB 2018",
        "Table 3",
    ]


def test_every_seed_has_its_verdict_and_only_true_labels_count():
    second = [replace(row, seed=1, value=1 - row.value) for row in ROWS if row.value is not None]
    found = table(Figure.read("san:op", "gender", "auc").below(0.5), rows=(*ROWS, *second))
    assert found[["seed", "answer"]].to_numpy().tolist() == [[0, HELD], [1, NOT_HELD]]
    told_nothing = [replace(row, label_source="random") for row in ROWS]
    blind = table(SM.at_least(OP), rows=told_nothing)
    assert blind["reason"].tolist() == ["san:sm is not among the results with true labels"]


def test_a_variant_that_failed_says_why():
    failed = Row("san", "nt", "method", "made_up", "", None, status="failed", reason="out of memory")
    found = table(Figure.matched("san:nt").above(OP), rows=(*ROWS, failed))
    assert found["reason"].tolist() == ["no tmr fmr=0.01 of san:nt: out of memory"]


def test_rows_scored_with_a_component_that_was_trained_against_do_not_count():
    seen = [replace(row, seen=True) if row.variant == "sm" else row for row in ROWS]
    assert table(SM.at_least(OP), rows=seen)["answer"].tolist() == [CANNOT_TELL]


def test_the_table_is_written_and_shown(tmp_path):
    found = table(SM.at_least(OP), OP.at_least(SM), Figure.matched("san:nt").above(OP))
    path = write_claims(found, tmp_path)
    read = pd.read_csv(path)
    assert path.name == "claims.csv"
    assert read["answer"].tolist() == [HELD, NOT_HELD, CANNOT_TELL]
    assert read["low"][0] == pytest.approx(found["low"][0], rel=1e-5)
    lines = "\n".join(to_lines(found))
    assert "held         claim-0\n" in lines
    assert "tmr fmr=0.01 of san:sm >= tmr fmr=0.01 of san:op: by +0.100 (+0.0" in " ".join(lines.split())
    assert "[san:nt is not among the results with true labels]" in lines
    assert lines.endswith("1 cannot tell, 1 held, 1 not held")
    assert list(to_lines(found[:0])) == ["no claims"]


# -- what is declared --------------------------------------------------------------------------------------


def test_a_claim_must_say_something_under_a_plain_name():
    for bad in ("San order", "san_order", "san-", ""):
        with pytest.raises(ContractError, match="words-joined-by-hyphens"):
            Claim(bad, "words", "Table 1", (SM.at_least(OP),))
    with pytest.raises(ContractError, match="at least one figure"):
        Claim("empty", "words", "Table 1", ())


def every_attribute():
    named = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    others = ("attractive", "heavy_makeup", "smiling", "high_cheekbones")
    race = Attribute("race", ("a", "b"))
    return [GENDER, race, AGE_GROUP, YOUNG, *(yes_no(name) for name in (*named, *others))]


def test_declared_claims_name_figures_that_runs_measure():
    known = {}
    figures = [f for one in declared() for inequality in one.claim.holds for f in inequality.figures]
    assert len(figures) > 40
    for figure in figures:
        method, variant = figure.subject
        if method not in known:
            known[method] = discover.load_class("method", method)(every_attribute(), preset="quick")
        known[method].variant(variant)  # raises UsageError for an unknown one
        assert figure.metric in METRICS
        assert figure.threat is None or figure.threat in RUNGS
        assert figure.attribute is None or figure.attribute in {a.name for a in every_attribute()}


def test_the_claims_of_the_five_papers_are_declared_once_with_paper_and_source():
    found = declared()
    ids = [one.claim.id for one in found]
    assert len(set(ids)) == len(ids)
    wanted = {
        "flowsan-nears-chance": "flowsan",
        "privacynet-keeps-matching": "privacynet",
        "gender-an-reduction-near-one": "gender_an",
        "san-matching-order": "san",
        "mixing-confounds-and-destroys": "face_mixing",
        "mmda-gender-disturbs-race": "mmda",
        "li-more-parts-lower-tar": "li_mm21",
    }
    assert wanted.items() <= {one.claim.id: one.method for one in found}.items()
    assert all(one.paper and one.claim.source and one.claim.text for one in found)


def test_two_claims_of_one_name_are_refused(monkeypatch):
    class First:
        paper, claims = "a paper", (Claim("same", "words", "Table 1", (SM.at_least(OP),)),)

    monkeypatch.setattr(discover, "load_class", lambda kind, name: First)
    with pytest.raises(UsageError, match="first and second both declare the claim same"):
        declared(["first", "second"])


def test_claims_are_no_part_of_the_source_that_keys_the_work(tmp_path):
    plain = "from bench.api import Method\nclass A(Method):\n    title = 'A'\n    x = 1\n"
    claimed = (
        "from bench.api import Claim, Figure, Method\nclass A(Method):\n    title = 'A'\n"
        "    claims = (Claim('a', 'b', 'c', (Figure.matched('san:op').above(1.0),)),)\n    x = 1\n"
    )
    only = "from bench.api import Claim, Figure\nclass A:\n    claims = (Claim('a', 'b', 'c', ()),)\n"
    for name, text in {"plain": plain, "claimed": claimed, "only": only}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "bare.py").write_text("class A:\n    pass\n")
    code = {p.stem: code_of(p) for p in tmp_path.glob("*.py")}
    assert code["plain"] == code["claimed"]
    assert code["only"] == code["bare"]
    assert code["plain"] != code["bare"]
