import json

import numpy as np
import pytest

from bench.files import write_atomically
from bench.store import DATA, Artefact, DamagedArtefactError, Store, canonical_json, digest

KEY = digest("some work")


def _artefact() -> Artefact:
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}
    return Artefact(arrays, {"name": "é", "n": 2})


def test_what_was_saved_is_loaded(tmp_path):
    store = Store(tmp_path)
    assert not store.has(KEY)
    store.save(KEY, _artefact(), {"seconds": 1.5})
    found = store.load(KEY)
    assert store.has(KEY)
    np.testing.assert_array_equal(found.arrays["x"], _artefact().arrays["x"])
    assert found.arrays["steps"].shape == ()
    assert found.facts == {"name": "é", "n": 2}
    assert store.card(KEY)["provenance"] == {"seconds": 1.5}


def test_keys_ignore_the_order_of_parameters_and_notice_every_value():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize("damage", ["flip", "truncate", "nothing left", "card", "facts"])
def test_a_damaged_artefact_is_set_aside_named_and_can_be_made_again(tmp_path, damage):
    store = Store(tmp_path)
    store.save(KEY, _artefact(), {})
    data, card = store.folder(KEY) / DATA, store.folder(KEY) / "card.json"
    if damage == "flip":
        raw = bytearray(data.read_bytes())
        raw[-1] ^= 1
        data.write_bytes(raw)
    elif damage == "truncate":
        data.write_bytes(data.read_bytes()[:-4])
    elif damage == "nothing left":
        data.write_bytes(b"")
    elif damage == "card":
        card.write_text("{")
    else:
        changed = json.loads(card.read_text())
        changed["facts"]["n"] = 3
        card.write_text(json.dumps(changed))
    with pytest.raises(DamagedArtefactError, match=KEY[:12]):
        store.load(KEY)
    assert not store.has(KEY)
    assert len(list((tmp_path / "aside").iterdir())) == 1
    store.save(KEY, _artefact(), {})
    assert store.load(KEY).facts["n"] == 2


def test_two_writers_of_one_key_agree(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.save(KEY, _artefact(), {"who": 1})
    second.save(KEY, _artefact(), {"who": 2})
    assert first.card(KEY)["provenance"] == {"who": 1}
    assert [p.name for p in first.folder(KEY).parent.iterdir()] == [KEY]


def test_checkpoints_survive_until_the_work_is_done(tmp_path):
    store = Store(tmp_path)
    (store.workdir(KEY) / "checkpoint").write_text("half")
    assert (store.workdir(KEY) / "checkpoint").read_text() == "half"
    store.save(KEY, _artefact(), {})
    assert not (tmp_path / "work" / KEY).exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
