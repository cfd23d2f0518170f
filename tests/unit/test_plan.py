"""What a run would do, decided without doing it."""

import subprocess
import sys

import pytest

from bench.config import load_config
from bench.errors import UsageError
from bench.faces import POOLS
from bench.ladder import ADAPTIVE
from bench.planning.build import build


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)


RUNG_STAGES = {"folded", "aware", "pooled_fit", "pooled", "recovery", "neighbours", "generator"}


def plan(**options):
    return build(load_config(None, {"attackers": ("svm",), "matchers": ("se_resnet",), **options}))


def test_the_order_of_the_command_line_changes_no_key():
    first = plan(methods=("blur", "san:op", "grey"), attackers=("svm", "knn"))
    second = plan(methods=("grey", "blur", "san:op"), attackers=("knn", "svm"))
    assert set(first.cells) == set(second.cells)


def test_what_does_not_matter_is_in_no_key(tmp_path):
    keys = set(plan(methods=("blur",)).cells)
    assert set(plan(methods=("blur",), workers=7, store=tmp_path, out=tmp_path).cells) == keys
    assert set(plan(methods=("blur",), seed=1).cells) != keys


def test_inputs_come_before_their_readers():
    planned = plan(methods=("all",))
    seen = set()
    for key, cell in planned.cells.items():
        needs = cell.needs
        assert set(needs) <= seen, cell.title
        seen.add(key)


def test_originals_come_first_whatever_is_asked_for():
    assert [s.name for s in plan(methods=("blur",)).subjects] == ["original", "blur"]


def test_variants_by_name_by_default_and_all():
    def names(**options):
        return {s.name for s in plan(**options).subjects} - {"original"}

    assert names(methods=("blur:strong",)) == {"blur:strong"}
    assert names(methods=("blur",)) == {"blur"}
    assert names(methods=("blur",), variants="all") == {"blur", "blur:weak", "blur:strong"}
    assert len(names(methods=("privacynet",), variants="all")) == 15


def test_a_new_attacker_adds_cells_and_keeps_the_others():
    few, more = plan(methods=("blur",)), plan(methods=("blur",), attackers=("svm", "knn"))
    stages = {c.stage for k, c in more.cells.items() if k not in few.cells}
    assert stages == {"attacker_fit", "attack", "score", *RUNG_STAGES - {"neighbours"}}


def test_a_pretrained_component_without_its_file_is_missing_with_the_remedy():
    planned = plan(methods=("blur",), attackers=("svm", "dlib_gender"))
    missing = {m.name: m for m in planned.missing}
    assert "BENCH_WEIGHTS" in missing["dlib_gender"].remedy
    assert {"lpips", "niqe"} <= set(missing)
    assert not [c for c in planned.cells.values() if "dlib_gender" in c.title]


def test_no_network_for_photographs_is_set_on_drawn_faces():
    planned = build(load_config(None, {"methods": ("original",)}))
    titles = " ".join(c.title for c in planned.cells.values())
    assert "se_resnet" in titles
    assert "intel_reid" not in titles
    assert "dlib_gender" not in titles


def test_methods_learn_where_attackers_and_tests_never_look():
    planned = plan(methods=("san",), shipped=False)
    pools = {k: c.params["pool"] for k, c in planned.cells.items() if c.stage == "faces"}
    assert set(pools.values()) == set(POOLS)
    for cell in planned.cells.values():
        read = {pools[k] for k in cell.inputs.values() if k in pools}
        if cell.stage in ("fit", "auxiliary"):
            assert read == {"develop", "validation"}, cell.title
        elif cell.stage in ("matcher_fit", "attacker_fit", "pooled_fit", "niqe_fit"):
            assert read == {"attack"}, cell.title
        elif cell.stage == "protect":
            assert read in ({"test"}, {"attack"}), cell.title
        elif cell.stage in ("match", "score", "attack", "quality", "pooled"):
            assert read <= {"test"}, cell.title
        elif cell.stage in RUNG_STAGES:
            assert pools[cell.inputs["known"]] == "attack", cell.title
            assert pools[cell.inputs["faces"]] == "test", cell.title


def test_every_rung_is_climbed_and_static_alone_on_request():
    everything = plan(methods=("blur", "san:op"))
    assert {c.stage for c in everything.cells.values()} >= RUNG_STAGES
    scores = [everything.cells[s.score] for s in everything.subjects]
    assert all(set(ADAPTIVE) <= set(c.tolerated) for c in scores)
    static = plan(methods=("blur", "san:op"), threats=("static",))
    assert not RUNG_STAGES & {c.stage for c in static.cells.values()}
    one = plan(methods=("blur",), threats=("aware",))
    assert RUNG_STAGES & {c.stage for c in one.cells.values()} == {"aware"}


def test_a_shipped_matcher_is_taken_for_its_own_seed_and_faces_alone():
    def taken(**options):
        fits = [c for c in plan(methods=("blur",), **options).cells.values() if c.stage == "matcher_fit"]
        return [(bool(c.params.get("weights")), bool(c.inputs)) for c in fits]

    assert taken() == [(True, False)]
    assert taken(seeds=2) == [(True, False), (False, True)]
    assert taken(shipped=False) == [(False, True)]
    assert taken(dataset_options={"attack_people": 50}) == [(False, True)]
    assert taken(options={"se_resnet": {"steps": 7}}) == [(False, True)]


def test_shipped_weights_are_of_one_seed_which_is_said_and_can_be_left():
    both = plan(methods=("san:op",), seeds=2, threats=("static",))
    assert any("shipped=false" in note for note in both.notes)
    assert not [c for c in both.cells.values() if c.stage == "fit"]
    anew = plan(methods=("san:op",), seeds=2, threats=("static",), shipped=False)
    assert not any("shipped=false" in note for note in anew.notes)
    fits = [c for c in anew.cells.values() if c.stage == "fit" and c.params["method"] == "san"]
    assert [c.params["seed"] for c in fits] == [0, 1]


def test_every_method_meets_the_same_attackers_on_as_many_faces():
    planned = plan(methods=("blur", "san:op", "grey"), attackers=("svm", "knn"))
    for stage in RUNG_STAGES:
        found = [c for c in planned.cells.values() if c.stage == stage]
        assert len({str(c.params["units"]) for c in found}) == 1
        assert len({c.inputs["known"] for c in found if "known" in c.inputs}) <= 1


def test_seeds_and_label_sources_are_axes():
    once = plan(methods=("blur", "san:op"))
    seeds = plan(methods=("blur", "san:op"), seeds=2)
    assert [(s.name, s.seed) for s in seeds.subjects] == [
        (name, seed) for seed in (0, 1) for name in ("original", "blur", "san:op")
    ]
    assert set(once.cells) < set(seeds.cells)
    pools = [c for c in seeds.cells.values() if c.stage == "faces"]
    assert len(pools) == len([c for c in once.cells.values() if c.stage == "faces"])
    told = plan(methods=("blur", "san:op"), label_source=("truth", "predicted", "random"))
    assert [(s.name, s.label_source) for s in told.subjects] == [
        ("original", "truth"),
        ("blur", "truth"),
        ("san:op", "truth"),
        ("san:op", "predicted"),
        ("san:op", "random"),
    ]
    predicted = next(
        c for c in told.cells.values() if c.stage == "told" and c.params["label_source"] == "predicted"
    )
    assert told.cells[predicted.inputs["develop"]].params["pool"] == "develop"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": ("sna",)}, "unknown method 'sna'; did you mean san"),
        ({"methods": ("san:oq",)}, "unknown variant of san 'oq'; known: nt, op, sm"),
        ({"attackers": ("svn",)}, "unknown attacker 'svn'; did you mean svm"),
        ({"matchers": ("arcfase",)}, "unknown matcher 'arcfase'; did you mean arcface"),
        ({"extractors": ("arcface",)}, "unknown extractor"),
        ({"threats": ("awake",)}, "unknown threat 'awake'; did you mean aware"),
        ({"attributes": ("gander",)}, "unknown attribute of synthetic 'gander'; did you mean gender"),
        ({"dataset": "celebra"}, "unknown dataset 'celebra'; did you mean celeba"),
        ({"options": {"sann": {}}}, "unknown component in options 'sann'; did you mean san"),
        ({"options": {"svm": {"penalti": 1.0}}}, "unknown option of svm 'penalti'; did you mean penalty"),
        ({"options": {"san": {"steps": "many"}}, "methods": ("san",)}, "option steps of san must be int"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(options, said):
    with pytest.raises(UsageError, match=said):
        plan(**{"methods": ("blur",), **options})


def test_help_and_list_import_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from bench.cli import app;"
        "r = CliRunner();"
        "assert r.invoke(app, ['--help']).exit_code == 0;"
        "assert r.invoke(app, ['list', 'methods']).exit_code == 0;"
        "sys.exit(bool({'torch', 'sklearn', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- numbers -----------------------------------------------------------------------------------------


def hunted(planned, stage):
    """Attributes -> titles of the cells of a stage."""
    found = {}
    for cell in planned.cells.values():
        if cell.stage == stage:
            names = tuple(a[0] for a in cell.params.get("hunted", cell.params.get("attributes")))
            found.setdefault(names, []).append(cell.title)
    return found


def test_numbers_go_to_who_learns_numbers_and_classes_to_the_others():
    planned = plan(methods=("blur",), attackers=("svm", "kernel_ridge"))
    taught = {
        cell.params["attacker"]: {a[0] for a in cell.params["attributes"]}
        for cell in planned.cells.values()
        if cell.stage == "attacker_fit"
    }
    assert taught["kernel_ridge"] == {"age"}
    assert "gender" in taught["svm"]
    assert "age" not in taught["svm"]
    for cell in planned.cells.values():
        if cell.stage in RUNG_STAGES - {"neighbours"} | {"pooled_fit"}:
            asked = {a[0] for a in cell.params["hunted"]}
            names = {u["attacker"] for u in cell.params["units"].values()}
            assert names == ({"kernel_ridge"} if asked == {"age"} else {"svm"}), cell.title


def test_an_attacker_of_numbers_changes_no_other_training_and_no_other_rung():
    without = plan(methods=("blur",))
    more = plan(methods=("blur",), attackers=("svm", "kernel_ridge"))
    gone = {without.cells[k].stage for k in set(without.cells) - set(more.cells)}
    # What all attackers of a reader say is one cell, with what the rungs take from it.
    assert gone == {"attack", "folded", "score"}


def test_numbers_are_hidden_under_any_name_of_the_same_thing():
    def hidden(name):
        planned = plan(methods=(name,), attackers=("svm", "kernel_ridge"))
        scores = [c for c in planned.cells.values() if c.stage == "score"]
        (found,) = [c.params for c in scores if c.params["method"] != "original"]
        return found["numbers_hidden"], found["numbers_rungs"]

    assert hidden("privacynet:age0") == (["age"], ["folded", "aware"])
    assert hidden("privacynet:gender") == ([], [])


def test_attributes_may_be_named_and_then_only_those_numbers_are_estimated():
    def numbers(*names):
        planned = plan(methods=("blur",), attackers=("svm", "kernel_ridge"), attributes=names)
        score = next(c for c in planned.cells.values() if c.stage == "score")
        return [a[0] for a in score.params.get("numbers", [])], [a[0] for a in score.params["attributes"]]

    assert numbers("gender") == ([], ["gender"])
    assert numbers("gender", "age") == (["age"], ["gender"])
    assert numbers("age") == (["age"], [])
    with pytest.raises(UsageError, match="did you mean age"):
        numbers("agee")


def test_without_an_estimator_a_run_says_nothing_of_numbers():
    score = next(c for c in plan(methods=("blur",)).cells.values() if c.stage == "score")
    assert "numbers" not in score.params
