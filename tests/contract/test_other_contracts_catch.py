"""What authors of components other than image methods get wrong is found and named."""

import re
import sys

import pytest

from bench import discover
from bench.checks.common import tiny_faces
from bench.contract import check_component
from bench.errors import UsageError

HEADS = {
    "method": """
import torch
from bench.api import EmbeddingMethod

class Idea(EmbeddingMethod):
    title = "Idea"
    obfuscates = ("gender",)
    def _protect(self, vectors, request):
""",
    "attacker": """
import numpy as np
from bench.api import Attacker

class Idea(Attacker):
    title = "Idea"
    def _fit(self, inputs, labels, attributes, ctx):
        self.means = {a.name: np.stack([inputs[labels[a.name] == k].mean(0) for k in range(len(a.classes))])
                      for a in attributes}
        return {}
    def state(self):
        return dict(self.means)
    def restore(self, state):
        self.means = dict(state)
    def _scores(self, inputs, ctx):
""",
    "matcher": """
import numpy as np
from bench.api import Matcher

class Idea(Matcher):
    title = "Idea"
    def _embed(self, faces, ctx):
        pixels = faces.images[:, ::8, ::8].reshape(len(faces), -1).astype(np.float32)
""",
    "metric": """
import numpy as np
from bench.api import Metric

class Idea(Metric):
    title = "Idea"
    what = "Change."
    higher_is = "worse"
    def _measure(self, originals, protected, ctx):
        change = np.abs(originals.astype(float) - protected).mean(axis=(1, 2, 3))
""",
    "dataset": """
import numpy as np
from bench.api import Attribute, Dataset, Faces

class Idea(Dataset):
    title = "Idea"
    default_size = 8
    needs_data = False
    def _attributes(self):
        return (Attribute("gender", ("female", "male")),)
    def _fingerprint(self, pool):
        return pool
    def _load(self, pool):
        start = 1000 * ("develop", "validation", "attack", "test").index(pool)
        people = np.repeat(np.arange(4), 2)
        images = np.full((8, 8, 8, 3), 9, np.uint8)
        labels = {"gender": (people % 2).astype(np.float32)}
        faces = lambda **parts: Faces(**{"images": images, "identities": people + start,
            "keys": np.array([f"{start}-{i}" for i in range(8)]), "labels": labels,
            "attributes": self._attributes(), **parts})
""",
}

SOUND = {
    "method": "        return vectors * 2\n",
    "attacker": "        return {name: inputs @ m.T for name, m in self.means.items()}\n",
    "matcher": "        return pixels\n",
    "metric": "        return change\n",
    "dataset": "        return faces()\n",
}

MISTAKES = {
    "a template leans on its company": (
        "method",
        "        return vectors - vectors.mean(0)\n",
        "its company",
    ),
    "a template is drawn anew": (
        "method",
        "        return torch.randn_like(vectors)\n",
        "same seed; draw with",
    ),
    "scores go the wrong way round": (
        "attacker",
        "        return {name: -inputs @ m.T for name, m in self.means.items()}\n",
        r"names the wrong gender of \d+% .* in the order of `attribute.classes`",
    ),
    "scores lean on the others": (
        "attacker",
        "        return {n: inputs @ m.T - (inputs @ m.T).mean(0) for n, m in self.means.items()}\n",
        "depend on the company",
    ),
    "scores write into their input": (
        "attacker",
        "        inputs *= 2\n        return {name: inputs @ m.T for name, m in self.means.items()}\n",
        "`_scores` changes the array it was given",
    ),
    "embeddings lean on the others": (
        "matcher",
        "        return pixels - pixels.mean(0)\n",
        "batch size or order",
    ),
    "embeddings write into the images": (
        "matcher",
        "        faces.images[:] = 0\n        return pixels\n",
        "`_embed` changes the array it was given",
    ),
    "one value for all": (
        "metric",
        "        return change.mean()\n",
        r"must return an array of floats \(48,\)",
    ),
    "whole numbers": ("metric", "        return change.astype(int)\n", "got int64"),
    "infinite": ("metric", "        return change * np.inf\n", "infinite for an image that differs"),
    "a metric leans on the others": (
        "metric",
        "        return change - change.mean()\n",
        "batch size or order",
    ),
    "a metric is drawn anew": (
        "metric",
        "        return change + np.random.default_rng().random(len(change))\n",
        "differs when repeated",
    ),
    "a metric points the wrong way": (
        "metric",
        "        return -change\n",
        "turn it round, or write 'neither'",
    ),
    "a person in two pools": ("dataset", "        return faces(identities=people)\n", "share person 0"),
    "a key in two pools": (
        "dataset",
        "        return faces(keys=np.arange(8).astype(str))\n",
        "share sample key 0",
    ),
    "a label that is no class": (
        "dataset",
        "        labels['gender'][0] = 2\n        return faces()\n",
        "must be indices of its 2 classes",
    ),
    "a pool that is never the same": (
        "dataset",
        "        images[:] = np.random.default_rng().integers(0, 255)\n"
        "        images[0, 0, 0] = np.random.default_rng().integers(0, 255, 3)\n        return faces()\n",
        "is loaded again",
    ),
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    tiny_faces()  # kept at hand: where they come from may be hidden from here on
    monkeypatch.syspath_prepend(tmp_path)

    def written(kind, body):
        package = tmp_path / f"authors_{kind}s"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "idea.py").write_text(HEADS[kind] + body)
        monkeypatch.setitem(discover.PACKAGES, kind, package.name)
        discover.components.cache_clear()

    yield written
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.startswith("authors_")]:
        del sys.modules[name]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_named(write, mistake):
    kind, body, said = MISTAKES[mistake]
    write(kind, body)
    failed = [f.why for f in check_component("idea", kind) if not f.ok]
    assert failed
    assert re.search(said, failed[0]), failed


@pytest.mark.parametrize("kind", SOUND)
def test_what_is_sound_passes(write, kind):
    write(kind, SOUND[kind])
    findings = check_component("idea", kind)
    assert [f.why for f in findings if not f.ok] == []


def test_a_metric_cannot_be_called_as_a_column(write, tmp_path):
    write("metric", SOUND["metric"])
    (tmp_path / "authors_metrics/idea.py").rename(tmp_path / "authors_metrics/psnr.py")
    discover.components.cache_clear()
    (finding, *_) = check_component("psnr", "metric")
    assert "a metric cannot be called psnr" in finding.why


def test_data_is_for_datasets(write, tmp_path):
    write("matcher", SOUND["matcher"])
    with pytest.raises(UsageError, match="--data is for datasets; idea is a matcher"):
        check_component("idea", "matcher", [tmp_path])
