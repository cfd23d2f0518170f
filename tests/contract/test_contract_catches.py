"""The contract suite finds the mistakes authors make: a check that cannot fail would be worthless."""

import re
import sys

import pytest

from bench import contract, discover
from bench.checks.common import two_pools
from bench.errors import Unavailable
from bench.faces import GENDER

HEAD = """
import torch
from bench.api import Method, Variant

class Idea(Method):
    title = "Idea"
    obfuscates = ("gender",)
"""

MISTAKES = {
    "wrong shape": (
        "    def _protect(self, images, request):\n        return images[:, :1]\n",
        "must return a tensor",
    ),
    "out of range": (
        "    def _protect(self, images, request):\n        return images + 1\n",
        r"stay in \[0, 1\]",
    ),
    "wrong dtype": ("    def _protect(self, images, request):\n        return images.double()\n", "float32"),
    "all failed": (
        "    def _protect(self, images, request):\n        return images * float('nan')\n",
        "every face failed",
    ),
    "unseeded": (
        "    def _protect(self, images, request):\n        return torch.rand_like(images)\n",
        "when repeated with the same seed|batch size",
    ),
    "batch statistics": (
        "    def _protect(self, images, request):\n"
        "        return images.mean(0, keepdim=True).expand_as(images)\n",
        "batch size",
    ),
    "no variant": (
        "    def _variants(self):\n        return []\n"
        "    def _protect(self, images, request):\n        return images\n",
        "no variant",
    ),
    "twins": (
        "    def _variants(self):\n        return [Variant('a'), Variant('a')]\n"
        "    def _protect(self, images, request):\n        return images\n",
        "two variants of one name",
    ),
    "forgetful": (
        "    trained = True\n    def _fit(self, faces, validation, auxiliaries, ctx):\n        return {}\n"
        "    def _protect(self, images, request):\n        return images\n",
        "`state` is empty",
    ),
    "changes its input": (
        "    def _protect(self, images, request):\n        return images.mul_(0.5)\n",
        "changes the images it was given; start from `images.clone",
    ),
    "looks at its neighbours": (
        "    def _protect(self, images, request):\n"
        "        return torch.cat([images[:5] * 0, images[5:]]) if len(images) == 48 else images * 0\n",
        "batch size",
    ),
    "depends on the order": (
        "    def _protect(self, images, request):\n"
        "        return images * float(list(request.keys) == sorted(request.keys))\n",
        "order of the batch",
    ),
    "label not asked for": (
        "    def _protect(self, images, request):\n"
        "        return images * request.labels['gender'].view(-1, 1, 1, 1)\n",
        r"reads the label gender without asking for it: add needs_labels = \('gender',\)",
    ),
    "no comma": (
        "    obfuscates = ('gender')\n    def _protect(self, images, request):\n        return images\n",
        r"write obfuscates = \(\"gender\",\) with the comma",
    ),
    "misspelt": (
        "    obfuscates = ('gendre',)\n    def _protect(self, images, request):\n        return images\n",
        "no dataset labels an attribute gendre; did you mean gender",
    ),
    "hides nothing": (
        "    obfuscates = ()\n    def _protect(self, images, request):\n        return images\n",
        "hides nothing, so that no table would list it",
    ),
    "crash": (
        "    def _protect(self, images, request):\n        return images / None\n",
        r"TypeError: .* \(idea\.py, line \d+\)",
    ),
}


@pytest.fixture
def author(tmp_path, monkeypatch):
    package = tmp_path / "authors_methods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(discover.PACKAGES, "method", "authors_methods")
    discover.components.cache_clear()
    yield package
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.startswith("authors_methods")]:
        del sys.modules[name]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_named(author, mistake):
    body, said = MISTAKES[mistake]
    (author / "idea.py").write_text(HEAD + body)
    findings = contract.check_component("idea", "method")
    failed = [f.why for f in findings if not f.ok]
    assert failed
    assert re.search(said, failed[0]), failed


def test_a_file_that_cannot_be_read_or_is_of_another_kind_says_where_to_mend_it(author):
    (author / "idea.py").write_text(HEAD + "    def _protect(self, images, request)\n        return images\n")
    with pytest.raises(Unavailable, match=r"SyntaxError: expected ':' \(idea\.py, line 8\); mend idea\.py"):
        contract.check_component("idea", "method")
    discover.components.cache_clear()
    (author / "idea.py").write_text("class Idea:\n    pass\n")
    with pytest.raises(Unavailable, match="no class in it with a `title`, as a text in quotes; mend"):
        contract.check_component("idea", "method")
    discover.components.cache_clear()
    (author / "idea.py").write_text("class Idea:\n    title = 'Idea'\n")
    with pytest.raises(
        Unavailable, match=r"Idea in idea\.py is no method; derive it from bench\.api\.Method"
    ):
        contract.check_component("idea", "method")


def test_a_sound_method_passes(author):
    (author / "idea.py").write_text(
        HEAD + "    def _protect(self, images, request):\n        return 1 - images\n"
    )
    findings = contract.check_component("idea", "method")
    assert [f.ok for f in findings] == [True] * len(findings)


def test_tiny_faces_are_labelled_and_of_both_genders():
    learn, others = two_pools()
    assert (len(learn), len(others)) == (48, 24)
    for faces in (learn, others):
        assert set(faces.labels["gender"]) == {0.0, 1.0}
    assert GENDER in faces.attributes
