"""What `new` writes is a component of its kind, named as asked, that keeps the contract as it is."""

import sys

import numpy as np
import pytest
from PIL import Image

from bench import discover
from bench.checks.common import tiny_faces
from bench.cli import NewKind
from bench.contract import check_component
from bench.errors import UsageError
from bench.scaffold import next_step, write_component

WRITTEN = [(kind, False) for kind in discover.PACKAGES] + [("method", True)]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """An empty package for each kind."""
    tiny_faces()  # kept at hand: where they come from is hidden from here on
    monkeypatch.syspath_prepend(tmp_path)
    for kind in discover.PACKAGES:
        package = tmp_path / f"scaffolded_{kind}s"
        package.mkdir()
        (package / "__init__.py").write_text("")
        monkeypatch.setitem(discover.PACKAGES, kind, package.name)
    discover.components.cache_clear()
    yield tmp_path
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.startswith("scaffolded_")]:
        del sys.modules[name]


def photos(folder):
    """Three random photos of each of twelve people, as the template of a dataset names them."""
    rng = np.random.default_rng(0)
    for person in range(12):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(3):
            image = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(image).save(folder / f"p{person}/{'fm'[person % 2]}{number}.png")
    return folder


@pytest.mark.parametrize(("kind", "template"), WRITTEN)
def test_what_is_written_keeps_the_contract_as_it_is(packages, kind, template):
    path = write_component(kind, "my_own_idea", template=template)
    discover.components.cache_clear()
    assert path.parent == packages / f"scaffolded_{kind}s"
    assert discover.find(kind, "my_own_idea").title == "My own idea"
    assert discover.load_class(kind, "my_own_idea").__name__ == "MyOwnIdea"
    assert "My idea" not in path.read_text("utf-8")
    data = [photos(packages / "my_own_idea")] if kind == "dataset" else []
    findings = check_component("my_own_idea", kind, data)
    assert len(findings) == {"dataset": 4, "metric": 3}.get(kind, 2 + template if kind == "method" else 1)
    assert not [f for f in findings if not f.ok]


def test_every_kind_can_be_written():
    assert {kind.value for kind in NewKind} == set(discover.PACKAGES)


def test_a_name_that_is_taken_or_cannot_be_one_is_refused(packages):
    write_component("method", "idea")
    discover.components.cache_clear()
    with pytest.raises(UsageError, match=r"a method called idea already: idea\.py"):
        write_component("method", "idea")
    for name in ("Idea", "1dea", "class", "../idea", "idée", ""):
        with pytest.raises(UsageError, match="cannot be a file's name"):
            write_component("attacker", name)
    for name in ("psnr", "leak", "rank", "n_failed"):
        with pytest.raises(UsageError, match=f"a metric cannot be called {name}"):
            write_component("metric", name)
    with pytest.raises(UsageError, match="--level template is of methods"):
        write_component("matcher", "idea", template=True)


def test_the_next_step_is_named():
    assert next_step("method", "idea") == "python -m bench check idea"
    assert next_step("dataset", "idea").endswith("check idea --data FOLDER")
