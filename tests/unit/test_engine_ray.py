"""What the Ray engine decides by itself: where cells may run, who fits, whom it can reach. No cluster."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import bench.stages
from bench.cells import STAGES, Cell, Environment
from bench.config import RunConfig
from bench.engines import node, ray
from bench.errors import Unavailable, UsageError
from bench.reproduce import command_of

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


def run(tmp_path, *, address="", device="cpu"):
    environment = Environment(tmp_path / "store", device=device)
    return ray.execute([], environment, ray.Cluster(address), print, print, {})


def test_without_ray_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match=re.escape("pip install 'veilbench[ray]'")):
        run(tmp_path)


@needs_ray
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no Ray cluster can be reached at 127.0.0.1:1"),
        ("ray://127.0.0.1:1", "no Ray cluster can be reached at ray://127.0.0.1:1"),
        ("127.0.0.1:99999", "no Ray cluster can be reached"),
        ("somewhere", "write HOST:PORT, ray://HOST:PORT or auto"),
        ("127.0.0.1:port", "write HOST:PORT, ray://HOST:PORT or auto"),
    ],
)
def test_an_address_where_nobody_listens_is_said_at_once(tmp_path, address, said):
    with pytest.raises(UsageError, match=said):
        run(tmp_path, address=address)
    assert not (tmp_path / "store").exists()


def test_which_gpu_is_for_ray_to_say(tmp_path):
    with pytest.raises(UsageError, match=r"--device cuda:1: .* write cpu, or cuda"):
        run(tmp_path, device="cuda:1")


def test_stages_that_are_given_no_gpu_do_not_ask_for_the_device():
    assert set(STAGES) > ray.WITHOUT_DEVICE
    for stage in ray.WITHOUT_DEVICE:
        source = Path(bench.stages.__path__[0], f"{stage}.py").read_text()
        assert not re.search(r"\bdevice\b", source), stage
        asked = set(re.findall(r"\bcontext\b(?:\.(\w+))?", source))
        assert asked <= {"report", "weights"}, stage


@needs_ray
@pytest.mark.parametrize(
    ("device", "share", "resources", "places"),
    [
        ("cpu", 1.0, {"CPU": 3.0, "GPU": 2.0}, (0, 0, 0)),
        ("cuda", 1.0, {"CPU": 3.0, "GPU": 2.0}, (1, 1, 0)),
        ("cuda", 0.5, {"CPU": 8.0, "GPU": 1.0}, (1, 1, 0, 0, 0, 0, 0, 0)),
        ("cuda", 0.1, {"CPU": 2.0, "GPU": 1.0}, (1, 1)),
        ("cuda", 1.0, {"CPU": 2.0}, (0, 0)),
    ],
)
def test_a_machine_has_places_for_its_cpus_of_which_some_have_a_gpu(
    tmp_path, device, share, resources, places
):
    actors = ray._Actors(Environment(tmp_path, device=device), ray.Cluster(gpu_share=share), print, {})
    actors._make_room("node", resources)
    assert actors.rooms == {"node": places}


@needs_ray
def test_cells_that_compute_on_the_gpu_wait_for_one_and_others_leave_it_free(tmp_path):
    actors = ray._Actors(Environment(tmp_path, device="cuda"), ray.Cluster(), print, {})
    actors._make_room("node", {"CPU": 2.0, "GPU": 1.0})
    for number, kind in enumerate((ray.ON_GPU, ray.ANYWHERE)):
        actors.places[number] = ray._Place("node", kind, actor=None, starting=None)
    fit, score = Cell("fit", {}), Cell("score", {})
    assert (actors.free(fit), actors.free(score)) == (0, 1)
    actors.places[1].busy = "something"
    assert actors.free(score) == 0
    actors.places[0].busy = "something"
    assert actors.free(fit) is actors.free(score) is None


@needs_ray
def test_cells_run_side_by_side_on_a_machine_as_its_memory_allows(tmp_path):
    actors = ray._Actors(Environment(tmp_path), ray.Cluster(), print, {})
    actors._make_room("node", {"CPU": 3.0, "memory": 10e9})
    actors._make_room("other", {"CPU": 1.0, "memory": 1e9})
    for number, machine in enumerate(("node", "node", "node", "other")):
        actors.places[number] = ray._Place(machine, ray.ANYWHERE, actor=None, starting=None)
    large, small = Cell("fit", {}, memory=6e9), Cell("score", {}, memory=3e9)
    actors.places[0].busy, actors.places[0].memory = "something", large.memory
    assert actors.free(small) == 1
    assert actors.free(large) == 3  # too large for it, but nothing else is there: it may try
    actors.places[3].busy = "something"
    assert actors.free(large) is None
    assert actors.free(small) == 1


def look(tmp_path, wanted=None, **changed):
    token = tmp_path / "token"
    token.write_text("seen")
    given = {"folders": [str(tmp_path)], "writable": str(tmp_path), "token": str(token), "content": "seen"}
    return node.misfits(wanted or node.installation(), **{**given, **changed})


def test_a_machine_like_this_one_fits(tmp_path):
    assert look(tmp_path) == []


def test_what_does_not_fit_is_said_of_a_machine(tmp_path):
    nowhere = str(tmp_path / "nowhere")
    other = {**node.installation(), "torch": "1.0", "the source of veilbench": "0" * 12}
    (torch, source) = look(tmp_path, other)
    assert re.fullmatch(r"torch is \S+ there and 1.0 here", torch)
    assert re.fullmatch(r"the source of veilbench is \w{12} there and 000000000000 here", source)
    assert look(tmp_path, folders=[nowhere]) == [f"it has no folder {nowhere}"]
    for blind in ({"token": nowhere}, {"content": "of another store"}):
        assert look(tmp_path, **blind) == [f"it does not see the store {tmp_path}"]


def test_any_file_of_the_program_counts_as_its_source(tmp_path, monkeypatch):
    before = node.installation()["the source of veilbench"]
    real = node._files
    extra = tmp_path / "more.py"
    extra.write_text("x = 1\n")
    monkeypatch.setattr(node, "_files", lambda: [*real(), (extra, "methods/more.py")])
    with_it = node.installation()["the source of veilbench"]
    extra.write_text("x = 2\n")
    assert len({before, with_it, node.installation()["the source of veilbench"]}) == 3


def test_where_cells_are_worked_on_is_no_part_of_the_command_that_repeats_a_run():
    usual = RunConfig()
    there = RunConfig(engine="ray", address="10.0.0.1:6379", gpu_share=0.25)
    assert command_of(there, {}, weights=False) == command_of(usual, {}, weights=False)
