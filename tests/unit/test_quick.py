"""`run --quick`: a set of settings beneath the user's own, and a mark on everything that comes of it."""

import pytest

from bench.cli import _read_config
from bench.config import RunConfig, load_config
from bench.errors import UsageError
from bench.planning.build import build
from bench.quick import FLAG, MEANING, with_quick
from bench.report.tables import FLAGS
from bench.train import train


@pytest.fixture(autouse=True)
def _no_weights(no_weights):
    pass


def test_what_is_given_explicitly_wins_option_by_option():
    config = _read_config(
        {
            "quick": True,
            "attackers": ["mlp"],
            "set": ["dataset_options.test_people=9", "options.se_resnet.width=8", "resamples=300"],
        }
    )
    usual = load_config(None, {"quick": True})
    assert (config.attackers, config.resamples) == (("mlp",), 300)
    assert config.dataset_options == {**usual.dataset_options, "test_people": 9}
    assert config.options == {"se_resnet": {**usual.options["se_resnet"], "width": 8}}
    assert (config.threats, config.quality_images) == (usual.threats, usual.quality_images)


def test_it_is_less_of_everything_and_goes_to_a_folder_of_its_own():
    quick, full = load_config(None, {"quick": True}), RunConfig()
    for key in ("resamples", "quality_images", "adaptive_images"):
        assert getattr(quick, key) < getattr(full, key)
    assert quick.threats == ("aware",)
    assert str(quick.out) == "runs/synthetic-quick"
    assert str(load_config(None, {"quick": True, "out": "mine"}).out) == "mine"


def test_without_it_nothing_changes():
    assert load_config(None, {"quick": False}) == RunConfig()
    assert load_config(None, {}).learning_images == 0


def test_settings_of_the_embedded_faces_stay_with_them():
    assert not with_quick({"dataset": "celeba"}).keys() & {"dataset_options", "matchers", "options"}
    tested = with_quick({"test_on": ["lfw", "utkface"]})
    assert not tested.keys() & {"dataset_options", "matchers"}
    assert str(tested["out"]) == "runs/lfw+utkface-quick"


def test_a_paper_is_not_cut_short():
    with pytest.raises(UsageError, match="--quick would cut protocol san short"):
        load_config(None, {"quick": True, "protocol": "san"})


def test_a_method_learns_on_fewer_people_and_weights_that_ship_still_fit():
    plan = build(load_config(None, {"quick": True, "methods": ("pfrnet", "privacynet:gender")}))
    assert "shipped" not in str(plan.missing)
    assert not [c for c in plan.cells.values() if c.stage in ("fit", "auxiliary")]
    pools = [c.params for c in plan.cells.values() if c.stage == "faces" and c.params["pool"] == "develop"]
    assert [p["most"] for p in pools] == [400]


def test_what_was_learned_on_fewer_people_does_not_ship():
    config = load_config(None, {"quick": True, "methods": ("san",)})
    with pytest.raises(UsageError, match="learned on all of DEVELOP; leave out --quick"):
        train(config, print, ship=True)


def test_it_is_marked_wherever_it_is_read():
    plan = build(load_config(None, {"quick": True, "methods": ("blur",)}))
    assert plan.notes[0] == MEANING
    assert FLAG not in FLAGS  # whose meanings are of full runs; the run brings this one along
    assert build(load_config(None, {"methods": ("blur",)})).notes[:1] != [MEANING]
