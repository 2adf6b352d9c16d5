"""The committed tables of results/, read by name and condition."""

import math
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
from pages import ROOT
from scipy import stats

ACC = "test/acc"
Where = Mapping[str, object]


@cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / f"{name}.csv")


def rows(name: str, where: Where = {}) -> pd.DataFrame:  # noqa: B006 - never written
    """The rows of results/NAME.csv that have these values in their columns; None is an empty cell."""
    found = table(name)
    for key, value in where.items():
        found = found[found[key].isna() if value is None else found[key] == value]
    assert len(found), (name, where)
    return found


def by_seed(name: str, metric: str, where: Where) -> pd.Series:
    """A metric of the runs of one condition."""
    found = rows(f"{name}/runs", where).set_index("seed")[metric].sort_index()
    assert found.index.is_unique, (name, where)
    return found


def interval(sample: pd.Series, scale: float = 1) -> tuple[float, ...]:
    """Mean, and the ends of its 95 % interval by Student's t."""
    sample = scale * sample.dropna()
    half = stats.sem(sample) * stats.t.ppf(0.975, len(sample) - 1)
    return sample.mean(), sample.mean() - half, sample.mean() + half


def spread(sample: pd.Series, scale: float = 1) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval."""
    mean, _, high = interval(sample, scale)
    return mean, high - mean


def points(sample: pd.Series) -> tuple[float, ...]:
    """The interval of shares, in percentage points."""
    return interval(sample, 100)


def p(*differences: pd.Series) -> float:
    """The largest p of Student's paired test, uncorrected."""
    return max(stats.ttest_1samp(d.dropna(), 0).pvalue for d in differences)


def pearson(x: pd.Series, y: pd.Series) -> tuple[float, float, float]:
    """ρ and its 95 % interval by Fisher's transformation."""
    rho = np.corrcoef(x, y)[0, 1]
    half = stats.norm.ppf(0.975) / math.sqrt(len(x) - 3)
    return rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def up(value: float, digits: int = 1) -> float:
    """The next larger number of so many digits: what `p ≤` says."""
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return math.ceil(value / unit) * unit


def down(value: float, digits: int = 1) -> float:
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return math.floor(value / unit) * unit
