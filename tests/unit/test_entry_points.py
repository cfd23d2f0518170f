"""Components of installed packages: found by their entry points, without importing anything."""

import subprocess
import sys

import pytest

from bench import discover
from bench.contract import check_component
from bench.errors import Unavailable, UsageError

MODULE = """
raise_if_imported = 1 / 0 if {explode} else None
from bench.api import Method

class Helper(Method):
    title = "Not the one that is meant"

class Good(Method):
    title = "Good"
    obfuscates = ("gender",)

    def _protect(self, images, request):
        return 1 - images
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages on the path; `install(points)` registers methods in it."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(points, name="stranger", explode=False):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"1 / {0 if explode else 1}\n")
        (package / "parts.py").write_text(MODULE.format(explode=explode))
        meta = tmp_path / f"{name}-2.5.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (meta / "entry_points.txt").write_text("[bench.methods]\n" + "\n".join(points) + "\n")
        discover.components.cache_clear()

    yield install
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.partition(".")[0] == "stranger"]:
        del sys.modules[name]


def test_the_class_that_the_entry_point_names_is_the_component(site):
    site(["inverted = stranger.parts:Good"])
    listed = discover.find("method", "inverted")
    assert (listed.title, listed.class_name, listed.origin) == ("Good", "Good", "stranger 2.5")
    assert "stranger" not in sys.modules
    assert discover.load_class("method", "inverted").id == "inverted"
    assert len(discover.source_hash("method", "inverted")) == 64


def test_a_name_that_is_there_already_is_an_error_that_names_both(site):
    site(["blur = stranger.parts:Good"])
    both = r"two methods are called blur: blur\.py and parts\.py of package stranger 2\.5; rename one"
    with pytest.raises(UsageError, match=both):
        discover.components("method")


def test_two_packages_with_one_name_are_an_error_that_names_both(site):
    site(["inverted = stranger.parts:Good"])
    site(["inverted = other.parts:Good"], name="other")
    with pytest.raises(
        UsageError, match=r"of package (stranger|other) 2\.5 and .* of package (stranger|other)"
    ):
        discover.components("method")


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        ("gone = stranger.nowhere:Good", "names a module stranger.nowhere that is not there"),
        ("gone = nobody.parts:Good", "names a module nobody.parts that is not there"),
        ("gone = stranger.parts:Bad", "no class Bad with a `title`"),
        ("Gone:1 = stranger.parts:Good", "must be lower case letters, digits and _"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_listed_with_its_problem(site, point, problem):
    site([point])
    name = point.partition(" ")[0]
    assert problem in discover.components("method")[name].problem
    assert "original" in discover.components("method")
    with pytest.raises(Unavailable, match="of package stranger"):
        discover.load_class("method", name)


def test_a_package_that_cannot_be_imported_is_listed_and_says_so_when_used(site):
    site(["inverted = stranger.parts:Good"], explode=True)
    assert not discover.find("method", "inverted").problem
    with pytest.raises(Unavailable, match=r"ZeroDivisionError.*mend parts\.py of package stranger 2\.5"):
        check_component("inverted", "method")


def test_a_component_of_another_kind_is_named_as_such(site, tmp_path):
    site(["original_again = stranger.parts:Good"])
    meta = tmp_path / "stranger-2.5.dist-info/entry_points.txt"
    meta.write_text("[bench.attackers]\nwrong = stranger.parts:Good\n")
    discover.components.cache_clear()
    with pytest.raises(
        Unavailable, match=r"Good in parts\.py of package stranger 2\.5 is no attacker; derive"
    ):
        discover.load_class("attacker", "wrong")


def test_listing_imports_no_package(site, tmp_path):
    site(["inverted = stranger.parts:Good"], explode=True)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from bench import discover; print(discover.find('method', 'inverted').title, *sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "Good"
    assert not {"stranger", "stranger.parts", "torch", "numpy"} & set(said)
