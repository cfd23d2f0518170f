"""Leaderboard, Pareto front and CSV files, computed from the tidy rows and nothing else.

The order of the leaderboard: dataset, attribute, label source, seed; within these the Pareto front
first, then the smaller leak, then the higher TMR, then the name. Lines without both figures come last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.faces import AGE
from bench.files import write_atomically
from bench.ladder import AWARE, RUNGS, STATIC, WORST
from bench.results import COLUMNS, OK, ORIGINAL
from bench.spreadsheet import harmless

if TYPE_CHECKING:
    import pandas as pd

ENDS = (ORIGINAL, "constant", "template_original", "template_constant")
"""The controls that must land at the ends of every scale, of images and of templates."""

POOL = "pool"
STRONGEST = "strongest attacker: "
HEADLINE_FMR = "fmr=0.01"
ORIGINAL_PROTECTED = "original-protected"
PROTECTED_PROTECTED = "protected-protected"
ORIGINAL_ORIGINAL = "original-original"
TEMPLATE = "template"


class Metric(NamedTuple):
    """title: heading. unit: empty for a share or an index. what: one sentence. best: which way, for what."""

    title: str
    unit: str
    what: str
    best: str


METRICS = {
    "leak": Metric(
        "Leak",
        "",
        "How much of the attribute can still be read: 2 |AUC - 0.5|, 0 is nothing and 1 is everything; an "
        "inverted attacker leaks as much as an upright one. For the pool, the worst attacker inside each "
        "resample.",
        "low, for privacy",
    ),
    "reduction": Metric(
        "Reduction",
        "",
        "Share of an attacker's margin over chance that protection takes away: (R_or - R_adv) / (R_or - "
        "R_random) of balanced accuracies; 0 is no effect, 1 is chance, above 1 the answers are inverted "
        "and can be turned back.",
        "near 1, for privacy",
    ),
    "folded_reduction": Metric(
        "Folded Reduction",
        "",
        "1 - |1 - Reduction|: 1 is chance, 0 is as legible as before, also when the answers are inverted.",
        "near 1, for privacy",
    ),
    "accuracy": Metric(
        "Accuracy",
        "",
        "Share of faces whose attribute the attacker names correctly; a constant guess scores the largest "
        "class.",
        "near chance, for privacy",
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        "",
        "Mean over the classes of the share of faces named correctly; chance is 1 / number of classes.",
        "near chance, for privacy",
    ),
    "auc": Metric(
        "AUC",
        "",
        "Chance that a random positive scores above a random negative, ties counted half: of the classes "
        "for an attacker, of mated over non-mated comparisons for a matcher.",
        "near 0.5 for an attacker's privacy, high for a matcher's utility",
    ),
    "eer": Metric(
        "EER",
        "",
        "Error rate at the threshold where false positives and false negatives are equally frequent.",
        "near 0.5 for an attacker's privacy, low for a matcher's utility",
    ),
    "mae": Metric(
        "MAE",
        "",
        "Mean absolute error of a number that attackers estimate, such as age in years, against the truth. "
        "For the pool, the least over the attackers and the constant guess inside each resample.",
        "high, up to chance, where it should be hidden; as of the originals where it should survive",
    ),
    "mae_chance": Metric(
        "MAE by chance",
        "",
        "Mean absolute error of always naming the median of the test faces: what anybody knows unseen.",
        "neither: the upper end of the scale of MAE",
    ),
    "error_bias": Metric(
        "Bias",
        "",
        "Signed mean error of a number that attackers estimate; whoever knows an offset subtracts it.",
        "near 0: an offset hides nothing",
    ),
    "error_spread": Metric(
        "Spread of errors",
        "",
        "Standard deviation of the error of a number that attackers estimate, its offset aside.",
        "high where it should be hidden",
    ),
    "mae_shift": Metric(
        "MAE against the original",
        "",
        "Mean absolute difference between an attacker's estimates on the protected face and on its "
        "original, for faces without a known age (PrivacyNet): how far answers move, right or wrong.",
        "high where it should be hidden, low where it should survive",
    ),
    "cac": Metric(
        "CAC",
        "",
        "Classification accuracy change of an attribute that should survive: R_or - R_adv; positive is "
        "damage.",
        "near 0, for utility",
    ),
    "attribute_mse": Metric(
        "Attribute MSE",
        "",
        "Mean squared change of the attacker's class probabilities of a kept attribute between original "
        "and protected face.",
        "low, for utility",
    ),
    "attribute_cross_entropy": Metric(
        "Attribute cross-entropy",
        "nats",
        "Cross-entropy of the attacker's class probabilities on the protected face under those on the "
        "original.",
        "low, for utility",
    ),
    "tmr": Metric(
        "TMR",
        "",
        "True match rate: share of mated comparisons at or above the smallest threshold whose FMR is at "
        "most the stated one (ISO/IEC 19795-1).",
        "high, for utility",
    ),
    "verification_accuracy": Metric(
        "Verification accuracy",
        "",
        "Share of right decisions over a published list of pairs, each fold at the threshold that is best on "
        "all the others (LFW's protocol).",
        "high, for utility",
    ),
    "fmr": Metric(
        "FMR at the fixed threshold",
        "",
        "False match rate that a threshold set on the originals really gives once faces are protected.",
        "near the intended FMR, for utility",
    ),
    "identification_rate": Metric(
        "Identification rate",
        "",
        "Share of probes whose own identity is at the rank or better in a closed gallery (CMC).",
        "high, for utility",
    ),
    "tpir": Metric(
        "TPIR",
        "",
        "True positive identification rate of an open gallery: own identity first and above the threshold at "
        "which the stated share of strangers (FPIR) raises an alarm.",
        "high, for utility",
    ),
    "tmr_kept": Metric(
        "TMR kept",
        "",
        "TMR at FMR 1 %, original against protected, as a share of the originals' own.",
        "high, for utility",
    ),
    "lpips": Metric(
        "LPIPS",
        "",
        "Learned perceptual distance between original and protected face, by SqueezeNet; backbones are not "
        "comparable.",
        "low, for quality",
    ),
    "lpips_alex": Metric(
        "LPIPS (AlexNet)",
        "",
        "The same by AlexNet, the package's default and most papers' choice.",
        "low, for quality",
    ),
    "lpips_vgg": Metric(
        "LPIPS (VGG)",
        "",
        "The same by VGG-16.",
        "low, for quality",
    ),
    "niqe": Metric(
        "NIQE",
        "",
        "No-reference naturalness distance at one common size; compare with the originals' own row.",
        "low, for quality",
    ),
    "niqe_fitted": Metric(
        "NIQE, fitted here",
        "",
        "NIQE by a model of originals of other people of this run, at the run's own size and with blocks to "
        "match: judges what is too small for the released model; compare within the run only, and with the "
        "originals' own row.",
        "low, for quality",
    ),
    "pi": Metric(
        "PI",
        "",
        "Perceptual index of the PIRM 2018 challenge, ((10 - NRQM) + NIQE) / 2, both without a border of 4 "
        "px and on MATLAB's luma, so that its NIQE is not the one above; few images, since NRQM is slow.",
        "low, for quality",
    ),
    "fid": Metric(
        "FID",
        "",
        "Fréchet distance of protected from original faces by the Inception of 2015. Too large for few "
        "images (by far below some thousands), so compare outputs at one number of images only; no interval.",
        "low, for quality",
    ),
    "kid": Metric(
        "KID",
        "",
        "Kernel distance of the same features, whose expectation does not depend on the number of images; "
        "an image is not compared with its own original. Negative values are chance around 0.",
        "low, for quality",
    ),
    "fd_squeeze": Metric(
        "Fréchet distance (SqueezeNet)",
        "",
        "As FID, but by pooled features of SqueezeNet at the run's own size; not comparable with any FID.",
        "low, for quality",
    ),
    "kd_squeeze": Metric(
        "Kernel distance (SqueezeNet)",
        "",
        "As KID, but by pooled features of SqueezeNet at the run's own size; not comparable with any KID.",
        "low, for quality",
    ),
    "ssim": Metric(
        "SSIM",
        "",
        "Structural similarity of original and protected face; 1 is identical.",
        "high, for quality",
    ),
    "psnr": Metric(
        "PSNR",
        "dB",
        "Peak signal-to-noise ratio of the protected face to its original.",
        "high, for quality",
    ),
    "images_per_second": Metric(
        "Speed",
        "images/s",
        "Faces protected per second on the machine named in this report; never compare machines.",
        "high, for cost",
    ),
    "parameters": Metric(
        "Parameters",
        "",
        "Trainable numbers of the network that protects a face.",
        "low, for cost",
    ),
}

NUMBERS = ("mae", "mae_chance", "error_bias", "error_spread", "mae_shift")
"""Metrics of attributes that are numbers. They give no line of their own: a variant's lines carry its age."""

GROUP = ("dataset", "level", "attribute", "label_source", "seed")
"""Lines are compared within a group only."""

QUALITY = (
    *("lpips", "lpips_alex", "lpips_vgg", "niqe", "niqe_fitted", "pi"),
    *("fid", "kid", "fd_squeeze", "kd_squeeze", "ssim", "psnr"),
)
"""Metrics of image quality, in the order they are shown in."""

_IDENTITY = ("dataset", "level", "method", "variant", "label_source", "seed")
_LINE = (*_IDENTITY, "attribute")
_PAPERS = (STATIC, AWARE)
"""Rung of the papers' columns: learned on originals; where that cannot read at all, learned anew."""

LEADERBOARD = {
    "dataset": "Dataset.",
    "level": "What is protected: the image, or the template that a matcher makes of it.",
    "attribute": "Attribute that the variant hides; controls are listed for every attribute a method hides.",
    "label_source": "Whose labels the method was told: truth, predicted or random.",
    "seed": "Seed of the run.",
    "method": "Method or control.",
    "variant": "Output mode of the method. Here and in every CSV file, a text that begins with a sign that "
    "spreadsheets compute (= + - @), or with an apostrophe, has one apostrophe in front.",
    "role": "method, or control for a yardstick.",
    "status": "ok when leak and TMR were both measured; else undefined, failed, unavailable or incomplete.",
    "pareto": "True when no other line of the group is at least as good in leak and TMR and better in one.",
    "rank": "1 + number of lines of the group that are clearly better in leak or TMR and not clearly worse "
    "in the other; clearly: the 95 % intervals do not overlap. Equal ranks cannot be told apart.",
    "leak": "Worst leak over all rungs of the attackers' ladder and all attackers that the method never saw, "
    "the maximum inside each resample.",
    "leak_low": "Lower end of the 95 % interval of leak, over identities.",
    "leak_high": "Upper end of the 95 % interval of leak.",
    "worst_by": "The attacker and the rung behind that leak.",
    **{f"leak_{rung}": f"Worst leak of the rung: {says}." for rung, says in RUNGS.items()},
    "reduction": "Mean Reduction over the unseen attackers that can read originals; this and the next three "
    "columns are of the papers' static attackers (of templates in a space of their own: of aware ones).",
    "reduction_low": "Lower end of its 95 % interval.",
    "reduction_high": "Upper end of its 95 % interval.",
    "folded_reduction": "1 - |1 - Reduction|, mean over the same attackers.",
    "balanced_accuracy": "Mean balanced accuracy over the same attackers.",
    "auc": "AUC of the strongest attacker.",
    "eer": "EER of the strongest attacker.",
    "tmr": "TMR at FMR 1 %, protected faces against original references (of templates: protected against "
    "protected), mean over the matchers.",
    "tmr_low": "Lower end of its 95 % interval.",
    "tmr_high": "Upper end of its 95 % interval.",
    "tmr_protected": "TMR at FMR 1 %, protected against protected.",
    "tmr_kept": "TMR as a share of the originals' own.",
    "kept_cac": "Mean absolute change of accuracy over the other attributes, which should survive.",
    "mae_years": "Least mean absolute error in years with which age is read, the constant guess included: "
    "over all rungs where the variant hides age, its group or young, else of the static attackers, which "
    "should then err as on the originals.",
    "mae_years_low": "Lower end of its 95 % interval.",
    "mae_years_high": "Upper end of its 95 % interval.",
    "mae_years_static": "The same of the static attackers alone.",
    "mae_years_chance": "Mean absolute error of the constant guess, the upper end of the scale.",
    "mae_years_shift": "Mean absolute change in years of the static attackers' answers against those on the "
    "originals, mean over the attackers: what can be said without a known age.",
    "lpips": "LPIPS between original and protected.",
    "lpips_alex": "The same by AlexNet.",
    "lpips_vgg": "The same by VGG-16.",
    "niqe": "NIQE of the protected faces.",
    "niqe_fitted": "NIQE of the protected faces at their own size, by a model of the run's own originals.",
    "pi": "Perceptual index of the protected faces.",
    "fid": "FID of protected from original faces.",
    "kid": "KID of protected from original faces.",
    "fd_squeeze": "Fréchet distance of protected from original faces by SqueezeNet.",
    "kd_squeeze": "Kernel distance of the same features.",
    "ssim": "SSIM between original and protected.",
    "psnr": "PSNR in dB.",
    "parameters": "Numbers in the protecting network.",
    "images_per_second": "Faces protected per second; not in leaderboard.csv, since no two runs agree on it.",
    "n": "Faces behind the leak.",
    "n_failed": "Faces that could not be processed; they are never replaced by originals.",
    "flags": "What makes the line doubtful.",
    "reason": "Why a figure is missing.",
}
"""Columns of the leaderboard, in order, and what they hold."""

FLAGS = {
    "bound": "No method: each attacker is shown, face by face, the output that it reads worst, which takes "
    "its answers and the true label. It has no images and matches nothing.",
    "weak_attacker": "The attacker cannot read the attribute off originals, so its failure on protected "
    "faces proves nothing; it counts in no total.",
    "adaptive_gap": "Attackers that adapt read clearly more than the papers' static ones: what looks private "
    "to an attacker who learned on originals is not.",
    "unchanged": "More than half of the images equal their originals: nothing was protected.",
    "not_repeatable": "The same faces came out differently a second time, under the same seed.",
    "many_failures": "More than one face in twenty could not be protected; they count in no figure.",
    "too_few_pairs": "The pool has too few comparisons for the operating point, which is refused.",
    "seen": "The component was trained against, so its figure stays out of every total.",
    "over_flipped": "Mean Reduction above 1 or AUC below 0.5: the answers are inverted rather than hidden, "
    "and an attacker who turns them round reads the attribute; see leak.",
}
"""What a flag of a row means."""

NOT_REPRODUCIBLE = ("images_per_second",)
"""Columns that differ between two runs of one seed; `leaderboard.csv` leaves them out."""

_NUMBERS = ("value", "ci_low", "ci_high", "n", "n_failed", "seed", "seen", "reported")
_TEXT = [name for name in COLUMNS if name not in _NUMBERS]
_UNIQUE = (
    *_LINE,
    "threat",
    "component_kind",
    "component",
    "metric",
    "condition",
    "policy",
    "operating_point",
)


def leaderboard(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method, variant and hidden attribute, with the columns of `LEADERBOARD` and one for each
    metric of quality that a plug-in brings.

    rows: a table as `bench.results.to_frame` makes it, in any order. Rows scored with a component that the
    method was trained against (`seen`) and rows without a value are left out of every figure; a variant of
    which nothing could be measured keeps a line with status and reason. Raises InputError when one quantity
    has two values.
    """
    rows = _plain_keys(rows)
    scored = rows[(rows["status"] == OK) & ~rows["seen"] & rows["value"].notna()]
    _refuse_duplicates(scored)
    lines = _with_lost(_lines(scored), rows)
    added = _added(rows)
    lines = _join_figures(lines, scored, added)
    lines["flags"] = _flags(lines, scored)
    lines["status"], lines["reason"] = _status(lines, rows)
    return _present(_ranked(lines), added)


def pareto_front(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of (N, 2) points (leak, TMR) no other point beats: bool (N,).

    A point is beaten by one with at most its leak and at least its TMR and better in one of them. Equal
    points stand or fall together; a point with a NaN is never on the front and beats nothing.
    """
    leak, tmr = points[:, 0], points[:, 1]
    with np.errstate(invalid="ignore"):
        as_good = (leak <= leak[:, None]) & (tmr >= tmr[:, None])
        better = (leak < leak[:, None]) | (tmr > tmr[:, None])
    return np.asarray(~(as_good & better).any(axis=1) & np.isfinite(points).all(axis=1), np.bool_)


def beaten(leak: NDArray[np.float64], tmr: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether line j beats line i beyond doubt: bool (N, N), [i, j].

    leak, tmr: (N, 3) value, lower and upper end of the interval; a missing end is the value itself.
    A line beats another if its interval lies wholly on the better side in leak or in TMR, and not wholly
    on the worse side in the other. Intervals that overlap cannot tell. A line with a NaN takes no part.
    """
    low_leak, high_leak = _ends(leak)
    low_tmr, high_tmr = _ends(tmr)
    leaks_less, leaks_more = high_leak < low_leak[:, None], low_leak > high_leak[:, None]
    matches_more, matches_less = low_tmr > high_tmr[:, None], high_tmr < low_tmr[:, None]
    known = np.isfinite(leak[:, 0]) & np.isfinite(tmr[:, 0])
    wins: NDArray[np.bool_] = (leaks_less & ~matches_less) | (matches_more & ~leaks_more)
    return wins & known & known[:, None]


def trade_off_rank(leak: NDArray[np.float64], tmr: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 + number of lines that beat each line, by `beaten`: float (N,), NaN where a figure is missing."""
    known = np.isfinite(leak[:, 0]) & np.isfinite(tmr[:, 0])
    return np.where(known, 1.0 + beaten(leak, tmr).sum(axis=1), np.nan)


def intervals(lines: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """(N, 3): value, lower and upper end of the interval of a leaderboard column."""
    return lines[[name, f"{name}_low", f"{name}_high"]].to_numpy(np.float64)


def _ends(figures: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value, low, high = figures.T
    return np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high)


def label(method: str, variant: str) -> str:
    """How people type a variant: `san:op`, or `grey` where there is only one."""
    return method if variant in ("", "default") else f"{method}:{variant}"


def groups(board: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The lines that are compared with each other, named by attribute and whatever else tells them apart."""
    complete = board[board["attribute"].notna()]
    telling = [k for k in GROUP if k != "attribute" and complete[k].nunique(dropna=False) > 1]
    for key, group in complete.groupby(list(GROUP), dropna=False, sort=True):
        parts = dict(zip(GROUP, key, strict=True))
        extra = [f"seed {parts[k]}" if k == "seed" else str(parts[k]) for k in telling]
        yield ", ".join([str(parts["attribute"]), *extra]), group


# -- building the lines ------------------------------------------------------------------------------


def _plain_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """Absent keys become empty text, which joins and compares; numbers become float."""
    table = rows.copy()
    table[_TEXT] = table[_TEXT].astype("string").fillna("").astype(object)
    table[["n", "n_failed"]] = table[["n", "n_failed"]].astype("Float64").astype("float64")
    table["seed"] = table["seed"].astype("Int64").fillna(0).astype("int64")
    return table


def _refuse_duplicates(scored: pd.DataFrame) -> None:
    twice = scored[scored.duplicated(list(_UNIQUE))]
    if len(twice):
        first = twice.iloc[0]
        where = ", ".join(f"{k} {first[k]}" for k in _UNIQUE if first[k] != "")
        raise InputError(
            f"{len(twice)} rows give a second value for one quantity, first: {where}; "
            "pass the rows of each cell once"
        )


def _lines(scored: pd.DataFrame) -> pd.DataFrame:
    """The combinations that attackers scored: what variants hide, and the controls on the same attributes."""
    tried = scored[(scored["component_kind"] == "attacker") & (scored["attribute"] != "")]
    tried = tried[~tried["metric"].isin(NUMBERS)]
    is_method = tried["method_role"] != "control"
    hidden = tried[is_method & (tried["role"] == "obfuscated")]
    subject = hidden if len(hidden) else tried[tried["role"] == "obfuscated"]
    subject = subject if len(subject) else tried
    shared = ["dataset", "level", "attribute"]
    controls = tried[~is_method].merge(subject[shared].drop_duplicates(), on=shared)
    import pandas as pd

    return pd.concat([hidden, controls])[[*_LINE, "method_role"]].drop_duplicates().reset_index(drop=True)


def _with_lost(lines: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Also the variants, and hidden attributes of variants, of which there are only failures."""
    import pandas as pd

    lost = rows[(rows["status"] != OK) & (rows["method"] != "") & ~rows["metric"].isin(NUMBERS)].copy()
    lost.loc[(lost["role"] != "obfuscated"), "attribute"] = ""
    lost = lost[[*_LINE, "method_role"]].drop_duplicates()
    for key in (["dataset", "method", "variant", "attribute"], ["dataset", "method", "variant"]):
        found = pd.MultiIndex.from_frame(lines[key])
        here = pd.MultiIndex.from_frame(lost[key])
        named = lost["attribute"] != ""
        wanted = (named if "attribute" in key else ~named) & ~here.isin(found)
        lines = pd.concat([lines, lost[wanted].drop_duplicates(key)], ignore_index=True)
    return lines


class _Figure(NamedTuple):
    """Where a column comes from: filters on the rows and the keys it is joined on."""

    metric: str
    where: dict[str, str]
    keys: tuple[str, ...] = _IDENTITY
    interval: bool = False
    threats: tuple[str, ...] = ()  # of one line the first of these that has the figure


def _added(rows: pd.DataFrame) -> tuple[str, ...]:
    """Metrics of quality that plug-ins bring, each a column of its own."""
    names = rows.loc[rows["component_kind"] == "quality", "metric"].unique()
    return tuple(sorted(set(names) - {"", *QUALITY}))


def _figures(added: Sequence[str]) -> dict[str, _Figure]:
    attack = {"component_kind": "attacker", "component": POOL}
    match = {
        "component_kind": "matcher",
        "component": POOL,
        "policy": "reset",
        "operating_point": HEADLINE_FMR,
    }
    figures = {
        "leak": _Figure("leak", attack, _LINE, True, (WORST,)),
        "reduction": _Figure("reduction", attack, _LINE, True, _PAPERS),
        **{
            name: _Figure(name, attack, _LINE, threats=_PAPERS)
            for name in ("folded_reduction", "balanced_accuracy", "auc", "eer")
        },
        **{f"leak_{rung}": _Figure("leak", attack, _LINE, threats=(rung,)) for rung in RUNGS},
        "tmr": _Figure("tmr", match | {"condition": ORIGINAL_PROTECTED}, interval=True),
        "tmr_protected": _Figure("tmr", match | {"condition": PROTECTED_PROTECTED}, interval=True),
        "tmr_kept": _Figure("tmr_kept", {"component_kind": "matcher", "component": POOL}),
    }
    years = attack | {"attribute": AGE.name}
    figures |= {
        "mae_years": _Figure("mae", years, interval=True, threats=(WORST, *_PAPERS)),
        "mae_years_static": _Figure("mae", years, threats=_PAPERS),
        "mae_years_chance": _Figure("mae_chance", years),
        "mae_years_shift": _Figure("mae_shift", years),
    }
    figures |= {name: _Figure(name, {}) for name in (*QUALITY, *added)}
    cost = ("dataset", "level", "method", "variant")
    return figures | {name: _Figure(name, {}, cost) for name in ("parameters", "images_per_second")}


def _join_figures(lines: pd.DataFrame, scored: pd.DataFrame, added: Sequence[str]) -> pd.DataFrame:
    unchanged = _original_conditions(scored)
    for column, figure in _figures(added).items():
        found = _pick(unchanged, figure)
        if column == "leak":
            found[["n", "n_failed"]] = found[["_n", "_n_failed"]]
            found["worst_by"] = found["reason"].str.removeprefix(STRONGEST)
        renames = {"value": column}
        if figure.interval:
            renames |= {"ci_low": f"{column}_low", "ci_high": f"{column}_high"}
        wanted = [*figure.keys, *renames] + (["n", "n_failed", "worst_by"] if column == "leak" else [])
        lines = lines.merge(found[wanted].rename(columns=renames), on=list(figure.keys), how="left")
    lines["kept_cac"] = _kept_cac(lines, scored)
    templates = lines["level"] == TEMPLATE
    for end in ("", "_low", "_high"):
        lines.loc[templates, f"tmr{end}"] = lines.loc[templates, f"tmr_protected{end}"]
    return lines


def _original_conditions(scored: pd.DataFrame) -> pd.DataFrame:
    """`original` protects nothing, so its three conditions are one comparison: give it all three."""
    import pandas as pd

    plain = scored[(scored["method"] == ORIGINAL) & (scored["condition"] == ORIGINAL_ORIGINAL)]
    copies = [plain.assign(condition=c) for c in (ORIGINAL_PROTECTED, PROTECTED_PROTECTED)]
    return pd.concat([scored, *copies]).drop_duplicates(list(_UNIQUE), keep="first")


def _pick(scored: pd.DataFrame, figure: _Figure) -> pd.DataFrame:
    """The rows behind one column, one per key; of several recipes or devices the dataset's most used one."""
    chosen = scored[scored["metric"] == figure.metric]
    for name, value in figure.where.items():
        chosen = chosen[chosen[name] == value]
    if "component" not in figure.where and len(chosen):
        usual = chosen.groupby("dataset")["component"].transform(recipe)
        chosen = chosen[chosen["component"] == usual]
    if figure.threats:
        chosen = chosen[chosen["threat"].isin(figure.threats)]
        preferred = chosen["threat"].map(figure.threats.index)
        chosen = chosen.assign(_preferred=preferred).sort_values(["_preferred", *_UNIQUE])
    else:
        chosen = chosen.sort_values(list(_UNIQUE))
    chosen = chosen.drop_duplicates(list(figure.keys))
    return chosen.rename(columns={"n": "_n", "n_failed": "_n_failed"})


def recipe(components: pd.Series) -> str:
    """Of several recipes of one metric the one behind most rows, then by name: recipes never mix."""
    counts = components.value_counts()
    return str(min(counts.index, key=lambda name: (-counts[name], name)))


def _kept_cac(lines: pd.DataFrame, scored: pd.DataFrame) -> NDArray[np.float64]:
    """Mean |CAC| of each line's variant over the attributes that it should keep, its own one aside."""
    keys = list(_IDENTITY)
    kept = scored[(scored["metric"] == "cac") & (scored["component"] == POOL) & (scored["role"] == "kept")]
    changes: dict[tuple[Any, ...], dict[str, float]] = {}
    for *key, attribute, value in kept[[*keys, "attribute", "value"]].itertuples(index=False):
        changes.setdefault(tuple(key), {})[attribute] = abs(value)
    means = []
    for *key, attribute in lines[[*keys, "attribute"]].itertuples(index=False):
        others = [v for a, v in changes.get(tuple(key), {}).items() if a != attribute]
        means.append(math.fsum(others) / len(others) if others else math.nan)
    return np.array(means, dtype=np.float64)


# -- what else a line says ---------------------------------------------------------------------------


def _flags(lines: pd.DataFrame, scored: pd.DataFrame) -> list[str]:
    """Flags of the aggregates and of whole-image figures; those of one attacker concern that attacker."""
    single = scored["component_kind"].isin(["attacker", "matcher"]) & (scored["component"] != POOL)
    counted = scored["threat"].isin(["", STATIC, WORST])
    counted |= (scored["threat"] == AWARE) & (scored["level"] == TEMPLATE)
    flagged = scored[(scored["flags"] != "") & ~single & counted]
    found: dict[tuple[Any, ...], set[str]] = {}
    for *key, attribute, flags in flagged[[*_LINE, "flags"]].itertuples(index=False):
        found.setdefault((*key, attribute), set()).update(flags.split())
    nothing: set[str] = set()
    joined = []
    for *key, attribute in lines[list(_LINE)].itertuples(index=False):
        places = {(*key, a) for a in (attribute, "")}
        joined.append(" ".join(sorted(set().union(*(found.get(p, nothing) for p in places)))))
    return joined


_UNEXPLAINED = "no row gives the missing figure"


def _status(lines: pd.DataFrame, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """ok where leak and TMR are there; else what the rows that should have given them say."""
    headline = rows["metric"].isin(["", "leak", "tmr"]) & rows["operating_point"].isin(["", HEADLINE_FMR])
    lost = rows[headline & (rows["status"] != OK) & (rows["method"] != "")]
    by_variant = dict(list(lost.groupby(list(_IDENTITY)))) if len(lost) else {}
    statuses, reasons = [], []
    measured = lines[["leak", "tmr"]].notna().all(axis=1)
    for complete, key in zip(measured, lines[[*_IDENTITY, "attribute"]].itertuples(index=False), strict=True):
        causes = by_variant.get(tuple(key[:-1]))
        if complete or causes is None:
            statuses.append(OK if complete else "incomplete")
            reasons.append("" if complete else _UNEXPLAINED)
            continue
        here = causes[causes["attribute"].isin(["", key[-1]])].sort_values(list(_UNIQUE))
        statuses.append(str(here["status"].iloc[0]) if len(here) else "incomplete")
        reasons.append("; ".join(r for r in dict.fromkeys(here["reason"]) if r) or _UNEXPLAINED)
    return statuses, reasons


def _ranked(lines: pd.DataFrame) -> pd.DataFrame:
    lines = lines.reset_index(drop=True)
    lines["pareto"], lines["rank"] = False, np.nan
    for _, members in lines.groupby(list(GROUP)):
        leak, tmr = intervals(members, "leak"), intervals(members, "tmr")
        lines.loc[members.index, "pareto"] = pareto_front(np.stack([leak[:, 0], tmr[:, 0]], axis=1))
        lines.loc[members.index, "rank"] = trade_off_rank(leak, tmr)
    lines["_incomplete"] = lines[["leak", "tmr"]].isna().any(axis=1)
    order = [*GROUP, "_incomplete", "pareto", "leak", "tmr", "method", "variant"]
    upward = [name not in ("pareto", "tmr") for name in order]
    return lines.sort_values(order, ascending=upward, kind="stable", na_position="last")


def _present(lines: pd.DataFrame, added: Sequence[str]) -> pd.DataFrame:
    """Fixed columns, those of `added` metrics behind the built-in ones, and types; what is absent is <NA> or
    NaN."""
    after = list(LEADERBOARD).index(QUALITY[-1]) + 1
    columns = [*list(LEADERBOARD)[:after], *added, *list(LEADERBOARD)[after:]]
    table = lines.rename(columns={"method_role": "role"})[columns].reset_index(drop=True)
    for name in table.columns:
        if name == "pareto":
            table[name] = table[name].astype("bool")
        elif name in ("seed", "rank", "n", "n_failed", "parameters"):
            table[name] = table[name].round().astype("Int64")
        elif table[name].dtype.kind != "f":
            table[name] = table[name].astype("string").mask(table[name] == "")
    return table


# -- files -------------------------------------------------------------------------------------------


def sorted_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows in an order that does not depend on which worker finished first."""
    return rows.sort_values(list(rows.columns), kind="stable", na_position="first", ignore_index=True)


def csv_text(table: pd.DataFrame, *, digits: int | None = 6) -> str:
    """The table as CSV: header, no index, `\\n` line ends, `digits` significant digits (None: exact).

    Absent is empty. A text cell that a spreadsheet would run as a formula gets an apostrophe in front, see
    `bench.spreadsheet`; numbers are left alone.
    """
    import pandas as pd

    columns = []
    for name in table.columns:
        absent = pd.isna(table[name]).to_numpy()
        values = zip(table[name].tolist(), absent, strict=True)
        columns.append([_cell(str(name), digits), *("" if a else _cell(v, digits) for v, a in values)])
    return "".join(",".join(cells) + "\n" for cells in zip(*columns, strict=True))


def _cell(value: Any, digits: int | None) -> str:
    if isinstance(value, float):
        return "0" if value == 0 else repr(value) if digits is None else f"{value:.{digits}g}"
    if not isinstance(value, str):
        return str(value)
    text = harmless(value)
    # The csv module leaves a lone carriage return bare, which readers take for the end of a line.
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def write_csv(table: pd.DataFrame, path: Path, *, digits: int | None = 6) -> Path:
    """Write `csv_text(table)` as UTF-8, atomically; return `path`."""
    return write_atomically(path, csv_text(table, digits=digits).encode())
