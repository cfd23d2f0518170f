"""The stage `match` on made-up embeddings: all pairs and drawn ones, searches, refusals, failed faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.cells import Cell, Environment, Recent
from bench.engines.work import make_job
from bench.faces import Faces
from bench.metrics.identification import search_gallery
from bench.metrics.pair_lists import PairCounts, draw_pairs
from bench.metrics.verification import compare, pairs_between, pairs_listed, pairs_within
from bench.stages import match
from bench.stages.faces import pack
from bench.store import Artefact, Store

PEOPLE, PHOTOS = 40, 5
IDENTITIES = np.random.default_rng(0).permutation(np.repeat(np.arange(PEOPLE), PHOTOS))
ORIGINALS, ONE_SIDE, BOTH_SIDES = match.ORIGINALS, match.ONE_SIDE, match.BOTH_SIDES


def embeddings(noise, seed):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((PEOPLE, 12))
    return (centres[IDENTITIES] + noise * rng.standard_normal((len(IDENTITIES), 12))).astype(np.float32)


PLAIN, CHANGED = embeddings(0.5, 2), embeddings(1.2, 3)


class Bench:
    """Runs match cells on embeddings at hand."""

    def __init__(self, folder: Path, identities=IDENTITIES) -> None:
        self.store = Store(folder)
        self.environment = Environment(folder)
        names = np.array([f"{i}" for i in range(len(identities))])
        images = np.zeros((len(identities), 4, 4, 3), np.uint8)
        self.faces = self.save("faces", pack(Faces(images, identities, names)))

    def save(self, key, artefact):
        key = key.ljust(64, "0")
        self.store.save(key, artefact, {})
        return key

    def match(self, vectors, *, pairs="all", baseline=None, reference=None, device="cpu", seed=3):
        """baseline: what `match` returned for the originals."""
        inputs = {"faces": self.faces, "probe": self.save("probe", Artefact({"vectors": vectors}))}
        if baseline is not None:
            inputs["baseline"] = self.save("baseline", baseline)
        if reference is not None:
            inputs["reference"] = self.save("reference", Artefact({"vectors": reference}))
        cell = Cell("match", {"resamples": 100, "seed": seed, "pairs": pairs}, inputs)
        environment = replace(self.environment, device=device)
        found = match.run(make_job(cell, self.store, environment, Recent(0), lambda *_: None))
        for key in inputs.values():
            if key != self.faces:
                self.store.set_aside(key, "read")
        return found


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_every_figure_is_the_metric_of_the_pairs(bench):
    originals = bench.match(PLAIN)
    found = bench.match(CHANGED, baseline=originals, reference=PLAIN).facts["values"]
    expected = {
        ONE_SIDE: (
            compare(pairs_between(PLAIN, CHANGED, IDENTITIES)),
            search_gallery(pairs_between(PLAIN, CHANGED, IDENTITIES)),
        ),
        BOTH_SIDES: (
            compare(pairs_within(CHANGED, IDENTITIES)),
            search_gallery(pairs_within(CHANGED, IDENTITIES)),
        ),
    }
    threshold = compare(pairs_within(PLAIN, IDENTITIES)).at_fmr(0.01).threshold
    for condition, (comparison, searches) in expected.items():
        assert found[f"{condition} auc reset "] == comparison.auc()
        assert found[f"{condition} eer reset "] == comparison.eer()
        assert found[f"{condition} tmr reset fmr=0.001"] == comparison.at_fmr(0.001).tmr
        assert found[f"{condition} tmr fixed fmr=0.01"] == comparison.tmr(threshold)
        assert found[f"{condition} fmr fixed fmr=0.01"] == comparison.fmr(threshold)
        assert found[f"{condition} identification_rate  rank=1"] == searches.cmc()[0]
        assert found[f"{condition} tpir reset fpir=0.1"] == searches.at_fpir(0.1).tpir


def test_every_figure_comes_with_resamples_about_it(bench):
    originals = bench.match(PLAIN)
    found = bench.match(CHANGED, baseline=originals, reference=PLAIN)
    assert {name for name in found.arrays if name.startswith("samples:")} == {
        f"samples:{name}" for name in found.facts["values"]
    }
    for name, value in found.facts["values"].items():
        samples = found.arrays[f"samples:{name}"]
        assert samples.shape == (100,)
        assert samples.min() <= value <= samples.max()
        assert abs(samples.mean() - value) < 4 * samples.std() / np.sqrt(10) + 1e-12


def test_the_cmc_is_kept_for_plots(bench):
    found = bench.match(PLAIN)
    ranks, rates = found.arrays[f"cmc:{ORIGINALS}"]
    assert ranks.tolist() == list(range(1, PEOPLE + 1))
    assert rates[-1] == 1
    assert rates[0] == found.facts["values"][f"{ORIGINALS} identification_rate  rank=1"]
    assert np.array_equal(found.arrays[f"cmc:{ONE_SIDE}"], found.arrays[f"cmc:{ORIGINALS}"])


def test_drawn_pairs_are_the_same_for_every_method_and_condition(bench):
    rows = draw_pairs(IDENTITIES, PairCounts(50, 1500), 3)
    originals = bench.match(PLAIN, pairs="50/1500")
    found = bench.match(CHANGED, pairs="50/1500", baseline=originals, reference=PLAIN)
    for condition, left, right, facts in (
        (ORIGINALS, PLAIN, PLAIN, originals.facts),
        (ONE_SIDE, PLAIN, CHANGED, found.facts),
        (BOTH_SIDES, CHANGED, CHANGED, found.facts),
    ):
        comparison = compare(pairs_listed(left, right, rows, IDENTITIES))
        assert facts["values"][f"{condition} auc reset "] == comparison.auc()
        assert facts["values"][f"{condition} tmr reset fmr=0.01"] == comparison.at_fmr(0.01).tmr
        counts = facts["counts"][condition]
        assert (counts["mated"], counts["non_mated"]) == (50, 1500)
        assert (counts["mated_wanted"], counts["non_mated_wanted"], counts["same_photo"]) == (50, 1500, 0)
    searches = search_gallery(pairs_within(PLAIN, IDENTITIES))
    assert originals.facts["values"][f"{ORIGINALS} identification_rate  rank=1"] == searches.cmc()[0]


def test_too_few_pairs_refuse_an_operating_point_and_its_fixed_threshold(bench):
    originals = bench.match(PLAIN, pairs="50/1500")
    assert "needs 10,000 non-mated" in originals.facts["refused"][f"{ORIGINALS} tmr reset fmr=0.001"]
    assert set(originals.facts["thresholds"]) == {"fmr=0.1", "fmr=0.01"}
    found = bench.match(CHANGED, pairs="50/1500", baseline=originals, reference=PLAIN).facts
    for name in (f"{ONE_SIDE} tmr fixed fmr=0.001", f"{BOTH_SIDES} fmr fixed fmr=0.001"):
        assert "the originals have too few comparisons" in found["refused"][name]
    # 200 searches are enough for an FPIR of 10 %, and not for 1 %.
    assert "needs 1,000 non-mated searches" in found["refused"][f"{BOTH_SIDES} tpir reset fpir=0.01"]
    assert not set(found["refused"]) & set(found["values"])


def test_same_photos_are_counted(bench):
    originals = bench.match(PLAIN)
    found = bench.match(CHANGED, baseline=originals, reference=PLAIN)
    assert found.facts["counts"][ONE_SIDE]["same_photo"] == len(IDENTITIES)
    assert found.facts["counts"][BOTH_SIDES]["same_photo"] == 0


def test_embeddings_of_another_space_are_only_compared_with_each_other(bench):
    originals = bench.match(PLAIN)
    found = bench.match(CHANGED[:, :7], baseline=originals)
    assert {name.split(" ")[0] for name in found.facts["values"]} == {BOTH_SIDES}


def test_failed_faces_are_counted_and_losing_all_of_them_is_a_reason(bench):
    originals = bench.match(PLAIN)
    broken = CHANGED.copy()
    broken[:20] = np.nan
    counts = bench.match(broken, baseline=originals, reference=PLAIN).facts["counts"][ONE_SIDE]
    assert counts["searches_failed"] == 20
    assert counts["searches"] == len(IDENTITIES) - 20
    assert counts["mated"] + counts["mated_failed"] == PEOPLE * PHOTOS * (PHOTOS - 1)
    lost = bench.match(np.full_like(CHANGED, np.nan), baseline=originals, reference=PLAIN)
    assert lost.facts["values"] == {}
    reasons = lost.facts["refused"]
    assert "all 400 mated comparisons were lost" in reasons[f"{BOTH_SIDES} auc reset "]
    assert "no probe has another photo" in reasons[f"{BOTH_SIDES} identification_rate  rank=1"]


def test_nobody_twice_refuses_every_figure_for_one_reason(tmp_path):
    found = Bench(tmp_path, np.arange(len(IDENTITIES))).match(PLAIN).facts
    assert found["values"] == {}
    assert {name.split(" ")[1] for name in found["refused"]} == {
        "auc",
        "eer",
        "tmr",
        "identification_rate",
        "tpir",
    }
    assert all("show one person" in reason for reason in found["refused"].values())


def test_another_device_gives_the_same_figures(bench):
    """`cpu:0` is torch on the processor: the way of a GPU."""
    # Entries of +-1 in 16 dimensions: cosines are exact, so no product can move a score.
    signs = np.sign(np.random.default_rng(4).standard_normal((2, len(IDENTITIES), 16))).astype(np.float32)
    for pairs in ("all", "50/1500"):
        kernel, torch = (bench.match(signs[0], pairs=pairs, device=d) for d in ("cpu", "cpu:0"))
        assert kernel.facts == torch.facts
        for name, array in kernel.arrays.items():
            np.testing.assert_array_equal(array, torch.arrays[name])
