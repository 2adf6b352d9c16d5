"""Methods compared two by two on the same seeds."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from isogain.analysis.statistics.aggregate import (
    check,
    grouped,
    label,
    mixed,
    plain,
    seeds,
    spread,
    values,
    varied,
)
from isogain.analysis.statistics.digits import ROUNDING, with_ties
from isogain.config.nearest import nearest


def compared(
    table: pd.DataFrame,
    by: Sequence[str],
    against: Sequence[str],
    metric: str,
    to: str | None = None,
) -> pd.DataFrame:
    """A row for every two methods (levels of `by`) under each condition (levels of `against`): first − second.

    Pairs are runs that agree in all that varies, but the name of the experiment where each method has one; of one
    seed's pairs the mean difference counts once. n seeds, and `unpaired` ones that only one of the two finished or
    neither; `difference` with low and high (t, 95 %), d_z its mean over its standard deviation (Cohen), p of the paired
    t test, p_wilcoxon of the signed rank test, and p_holm, p corrected for all rows of this table (Holm 1979).

    With `to`, a method by its label or by its level of by[0], only comparisons with it: other − to. Raises KeyError.
    """
    by, against = list(by), list(against)
    check(table, [*by, *against, metric])
    if to is not None:
        _check_method(table, by, to)
    bundle = {"experiment"} - set(mixed(table, [*by, *against]))
    rest = [name for name in varied(table) if name not in {*by, *against, *bundle}]
    rows = []
    for condition, cell in grouped(table, against):
        for (first, one), (second, other) in _two_by_two(grouped(cell, by), by, to):
            difference, asked = differences(one, other, rest, metric)
            names = {"first": label(by, first), "second": label(by, second)}
            row = dict(zip(against, condition, strict=True)) | names
            rows.append(row | paired(difference) | {"unpaired": asked - len(difference)})
    comparisons = pd.DataFrame(rows)
    if len(comparisons):
        comparisons["p_holm"] = holm(comparisons["p"].to_numpy())
    return comparisons


def _two_by_two(
    groups: list[tuple[tuple, pd.DataFrame]], by: Sequence[str], to: str | None
) -> list[tuple]:
    """Every two methods, or every other with `to`, in whose own rows what is `to` too comes in its order."""
    if to is None:
        return list(combinations(groups, 2))
    asked = [_is(levels, by, to) for levels, _ in groups]
    pairs = combinations(range(len(groups)), 2)
    swapped = ((j, i) if asked[i] and not asked[j] else (i, j) for i, j in pairs)
    return [(groups[i], groups[j]) for i, j in swapped if asked[j]]


def _is(levels: tuple, by: Sequence[str], method: str) -> bool:
    return method in (label(by, levels), plain(levels[0]))


def _check_method(table: pd.DataFrame, by: Sequence[str], method: str) -> None:
    levels = [levels for levels, _ in grouped(table, by)] if by else []
    if not any(_is(one, by, method) for one in levels):
        known = [label(by, one) for one in levels]
        raise KeyError(f"--to {method}: no method of this name; {nearest(method, known)}")


def differences(
    one: pd.DataFrame, other: pd.DataFrame, rest: Sequence[str], metric: str
) -> tuple[np.ndarray, int]:
    """first − second, one a seed, and how many seeds either has, whatever became of them.

    Differences that are equal but for the rounding of the values are made equal, so that tests of ranks see ties.
    """
    means = []
    for runs in (one, other):
        keys = [seeds(runs).rename("seed"), *(runs[k].map(str) for k in rest)]
        means.append(values(runs, metric).groupby(keys).mean())
    both = (means[0] - means[1]).dropna()
    largest = (
        max((abs(mean.loc[both.index]).max() for mean in means), default=0) if len(both) else 0
    )
    asked = set(seeds(one)) | set(seeds(other))
    return with_ties(both.groupby("seed").mean().to_numpy(), ROUNDING * largest), len(asked)


def paired(difference: np.ndarray) -> dict[str, float]:
    """Mean difference with its interval, effect size and p-values; NaN of fewer than two.

    Where all are the same, there is no spread for d_z and a t test to measure by: NaN, but for no difference at all
    (0 and 1). A test of ranks needs none.
    """
    if len(difference):
        difference = with_ties(difference, ROUNDING * abs(difference).max())
    moments = spread(difference)
    row = {
        "n": moments["n"],
        "difference": moments["mean"],
        "low": moments["low"],
        "high": moments["high"],
    }
    tests = {"d_z": np.nan, "p": np.nan, "p_wilcoxon": np.nan}
    if len(difference) < 2:
        return row | tests
    if not difference.any():
        return row | {"d_z": 0.0, "p": 1.0, "p_wilcoxon": 1.0}
    tests["p_wilcoxon"] = float(stats.wilcoxon(difference).pvalue)
    if np.ptp(difference):
        tests["d_z"] = moments["mean"] / moments["std"]
        tests["p"] = float(stats.ttest_1samp(difference, 0).pvalue)
    return row | tests


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected by Holm's step-down method, of those that are not NaN: running max of (m − i) p_(i)."""
    p = np.asarray(p, dtype=float)
    corrected = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return corrected
