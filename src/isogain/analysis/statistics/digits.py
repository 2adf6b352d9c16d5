"""Numbers as a reader wants them: as many digits as their uncertainty leaves."""

from typing import Any

import numpy as np
import pandas as pd

ROUNDING = (
    1e-12  # relative: numbers that differ by less are the same number, rounded on different ways
)


def are_equal(values: Any, reference: float) -> Any:
    """Where `values` are `reference` but for rounding, which sums in another order leave behind."""
    return abs(values - reference) <= ROUNDING * np.maximum(abs(values), abs(reference))


def with_ties(values: np.ndarray, error: float) -> np.ndarray:
    """The values, (n,), with one size, the mean, where sizes lie within `error` of the next; 0 within `error`."""
    sizes = abs(values)
    order = np.argsort(sizes, kind="stable")
    ends = np.diff(sizes[order], prepend=sizes[order][:1]) > error
    group = np.empty(len(values), dtype=int)
    group[order] = np.cumsum(ends)
    means = np.bincount(group, sizes) / np.bincount(group) if len(values) else sizes
    return np.sign(values) * np.where(means[group] > error, means[group], 0.0)


def estimate(row: pd.Series) -> str:
    """mean ± half the width of the interval, with as many digits as that allows."""
    half = (row["high"] - row["low"]) / 2
    if not np.isfinite(row["mean"]):
        return "–"
    if not np.isfinite(half):
        return rounded(row["mean"], half)
    return f"{rounded(row['mean'], half)} ± {rounded(half, half)}"


def rounded(value: float, error: float) -> str:
    """The value to two significant digits of its error; four of its own where that is not known.

    Rounded once, by Python's formatting: NumPy's own `round` gives 0.718 for 0.7185, whose nearest float lies above.
    """
    if not np.isfinite(value):
        return "–"
    digits = 1 - int(np.floor(np.log10(error))) if error > 0 and np.isfinite(error) else None
    if digits is None or not 0 <= digits <= 6:
        return f"{value:.4g}"
    text = f"{float(value):.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text  # no -0.000


def interval(row: pd.Series) -> str:
    """low … high."""
    half = (row["high"] - row["low"]) / 2
    if not np.isfinite(half):
        return "–"
    return f"{rounded(row['low'], half)} … {rounded(row['high'], half)}"
