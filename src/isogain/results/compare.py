"""Methods compared two by two on the same seeds."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from isogain.results.aggregate import check, grouped, label, mixed, numbers, seeds, spread, varied

ROUNDING = 1e-12  # relative: what differs by less is the same number, rounded


def compared(
    table: pd.DataFrame, by: Sequence[str], against: Sequence[str], metric: str
) -> pd.DataFrame:
    """A row for every two methods (levels of `by`) under each condition (levels of `against`): first − second.

    Pairs are runs that agree in all that varies, but the name of the experiment where each method has one; of one
    seed's pairs the mean difference counts once. n seeds, and
    `unpaired` ones that only one of the two finished or neither; `difference` with low and high (t, 95 %), d_z its mean
    over its standard deviation (Cohen), p of the paired t test, p_wilcoxon of the signed rank test, and p_holm, p
    corrected for all rows of this table (Holm 1979).
    """
    by, against = list(by), list(against)
    check(table, [*by, *against, metric])
    names = {"experiment"} - set(mixed(table, [*by, *against]))
    rest = [name for name in varied(table) if name not in {*by, *against, *names}]
    rows = []
    for condition, cell in grouped(table, against):
        groups = [(label(by, levels), runs) for levels, runs in grouped(cell, by)]
        for (first, one), (second, other) in combinations(groups, 2):
            difference, asked = differences(one, other, rest, metric)
            row = dict(zip(against, condition, strict=True)) | {"first": first, "second": second}
            rows.append(row | paired(difference) | {"unpaired": asked - len(difference)})
    found = pd.DataFrame(rows)
    if len(found):
        found["p_holm"] = holm(found["p"].to_numpy())
    return found


def differences(
    one: pd.DataFrame, other: pd.DataFrame, rest: Sequence[str], metric: str
) -> tuple[np.ndarray, int]:
    """first − second, one a seed, and how many seeds either has, whatever became of them."""
    values = []
    for runs in (one, other):
        keys = [seeds(runs).rename("seed"), *(runs[k].map(str) for k in rest)]
        values.append(
            numbers(runs, metric).where(runs["status"] == "finished").groupby(keys).mean()
        )
    both = (values[0] - values[1]).dropna()
    asked = set(seeds(one)) | set(seeds(other))
    return both.groupby("seed").mean().to_numpy(), len(asked)


def paired(difference: np.ndarray) -> dict[str, float]:
    """Mean difference with its interval, effect size and p-values; NaN where too few or all are the same."""
    found = spread(difference)
    row = {"n": found["n"], "difference": found["mean"], "low": found["low"], "high": found["high"]}
    nothing = {"d_z": np.nan, "p": np.nan, "p_wilcoxon": np.nan}
    if len(difference) < 2:
        return row | nothing
    largest = abs(difference).max()
    if np.ptp(difference) <= ROUNDING * largest:  # no spread to measure it by
        return row | (nothing if largest else {"d_z": 0.0, "p": 1.0, "p_wilcoxon": 1.0})
    return row | {
        "d_z": found["mean"] / found["std"],
        "p": float(stats.ttest_1samp(difference, 0).pvalue),
        "p_wilcoxon": float(stats.wilcoxon(difference).pvalue),
    }


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected by Holm's step-down method, of those that are not NaN: running max of (m − i) p_(i)."""
    p = np.asarray(p, dtype=float)
    corrected = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return corrected
