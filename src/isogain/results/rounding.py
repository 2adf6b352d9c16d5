"""Numbers as a reader wants them: as many digits as their uncertainty leaves."""

import numpy as np
import pandas as pd


def estimate(row: pd.Series) -> str:
    """mean ± half the width of the interval, with as many digits as that allows."""
    half = row["high"] - row["mean"]
    if not np.isfinite(row["mean"]):
        return "–"
    if not np.isfinite(half):
        return f"{row['mean']:.4g}"
    return f"{rounded(row['mean'], half)} ± {rounded(half, half)}"


def rounded(value: float, error: float) -> str:
    """The value to two significant digits of its error; four of its own where that is not known."""
    if not np.isfinite(value):
        return "–"
    digits = 1 - int(np.floor(np.log10(error))) if error > 0 and np.isfinite(error) else None
    if digits is None or not 0 <= digits <= 6:
        return f"{value:.4g}"
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.000


def interval(row: pd.Series) -> str:
    """low … high."""
    half = (row["high"] - row["low"]) / 2
    if not np.isfinite(half):
        return "–"
    return f"{rounded(row['low'], half)} … {rounded(row['high'], half)}"
