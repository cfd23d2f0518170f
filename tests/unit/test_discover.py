import subprocess
import sys

import pytest

from bench import discover, source_text
from bench.errors import Unavailable, UsageError
from bench.scaffold import write_component

KINDS = tuple(discover.PACKAGES)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A package `plugins` standing in for `methods`, empty at first."""
    package = tmp_path / "plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(discover.PACKAGES, "method", "plugins")
    _forget()
    yield package
    _forget()
    for name in [m for m in sys.modules if m.partition(".")[0] == "plugins"]:
        del sys.modules[name]


def _forget():
    for cached in (
        discover.components,
        discover.source_hash,
        discover.code_hash,
        discover._is_module,
        discover._file_of,
        source_text.code_of,
    ):
        cached.cache_clear()


GOOD = """
from bench.api import Method

class Good(Method):
    title = "Good"
    obfuscates = ("gender",)

    def _protect(self, images, request):
        return images
"""


def test_a_file_is_a_component(plugins):
    (plugins / "good.py").write_text(GOOD)
    listed = discover.find("method", "good")
    assert (listed.title, listed.metadata["obfuscates"]) == ("Good", ("gender",))
    assert discover.load_class("method", "good").id == "good"


def test_a_broken_file_is_listed_with_its_reason_and_breaks_nothing(plugins):
    (plugins / "good.py").write_text(GOOD)
    (plugins / "broken.py").write_text("class Broken(:\n")
    (plugins / "needy.py").write_text("import no_such_library\n" + GOOD)
    found = discover.components("method")
    assert "SyntaxError" in found["broken"].problem
    assert discover.load_class("method", "good").title == "Good"
    with pytest.raises(Unavailable, match="no_such_library"):
        discover.load_class("method", "needy")
    with pytest.raises(Unavailable, match=r"mend broken\.py"):
        discover.load_class("method", "broken")


def test_an_unknown_name_is_answered_with_the_nearest(plugins):
    (plugins / "good.py").write_text(GOOD)
    with pytest.raises(UsageError, match=r"unknown method .god'; did you mean good\?"):
        discover.find("method", "god")


def test_comments_and_docstrings_do_not_change_a_source_hash_and_code_does(plugins):
    path = plugins / "good.py"
    path.write_text(GOOD)
    before = discover.source_hash("method", "good")
    _forget()
    path.write_text('"""New words."""\n# a comment\n' + GOOD)
    assert discover.source_hash("method", "good") == before
    _forget()
    path.write_text(GOOD.replace("return images", "return 1 - images"))
    assert discover.source_hash("method", "good") != before


def test_a_source_hash_notices_a_change_in_what_the_component_imports(plugins):
    (plugins / "_helper.py").write_text("FACTOR = 1\n")
    (plugins / "good.py").write_text("from plugins._helper import FACTOR\n" + GOOD)
    before = discover.source_hash("method", "good")
    _forget()
    (plugins / "_helper.py").write_text("FACTOR = 2\n")
    assert discover.source_hash("method", "good") != before


def test_listing_imports_neither_torch_nor_sklearn():
    code = (
        "import sys; from bench import discover;"
        f"[discover.components(k) for k in {KINDS}];"
        "sys.exit(bool({'torch', 'sklearn', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_component_of_the_project_can_be_read():
    for kind in KINDS:
        found = discover.components(kind)
        assert found or kind == "metric"  # the built-in ones are no plug-ins
        assert not [c.problem for c in found.values() if c.problem]


def test_a_new_component_is_written_once_and_with_a_proper_name(plugins):
    path = write_component("method", "my_idea")
    _forget()
    assert path == plugins / "my_idea.py"
    assert discover.load_class("method", "my_idea").title == "My idea"
    assert len(path.read_text().splitlines()) <= 30
    with pytest.raises(UsageError, match="already"):
        write_component("method", "my_idea")
    for bad in ("My-Idea", "class", "2fast", "../up"):
        with pytest.raises(UsageError, match="cannot be a file's name"):
            write_component("method", bad)
