"""`weights list`, `verify`, `fetch` and `add`, against a server on this machine and against folders."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from bench import weights_command
from bench.commands.weights import app
from bench.errors import InputError, Unavailable, UsageError
from bench.foreign import Pretrained
from bench.quality import added as _reads_the_catalogue_when_imported  # noqa: F401
from bench.weights import PRETRAINED, Entry, WeightsFolder, sha256_of_file
from bench.weights_command import Fetched, add, check_all, fetch, writable_folder

CONTENT = bytes(range(256)) * 40
FLIPPED = CONTENT[:700] + bytes([CONTENT[700] ^ 1]) + CONTENT[701:]
PAGE = b"<!DOCTYPE html><html><title>Please sign in</title>" + b" " * len(CONTENT)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 10240\n"


def entry(file: str = "net.onnx", content: bytes = CONTENT, url: str = "") -> Entry:
    sha256 = hashlib.sha256(content).hexdigest() if content else ""
    return Entry(
        Pretrained(file, sha256, "MIT", "somebody/project, net.onnx"), len(content), "test", "any", url
    )


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two known files and two that users add, one of them for a matcher."""
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.delenv("BENCH_WEIGHTS_MIRROR", raising=False)
    real = dict(PRETRAINED)
    PRETRAINED.clear()
    PRETRAINED.update(net=entry(), other=entry("b.mat", b"b" * 99), own=entry("own.safetensors", b""))
    PRETRAINED["dr_gan"] = real["dr_gan"]
    yield
    PRETRAINED.clear()
    PRETRAINED.update(real)


ANSWERS: dict[str, tuple[int, str, int | None, bytes]] = {
    # status, type, announced length (None: the true one), body
    "/good/net.onnx": (200, "application/octet-stream", None, CONTENT),
    "/flipped/net.onnx": (200, "application/octet-stream", None, FLIPPED),
    "/page/net.onnx": (200, "text/html", None, PAGE),
    "/pointer/net.onnx": (200, "text/plain", None, POINTER),
    "/pickle/net.onnx": (200, "application/octet-stream", None, pickle.dumps(CONTENT, protocol=4)),
    "/short/net.onnx": (200, "application/octet-stream", None, CONTENT[:-1]),
    "/long/net.onnx": (200, "application/octet-stream", -1, CONTENT + b"x"),
    "/unannounced/net.onnx": (200, "application/octet-stream", -1, CONTENT),
    "/broken/net.onnx": (200, "application/octet-stream", len(CONTENT), CONTENT[:5000]),
    "/stopped/net.onnx": (200, "application/octet-stream", -1, CONTENT[:5000]),
    "/empty/net.onnx": (200, "application/octet-stream", None, b""),
    "/gone/net.onnx": (404, "text/html", None, PAGE),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        status, kind, announced, body = ANSWERS.get(self.path, (404, "text/html", None, PAGE))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if announced != -1:
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


def base(server: ThreadingHTTPServer, folder: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{folder}"


def fetched(folder: Path, origin: str, *names: str) -> list[Fetched]:
    folder.mkdir(exist_ok=True)
    return list(fetch(names, folder, origin, lambda file, done, total: None))


# -- fetch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["good", "unannounced"])
def test_a_good_answer_is_kept(kind: str, server: ThreadingHTTPServer, tmp_path: Path) -> None:
    reports = []
    (one,) = fetch(["net"], tmp_path, base(server, kind), lambda *report: reports.append(report))
    assert one.state == "fetched"
    assert (tmp_path / "net.onnx").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert reports[-1] == ("net.onnx", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (
            "flipped",
            f"SHA-256 {hashlib.sha256(FLIPPED).hexdigest()}, expected {hashlib.sha256(CONTENT).hexdigest()}",
        ),
        ("page", "web page.*sent as text/html.*Please sign in.*expected net.onnx, 10,240 bytes"),
        ("pointer", "Git LFS pointer.*expected net.onnx"),
        ("pickle", "Python pickle.*expected net.onnx"),
        ("short", "has 10,239 bytes; expected net.onnx, 10,240 bytes"),
        ("long", "longer than the 10,240 bytes expected"),
        ("broken", "cannot be read.*after|truncated: 5,000 of 10,240 bytes"),
        ("stopped", "truncated: 5,000 of 10,240 bytes"),
        ("empty", "is empty"),
        ("gone", r"status 404.*after 0 of 10,240 bytes"),
    ],
)
def test_anything_else_is_refused_and_leaves_nothing(
    kind: str, what: str, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    (one,) = fetched(tmp_path, base(server, kind), "net")
    assert one.state == "failed"
    with pytest.raises(InputError, match=what):
        raise InputError(one.text)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_answer_leaves_the_old_file(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(FLIPPED)
    assert fetched(tmp_path, base(server, "page"), "net")[0].state == "failed"
    assert (tmp_path / "net.onnx").read_bytes() == FLIPPED
    assert fetched(tmp_path, base(server, "good"), "net")[0].state == "fetched"
    assert (tmp_path / "net.onnx").read_bytes() == CONTENT


def test_what_is_verified_is_not_asked_for_again(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    for expected in ("fetched", "ready", "ready"):
        assert fetched(tmp_path, base(server, "good"), "net")[0].state == expected
    assert server.asked == ["/good/net.onnx"]  # type: ignore[attr-defined]


def test_a_server_that_sends_without_end_is_left(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(weights_command.time, "monotonic", lambda: float(next(clock)))
    (one,) = fetched(tmp_path, base(server, "good"), "net")
    assert one.state == "failed"
    assert "sends too slowly" in one.text


def test_a_publishers_own_address_is_used_without_a_mirror(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRETRAINED, "net", entry(url=base(server, "good/net.onnx")))
    states = {one.name: one.state for one in fetched(tmp_path, "")}
    assert states == {"net": "fetched", "other": "not here"}


def test_conversions_say_how_to_come_by_them(tmp_path: Path) -> None:
    found = {one.name: one for one in fetched(tmp_path, "", "other", "own")}
    assert found["other"].state == found["own"].state == "not here"
    assert "converted from somebody/project" in found["other"].text
    assert "BENCH_WEIGHTS_MIRROR" in found["other"].text
    assert "weights add own FILE" in found["own"].text


def test_a_folder_serves_as_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "net.onnx").write_bytes(CONTENT)
    states = {one.name: one for one in fetched(tmp_path / "w", str(tmp_path / "mirror"))}
    assert states["net"].state == "fetched"
    assert states["other"].state == "failed"
    assert "No such file" in states["other"].text
    assert [p.name for p in (tmp_path / "w").iterdir()] == ["net.onnx"]


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean other"):
        fetched(tmp_path, "", "othr")
    with pytest.raises(InputError, match=r"no such folder of weights: .*gone; --from takes"):
        fetched(tmp_path, str(tmp_path / "gone"), "net")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "net.onnx").write_bytes(CONTENT)
    (tmp_path / "w").mkdir(mode=0o500)
    (one,) = fetched(tmp_path / "w", str(tmp_path / "mirror"), "net")
    assert "cannot write to the weights folder" in one.text


def test_the_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writable_folder(tmp_path / "a" / "b").is_dir()
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "c"))
    assert writable_folder(None) == tmp_path / "c"
    assert (tmp_path / "c").is_dir()
    monkeypatch.delenv("BENCH_WEIGHTS")
    with pytest.raises(InputError, match="give --weights FOLDER or set BENCH_WEIGHTS"):
        writable_folder(None)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write to the weights folder"):
        writable_folder(tmp_path / "file")


# -- add -------------------------------------------------------------------------------------------------


def tensors(path: Path, **arrays: np.ndarray) -> Path:
    save_file(arrays, str(path))
    return path


def test_an_added_file_is_copied_and_pinned(tmp_path: Path) -> None:
    file = tensors(tmp_path / "mine.safetensors", a=np.arange(4, dtype=np.float32))
    (tmp_path / "w").mkdir()
    path = add("own", file, tmp_path / "w")
    assert path == tmp_path / "w" / "own.safetensors"
    assert path.read_bytes() == file.read_bytes()
    assert WeightsFolder(tmp_path / "w").pins() == {"own.safetensors": sha256_of_file(file)}
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["own.safetensors", "pins.json"]


def test_adding_again_pins_the_new_one(tmp_path: Path) -> None:
    first = tensors(tmp_path / "1.safetensors", a=np.zeros(4, np.float32))
    second = tensors(tmp_path / "2.safetensors", a=np.ones(4, np.float32))
    add("own", first, tmp_path)
    path = add("own", second, tmp_path)
    assert path.read_bytes() == second.read_bytes()
    assert add("own", path, tmp_path) == path


def test_a_known_file_must_be_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(CONTENT)
    (tmp_path / "flipped").write_bytes(FLIPPED)
    (tmp_path / "w").mkdir()
    with pytest.raises(
        InputError, match=f"SHA-256 .*, expected {hashlib.sha256(CONTENT).hexdigest()} for net"
    ):
        add("net", tmp_path / "flipped", tmp_path / "w")
    assert list((tmp_path / "w").iterdir()) == []
    assert add("net", tmp_path / "mine", tmp_path / "w").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "w").iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            pickle.dumps({"a": CONTENT}, protocol=2),
            "Python pickle.*weights_only=True.*weights add own own.safetensors",
        ),
        (b"PK\x03\x04" + CONTENT, "zip archive .torch.save.*weights_only=True"),
        (PAGE, "web page.*expected safetensors"),
        (POINTER, "Git LFS pointer.*expected safetensors"),
        (b"", "is empty; expected safetensors"),
        ((2**40).to_bytes(8, "little") + b"{}", "announces a header of 1,099,511,627,776 bytes"),
        (CONTENT, "announces a header"),
    ],
)
def test_what_is_no_safetensors_is_not_added(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(content)
    (tmp_path / "w").mkdir()
    with pytest.raises(InputError, match=what):
        add("own", tmp_path / "mine.safetensors", tmp_path / "w")
    assert list((tmp_path / "w").iterdir()) == []


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    (tmp_path / "mine.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="Python pickle"):
        add("own", tmp_path / "mine.safetensors", tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_truncated_file_is_not_added(tmp_path: Path) -> None:
    file = tensors(tmp_path / "mine.safetensors", a=np.zeros(100, np.float32))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"truncated: expected .* bytes, found"):
        add("own", file, tmp_path)


def test_another_architecture_is_not_added(tmp_path: Path) -> None:
    file = tensors(tmp_path / "mine.safetensors", a=np.zeros(4, np.float32))
    with pytest.raises(InputError, match=r"not the weights of dr_gan .*is missing"):
        add("dr_gan", file, tmp_path)
    with pytest.raises(UsageError, match="unknown weights file 'dr_gann'; did you mean dr_gan"):
        add("dr_gann", file, tmp_path)
    with pytest.raises(InputError, match="no such file"):
        add("dr_gan", tmp_path / "gone", tmp_path)


def test_one_flipped_bit_after_adding_is_found(tmp_path: Path) -> None:
    path = add("own", tensors(tmp_path / "mine.safetensors", a=np.zeros(4, np.float32)), tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(Unavailable, match=r"has SHA-256 .*, expected .*weights add own FILE"):
        WeightsFolder(tmp_path).path(PRETRAINED["own"].pretrained)


# -- list and verify ---------------------------------------------------------------------------------------


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def states(folder: WeightsFolder | None) -> dict[str, str]:
    return {one.name: one.state for one in check_all(folder)}


def test_states_without_a_folder_and_with_one(tmp_path: Path) -> None:
    assert set(states(None).values()) == {"missing"}
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    (tmp_path / "b.mat").write_bytes(b"a" * 98)
    (tmp_path / "own.safetensors").write_bytes(CONTENT)
    expected = {"net": "ready", "other": "wrong", "own": "wrong", "dr_gan": "missing"}
    assert states(WeightsFolder(tmp_path)) == expected
    wrong = next(one for one in check_all(WeightsFolder(tmp_path)) if one.name == "other")
    assert wrong.found == hashlib.sha256(b"a" * 98).hexdigest()
    assert wrong.expected == hashlib.sha256(b"b" * 99).hexdigest()
    assert "(98 bytes, expected 99)" in wrong.detail


def test_list_is_one_table_with_a_line_a_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    lines = cli("list", "--weights", str(tmp_path)).output.splitlines()
    assert lines[0].split() == ["name", "file", "use", "size", "licence", "source", "input", "state"]
    assert len(lines) == 1 + len(PRETRAINED)
    assert lines[1].split()[:5] == ["net", "net.onnx", "test", "10,240", "MIT"]
    assert lines[1].rstrip().endswith("ready")
    assert "missing: weights file b.mat is not in" in lines[2]


def test_verify_fails_for_wrong_files_alone(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    fine = cli("verify", "--weights", str(tmp_path))
    assert fine.exit_code == 0
    assert fine.output.splitlines()[-1] == "1 ok, 3 missing, 0 wrong"
    (tmp_path / "net.onnx").write_bytes(FLIPPED)
    os.utime(tmp_path / "net.onnx", ns=(1, 1))
    wrong = cli("verify", "--weights", str(tmp_path))
    assert wrong.exit_code == 1
    line = next(line for line in wrong.output.splitlines() if line.startswith("wrong"))
    assert hashlib.sha256(FLIPPED).hexdigest() in line
    assert hashlib.sha256(CONTENT).hexdigest() in line


def test_commands_fetch_and_add(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    folder = str(tmp_path / "new")
    result = cli("fetch", "net", "--from", base(server, "good"), "--weights", folder)
    assert result.exit_code == 0
    assert result.output.startswith("fetched  net: 10,240 bytes from http://127.0.0.1")
    assert cli("fetch", "net", "own", "--weights", folder).exit_code == 1
    file = tensors(tmp_path / "mine.safetensors", a=np.zeros(4, np.float32))
    added = cli("add", "own", str(file), "--weights", folder)
    assert added.exit_code == 0
    assert sha256_of_file(file) in added.output
    assert cli("fetch", "net", "own", "--weights", folder).exit_code == 0


def test_the_mirror_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    (tmp_path / "b.mat").write_bytes(b"b" * 99)
    monkeypatch.setenv("BENCH_WEIGHTS_MIRROR", str(tmp_path))
    result = cli("fetch", "--weights", str(tmp_path / "w"))
    assert result.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["b.mat", "net.onnx"]
