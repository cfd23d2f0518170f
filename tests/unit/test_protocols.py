"""Protocols: settings that a run accepts, and the papers' tables and figures from rows by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from paper_rows import MATCHERS, attacked, curve, matched, no_curves, quality

from bench import discover
from bench.config import RunConfig
from bench.errors import UsageError
from bench.protocols import PROTOCOLS, protocol_settings, write_protocol
from bench.protocols.flowsan import STAGES, subject
from bench.protocols.li_mm21 import outputs
from bench.protocols.privacynet import OUTPUTS, short
from bench.results import Row, to_frame

NAMES = sorted(PROTOCOLS)


def write(name: str, rows: list[Row], folder: Path, curves: pd.DataFrame | None = None) -> dict[str, Any]:
    """Every CSV file of a protocol, by its stem."""
    paths = write_protocol(name, to_frame(rows), no_curves() if curves is None else curves, folder)
    return {p.stem: pd.read_csv(p) for p in paths if p.suffix == ".csv"}


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_a_configuration_with_components_that_exist(name: str) -> None:
    config = RunConfig.model_validate(protocol_settings(name))
    assert config.label_source == ("truth",)
    assert config.threats == ()  # the papers' attackers never adapt
    for kind in ("attacker", "matcher"):
        chosen = getattr(config, f"{kind}s")
        assert set(chosen) - {"default"} <= set(discover.components(kind))
    assert {m.partition(":")[0] for m in config.methods} <= set(discover.components("method"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_named_variant_exists(name: str) -> None:
    """Slow: imports the methods."""
    from bench.faces import AGE_GROUP, GENDER, YOUNG, Attribute, yes_no

    parts = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    attributes = [GENDER, AGE_GROUP, YOUNG, Attribute("race", ("African descent", "Caucasian"))]
    attributes += [yes_no(n) for n in ("attractive", "heavy_makeup", *parts)]
    for entry in protocol_settings(name)["methods"]:
        method, _, variant = entry.partition(":")
        known = [v.name for v in discover.load_class("method", method)(tuple(attributes)).variants()]
        assert not variant or variant in known


def test_an_unknown_protocol_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="gender-an"):
        protocol_settings("genderan")


def test_settings_are_read_without_heavy_imports() -> None:
    code = (
        "import sys; from bench.protocols import PROTOCOLS, protocol_settings\n"
        "for name in PROTOCOLS: protocol_settings(name)\n"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'matplotlib', 'seaborn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_changed_settings_do_not_change_the_protocol() -> None:
    protocol_settings("san")["methods"] = ()
    assert protocol_settings("san")["methods"]


# -- what is missing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_without_a_figure_every_item_is_listed_with_its_reason(name: str, tmp_path: Path) -> None:
    found = write(name, attacked("blur", 0.5), tmp_path)
    assert set(found) == {"index", "beside"}
    items = found["index"][found["index"]["item"] != "note"]
    assert (items["status"] == "absent").all()
    assert items["reason"].notna().all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["beside.csv", "index.csv"]


# -- Gender-AN ---------------------------------------------------------------------------------------


def test_gender_an_table_3_has_the_papers_columns_and_its_equation(tmp_path: Path) -> None:
    rows = attacked("original", 0.9) + attacked("gender_an:GAttrAM", 0.5)
    rows += attacked("gender_an:GAttrAM", 0.95, "reduction") + attacked("privacynet:gender", 0.2)
    table = write("gender-an", rows, tmp_path)["table_3"].set_index(["model", "classifier"])
    assert list(table.index) == [(m, c) for m in ("PrivacyNet", "Gender-AN") for c in ("SVM", "KNN")]
    line = table.loc[("Gender-AN", "SVM")]
    assert (line["r_or"], line["r_adv"]) == (0.9, 0.5)
    assert line["reduction"] == pytest.approx((0.9 - 0.5) / (0.9 - 0.5))
    assert line["reduction_balanced"] == 0.95
    assert (line["r_or_reported"], line["r_adv_reported"], line["reduction_reported"]) == (
        0.986,
        0.508,
        0.984,
    )
    assert table.loc[("PrivacyNet", "SVM"), "reduction"] == pytest.approx(0.7 / 0.4)


def test_a_classifier_at_chance_has_no_reduction(tmp_path: Path) -> None:
    rows = attacked("original", 0.5) + attacked("gender_an:GAttrAM", 0.4)
    assert write("gender-an", rows, tmp_path)["table_3"]["reduction"].isna().all()


def test_gender_an_tables_and_figures(tmp_path: Path) -> None:
    rows = attacked("original", 0.9) + attacked("original", 0.8, attribute="young")
    for combination in ("G", "GAttrAM"):
        rows += attacked(f"gender_an:{combination}", 0.5)
    for attribute in ("gender", "young"):
        rows += attacked("gender_an:GAttrAM-age", 0.6, attribute=attribute)
    for attribute, metric in (("young", "cac"), ("heavy_makeup", "cac"), ("heavy_makeup", "attribute_mse")):
        rows += attacked("gender_an:GAttrAM", 0.1, metric, attribute=attribute)
    rows += [quality("gender_an:GAttrAM", 0.4), quality("original", 4.0, "niqe", "niqe:size=224,bicubic")]
    both = "protected-protected"
    curves = pd.concat(
        [
            curve("original", (0.5, 0.6, 0.7, 1.0), condition="original-original"),
            curve("gender_an:GAttrAM", (0.4, 0.5, 0.6, 1.0), condition=both),
            curve("gender_an:GAttrAM", (0.0, 0.0, 0.0, 1.0)),
        ],
        ignore_index=True,
    )
    found = write("gender-an", rows, tmp_path, curves)
    assert found["table_4"].set_index("model").loc["Gender-AN", "lpips"] == 0.4
    assert found["table_5"].groupby("attribute")["classifier"].agg(list).to_dict() == {
        "gender": ["SVM", "KNN"],
        "young": ["SVM", "KNN"],
    }
    assert set(found["figure_2"]["panel"]) == {"Heavy_Makeup", "Age"}
    assert set(found["figure_3"]["panel"]) == {"Heavy_Makeup"}
    assert "figure_4" not in found
    assert found["figure_7"].groupby("series")["value"].agg(list).to_dict() == {
        "Original": [0.9, 0.9],
        "Gender-AN": [0.5, 0.5],
    }
    protected = found["figure_5"][found["figure_5"]["curve"] == "Gender-AN"]
    assert protected["high"].iloc[0] == 0.4  # both faces protected, not one
    assert (tmp_path / "figure_5.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (tmp_path / "figure_5.svg").read_bytes()
    assert found["beside"]["reported"].notna().all()


# -- PrivacyNet --------------------------------------------------------------------------------------


def test_privacynet_has_fifteen_outputs_with_the_papers_names() -> None:
    assert len(set(OUTPUTS)) == 15
    assert {short(o) for o in OUTPUTS} == {
        *("G", "R", "A0", "A1", "A2", "GR", "GA0", "GA1", "GA2", "RA0", "RA1", "RA2"),
        *("GRA0", "GRA1", "GRA2"),
    }


def test_privacynet_bars_and_bands(tmp_path: Path) -> None:
    rows = attacked("original", 0.95, "auc") + attacked("original", 0.05, "eer")
    for output in OUTPUTS:
        rows += attacked(f"privacynet:{output}", 0.6 if "gender" in output else 0.1, "eer")
    curves = pd.concat(
        [
            curve("original", (0.5, 0.6, 0.7, 1.0), condition="original-original"),
            curve("privacynet:gender", (0.4, 0.5, 0.6, 1.0)),
            curve("privacynet:race", (0.3, 0.55, 0.6, 1.0)),
            curve("original", (0.9, 0.95), kind="cmc", x=(1, 2), condition="original-original"),
            curve("privacynet:gender", (0.7, 0.8), kind="cmc", x=(1, 2)),
        ],
        ignore_index=True,
    )
    found = write("privacynet", rows, tmp_path, curves)
    svm = found["figure_5"][found["figure_5"]["panel"] == "svm@se_resnet"].set_index("bar")
    assert len(svm) == 16
    assert set(svm.loc[svm["series"] == "gender perturbed", "value"]) == {0.6}
    assert set(svm.loc[svm["series"] == "gender kept", "value"]) == {0.1}
    assert svm.loc["Orig.", "value"] == 0.05
    band = found["figure_8"][found["figure_8"]["curve"] == "PrivacyNet"]
    at = band.iloc[(band["fmr"] - 0.005).abs().argmin()]
    assert (at["low"], at["high"], at["outputs"]) == (0.3, 0.4, 2)
    assert found["figure_9"].groupby("curve")["high"].agg(list).to_dict() == {
        "Original": [0.9, 0.95],
        "PrivacyNet": [0.7, 0.8],
    }
    index = found["index"].set_index("item")
    assert index.loc["Figure 6: EER of race classifiers on every output", "status"] == "absent"


def ages(metric: str, before: float, weak: str = "") -> list[Row]:
    """Errors of two estimators, of which `weak` is flagged: 5 years where age is kept, 12 to A0, 15 to A2."""
    said = attacked("original", before, metric, attackers=("intel", "ssrnet"), attribute="age")
    rows = [replace(r, flags="weak_attacker" if r.component == weak else "") for r in said]
    for output in OUTPUTS:
        years = 12.0 if "age0" in output else 15.0 if "age" in output else 5.0
        rows += attacked(
            f"privacynet:{output}", years, metric, attackers=("intel", "ssrnet"), attribute="age"
        )
    return rows


def test_privacynet_age_against_the_truth_where_it_is_known(tmp_path: Path) -> None:
    chance = attacked("original", 14.0, "mae_chance", attackers=("pool",), attribute="age")
    found = write("privacynet", ages("mae", 4.5, weak="ssrnet") + ages("mae_shift", 0.0) + chance, tmp_path)
    figure = found["figure_7"]
    assert set(figure["panel"]) == {"intel"}
    bars = figure.set_index("bar")
    assert len(bars) == 16
    assert bars.loc["Orig.", "value"] == 4.5
    assert set(bars.loc[bars["series"] == "age kept", "value"]) == {5.0}
    assert bars["series"].value_counts().to_dict() == {
        "A0 asked for": 4,
        "A1 asked for": 4,
        "A2 asked for": 4,
        "age kept": 3,
        "original": 1,
    }
    assert bars.loc["GA0", "value"] == 12.0


def test_privacynet_age_against_the_original_where_it_is_not(tmp_path: Path) -> None:
    figure = write("privacynet", ages("mae_shift", 0.0), tmp_path)["figure_7"]
    assert figure.groupby("panel").size().to_dict() == {"intel": 15, "ssrnet": 15}
    assert "Orig." not in set(figure["bar"])


# -- FlowSAN -----------------------------------------------------------------------------------------


def test_of_one_member_every_ensemble_is_that_member() -> None:
    assert {subject(f, 1) for f in ("avg", "gibbs", "best")} == {("san_ensemble", "avg-n=1")}
    assert subject("gibbs", 3) == ("san_ensemble", "gibbs-n=3")
    assert subject("", 2) == ("flowsan", "n=2")


def test_flowsan_curves_and_averages(tmp_path: Path) -> None:
    rows = attacked("original", 0.95, "auc") + attacked("original", 0.05, "eer")
    rows += matched("original", 0.9, "fmr=0.001", condition="original-original")
    for n in STAGES:
        for family, step in (("", 0.1), ("avg", 0.05)):
            name = ":".join(subject(family, n))
            rows += attacked(name, 0.95 - step * n, "auc") + attacked(name, 0.05 + step * n, "eer")
            rows += matched(name, 0.9 - step * n / 2, "fmr=0.001")
    found = write("flowsan", rows, tmp_path)
    svm = found["figure_6"][found["figure_6"]["panel"] == "svm@se_resnet"]
    assert set(svm["curve"]) == {"Original", "FlowSAN", "Ens-Avg"}
    flow = svm[svm["curve"] == "FlowSAN"]
    assert flow["n"].tolist() == [1, 2, 3, 4, 5]
    assert flow["value"].tolist() == pytest.approx([0.85, 0.75, 0.65, 0.55, 0.45])
    assert set(found["figure_8"]["panel"]) == set(MATCHERS)
    averages = found["table_3"].set_index(["model", "n"])
    assert averages.loc[("FlowSAN", 3.0), "eer"] == pytest.approx(0.35)
    assert averages.loc[("FlowSAN", 5.0), "tmr_at_fmr_0.001"] == pytest.approx(0.65)
    assert len(averages) == 5


def test_a_mean_over_fewer_classifiers_is_no_mean(tmp_path: Path) -> None:
    rows = attacked("original", 0.95, "auc") + attacked("original", 0.05, "eer")
    rows += attacked("flowsan:n=3", 0.4, "eer", attackers=("svm@se_resnet",))
    assert write("flowsan", rows, tmp_path)["table_3"]["model"].tolist() == ["Original"]


# -- SAN ---------------------------------------------------------------------------------------------


def test_san_tables_beside_the_papers_figures(tmp_path: Path) -> None:
    rows = attacked("original", 0.98, attackers=("intel_age_gender", "svm@x"))
    rows += attacked("san:op", 0.9, attackers=("intel_age_gender", "svm@x"))
    for variant, value in (("sm", 0.9), ("nt", 0.8), ("op", 0.7)):
        rows += matched(f"san:{variant}", value, "fmr=0.01", matchers=("arcface", "pool"))
    curves = pd.concat(
        [
            curve("original", (0.5, 0.6, 0.7, 1.0), condition="original-original"),
            curve("san:op", (0.4, 0.5, 0.6, 1.0)),
        ],
        ignore_index=True,
    )
    found = write("san", rows, tmp_path, curves)
    errors = found["table_2"].set_index("classifier")
    assert errors.loc["intel_age_gender", "op"] == pytest.approx(0.1)
    assert errors.loc["intel_age_gender", ["op_low", "op_high"]].tolist() == pytest.approx([0.08, 0.12])
    assert errors.loc["intel_age_gender", "op_reported"] == pytest.approx(0.136)
    assert pd.isna(errors.loc["svm@x", "op_reported"])
    assert errors["face_mixing"].isna().all()
    rates = found["table_3"].set_index("matcher")
    assert list(rates.index) == ["arcface", "pool"]
    assert rates.loc["pool", ["sm", "nt", "op"]].tolist() == [0.9, 0.8, 0.7]
    assert set(found["figure_7"]["curve"]) == {"Before", "After (OP)"}


# -- Li et al. ---------------------------------------------------------------------------------------


def test_li_tables_by_number_of_parts(tmp_path: Path) -> None:
    rows: list[Row] = []
    for k, value in ((1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)):
        for point in ("fmr=0.01", "fmr=0.1"):
            rows += matched(f"li_mm21:k={k}", value, point)
        rows.append(quality(f"li_mm21:k={k}", value / 10))
    rows += [quality(f"stargan:{name}", 0.1 * i) for i, name in enumerate(outputs(1), 1)]
    rows += [quality(f"stargan:{name}", 0.5) for name in outputs(2)[1:]]
    found = write("li-mm21", rows, tmp_path)
    rates = found["tables_3_4"].set_index("matcher")
    assert list(rates.index) == ["ArcFace", "VGG Face", "CosFace"]
    assert rates["4_parts_tar_at_far_0.01"].tolist() == [0.6] * 3
    assert rates["adaptive_tar_at_far_0.1"].isna().all()
    assert rates.filter(like="reported").isna().all(axis=None)  # its pairs are of another kind
    looks = found["table_2"].set_index("method")
    assert looks.loc["StarGAN", "1_parts_lpips"] == pytest.approx(0.3)
    assert pd.isna(looks.loc["StarGAN", "2_parts_lpips"])  # one of ten outputs is missing
    assert looks.loc["Li et al.", "2_parts_lpips"] == pytest.approx(0.08)


def test_outputs_count_as_the_authors_do() -> None:
    assert [len(outputs(k)) for k in (1, 2, 3, 4)] == [5, 10, 10, 5]
