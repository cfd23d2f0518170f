import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.commands.store import app as store_commands
from bench.files import temporary_prefix, write_atomically
from bench.store import DATA, Artefact, Store, StoreError, canonical_json, digest

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


def test_two_writers_of_one_key_agree(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.save(KEY, _artefact(), {"who": 1})
    second.save(KEY, _artefact(), {"who": 2})
    assert first.card(KEY)["provenance"] == {"who": 1}
    assert [p.name for p in first.folder(KEY).parent.iterdir()] == [KEY]


def test_checkpoints_survive_until_the_work_is_done(tmp_path):
    store = Store(tmp_path)
    write_atomically(store.workdir(KEY) / "checkpoint", b"half")
    assert (store.workdir(KEY) / "checkpoint").read_text() == "half"
    store.save(KEY, _artefact(), {})
    assert not (tmp_path / "work" / KEY).exists()


@pytest.mark.parametrize("flush", [False, True])
def test_a_killed_writer_leaves_nothing_that_counts_and_a_later_one_removes_it(tmp_path, flush):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bench.store import Artefact, Store\n"
        "os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Store(Path(sys.argv[1])).save({KEY!r}, Artefact(), {{}}, flush={flush})\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = Store(tmp_path)
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert not store.has(KEY)
    being_written = tmp_path / "new" / f"{temporary_prefix()}x"
    being_written.mkdir()
    of_another_machine = tmp_path / "new" / f".new-00000000-{os.getpid()}-x"
    of_another_machine.mkdir()
    store.sweep()
    assert set((tmp_path / "new").iterdir()) == {being_written, of_another_machine}
    os.utime(of_another_machine, (1e9, 1e9))
    store.sweep()
    assert list((tmp_path / "new").iterdir()) == [being_written]


def test_checkpoints_of_finished_work_are_removed_and_others_are_kept(tmp_path):
    store, other = Store(tmp_path), digest("other work")
    store.save(KEY, _artefact(), {})
    for key in (KEY, other):
        write_atomically(store.workdir(key) / "checkpoint", b"half")
    store.sweep()
    assert [p.name for p in (tmp_path / "work").iterdir()] == [other]


def test_what_cannot_be_written_is_a_fault_of_the_store_in_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file")
    assert not store.has(KEY)
    with pytest.raises(StoreError, match=r"cannot write to the store .*: Not a directory; make room"):
        store.save(KEY, _artefact(), {})


def test_a_key_that_another_process_stores_meanwhile_is_not_taken_for_damaged(tmp_path, monkeypatch):
    store = Store(tmp_path)
    real = Store._card

    def slow(self, key):
        try:
            return real(self, key)
        except FileNotFoundError:
            Store(tmp_path).save(KEY, _artefact(), {"who": "another"})
            raise

    monkeypatch.setattr(Store, "_card", slow)
    assert not store.has(KEY)
    assert store.has(KEY)
    assert not (tmp_path / "aside").exists()


def test_the_command_finds_what_nobody_has_read_and_says_how_much_room_all_takes(tmp_path):
    store, other = Store(tmp_path), digest("other work")
    for key in (KEY, other):
        store.save(key, _artefact(), {"stage": "fit"})
    data = store.folder(KEY) / DATA
    data.write_bytes(data.read_bytes()[:-1] + b"\xff")
    command = CliRunner()
    found = command.invoke(store_commands, ["size", "--store", str(tmp_path)])
    assert "2  fit" in found.output
    found = command.invoke(store_commands, ["verify", "--store", str(tmp_path)])
    assert found.exit_code == 1
    assert f"damaged {KEY[:12]}: its bytes do not match its checksum; set aside" in found.output
    assert "1 ok, 1 damaged" in found.output
    assert command.invoke(store_commands, ["prune", "--store", str(tmp_path)]).exit_code == 0
    assert not (tmp_path / "aside").exists()
    found = command.invoke(store_commands, ["verify", "--store", str(tmp_path)])
    assert (found.exit_code, store.stored()) == (0, [other])


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
