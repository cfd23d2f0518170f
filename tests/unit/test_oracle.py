"""The bound over several outputs of one method."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.config import load_config
from bench.metrics import privacy
from bench.planning.build import build
from bench.stages import oracle


def job(labels, members):
    """A job of the stage `oracle` on made-up scores; labels: gender (N,), members: name -> (N, K)."""
    labels = np.asarray(labels, np.float32)
    faces = SimpleNamespace(labels={"gender": labels})
    artefacts = {
        f"member:{k}": SimpleNamespace(arrays={"scores:svm@a:gender": np.asarray(v, np.float32)})
        for k, v in members.items()
    }
    return SimpleNamespace(
        params={"attribute": "gender"},
        cell=SimpleNamespace(inputs={"faces": "f", **dict.fromkeys(artefacts, "k")}),
        artefact=artefacts.__getitem__,
        faces=faces,
    )


@pytest.fixture(autouse=True)
def _faces(monkeypatch):
    monkeypatch.setattr(oracle, "faces_of", lambda job, role: job.faces)


def test_each_face_gets_the_member_in_which_its_true_class_scores_lowest():
    first = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    second = [[0.4, 0.6], [0.1, 0.9], [0.9, 0.1]]
    found = oracle.run(job([0, 1, 0], {"a": first, "b": second}))
    np.testing.assert_allclose(
        found.arrays["scores:svm@a:gender"], [[0.4, 0.6], [0.2, 0.8], [0.5, 0.5]], atol=1e-6
    )


def test_the_bound_is_no_better_for_the_attacker_than_any_member():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    members = {}
    for i in range(4):
        male = labels + rng.normal(0, 1.5, 200)
        members[str(i)] = np.stack([-male, male], 1)
    found = oracle.run(job(labels, members)).arrays["scores:svm@a:gender"]
    assert privacy.auc(labels, found) <= min(privacy.auc(labels, s) for s in members.values())


def test_unknown_labels_and_failed_faces_have_no_score():
    nothing = [np.nan, np.nan]
    found = oracle.run(job([np.nan, 1, 1], {"a": [[1, 0], nothing, [1, 0]], "b": [[1, 0], nothing, nothing]}))
    scores = found.arrays["scores:svm@a:gender"]
    assert np.isnan(scores[:2]).all()
    assert scores[2].tolist() == [1, 0]


def test_an_attacker_that_cannot_read_the_attribute_leaves_nothing():
    job_of_one = job([0, 1], {"a": [[1, 0], [0, 1]]})
    job_of_one.params["attribute"] = "race"
    job_of_one.faces.labels["race"] = np.zeros(2, np.float32)
    assert oracle.run(job_of_one).arrays == {}


@pytest.mark.usefixtures("no_weights")
def test_a_bound_is_planned_over_its_members_without_images_or_matching():
    config = {
        "methods": ("san_ensemble:best-n=2",),
        "attackers": ("svm", "cnn_light"),
        "matchers": ("se_resnet",),
    }
    plan = build(load_config(None, config))
    bound = [c for c in plan.cells.values() if c.stage == "oracle"]
    assert len(bound) == 2
    assert all({"member:member=1", "member:member=2"} <= c.inputs.keys() for c in bound)
    subject = next(s for s in plan.subjects if s.method == "san_ensemble")
    assert subject.protect == ""
    score = plan.cells[subject.score]
    assert score.params["flags"] == "bound"
    assert not [role for role in score.tolerated if role.startswith(("match:", "quality"))]
