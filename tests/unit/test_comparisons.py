"""Paired differences between the methods of a board."""

import numpy as np
import pytest

from bench.errors import UsageError
from bench.report.comparisons import paired_table
from bench.scoring.rows import SampleKey

RNG = np.random.default_rng(0)


def key(method, variant="default", **columns):
    empty = dict.fromkeys(SampleKey._fields, "") | {"seed": 0, "metric": "leak", "threat": "worst"}
    return SampleKey(**(empty | {"method": method, "variant": variant, "attribute": "gender"} | columns))


def test_every_pair_of_a_group_is_compared_once_by_paired_resamples():
    shared = 0.2 * RNG.standard_normal(1000)
    near = shared + 0.01 * RNG.standard_normal(1000)
    found = paired_table(
        {
            key("san", "op"): 0.9 + shared,
            key("grey"): 0.8 + near,
            key("blur"): 0.8 + shared,
            key("blur", attribute="race"): shared,
            key("blur", threat="static"): shared,
            key("grey", attribute="race", metric="auc"): shared,
        },
        "leak",
        "worst",
    )
    assert found[["first", "second"]].to_numpy().tolist() == [
        ["blur", "grey"],
        ["blur", "san:op"],
        ["grey", "san:op"],
    ]
    assert found["verdict"].tolist() == ["cannot tell", "lower", "lower"]
    assert found["difference"].to_numpy() == pytest.approx([0, -0.1, -0.1], abs=0.002)
    assert (found["low"] <= found["difference"]).all()
    assert (found["high"] >= found["difference"]).all()
    assert set(found["attribute"]) == {"gender"}


def test_what_has_no_interval_cannot_be_told_and_what_is_not_there_is_refused():
    hanging = np.where(np.arange(100) < 20, np.nan, 1.0)
    found = paired_table({key("a"): hanging, key("b"): np.zeros(100)}, "leak", "worst")
    assert found["verdict"].tolist() == ["cannot tell"]
    assert "undefined in 20 of 100 resamples" in found["reason"][0]
    with pytest.raises(UsageError, match="nothing pooled was resampled of auc under aware"):
        paired_table({key("a"): hanging}, "auc", "aware")
