"""What a run says of itself."""

import json

import pytest

from bench.config import load_config
from bench.errors import InputError
from bench.planning.build import build
from bench.record import as_json, lasting, read, record, record_file
from bench.run import finished

FEW = {f"{pool}_people": 8 for pool in ("develop", "validation", "attack", "test")}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    given = {
        "methods": ["blur", "face_mixing"],
        "attackers": ["knn", "svm"],
        "matchers": ["se_resnet"],
        "attributes": ["gender"],
        "threats": ["aware", "pooled"],
        "options": {"knn": {"neighbours": 5}},
        "dataset_options": FEW,
        "store": folder / "store",
        "out": folder / "out",
    }
    plan = build(load_config(None, given))
    return record(plan, finished(plan)), plan


def test_a_record_says_what_the_figures_are_made_over(found):
    noted, plan = found
    assert noted["rungs"] == ["static", "aware", "pooled"]
    assert noted["attackers"] == ["knn@se_resnet", "svm@se_resnet"]
    assert noted["matchers"] == ["se_resnet"]
    assert set(noted["pooled"]) == {s.name for s in plan.subjects}
    assert noted["components"]["attacker"]["knn"]["settings"] == {"neighbours": 5}
    assert noted["config"]["options"] == {"knn": {"neighbours": 5}}
    assert set(noted["code"]["components"]["method"]) == {"original", "blur", "face_mixing"}
    assert noted["code"]["stages"]["score"] >= 2
    assert len(set(noted["data"]["synthetic"].values())) == 4
    assert noted["photographs"] is False


def test_work_that_is_not_done_is_a_failure(found):
    noted, plan = found
    assert len(noted["failures"]) == len(plan.cells)
    assert all("not computed yet" in one["message"] for one in noted["failures"])


def test_a_record_names_no_folder_and_nothing_that_changes_by_itself(found, tmp_path):
    noted, plan = found
    assert str(plan.config.store.parent) not in json.dumps(noted)
    assert not {"store", "out", "workers", "data", "weights"} & noted["config"].keys()
    assert "commit" not in lasting(noted)["code"]
    assert as_json(noted) == as_json(record(plan, finished(plan)))
    (tmp_path / "rows.parquet").write_bytes(b"rows")
    path = tmp_path / "run.json"
    path.write_bytes(record_file(noted, tmp_path / "rows.parquet", pools={}))
    assert read(path) == json.loads(as_json({**noted, "rows": read(path)["rows"], "pools": {}}))
    path.write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(InputError, match="is of another version"):
        read(path)
