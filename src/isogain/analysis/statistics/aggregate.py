"""What a metric is over seeds: mean, standard error and interval, and what became of the runs that have none."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import t as student

from isogain.analysis.statistics.digits import are_equal
from isogain.config.nearest import nearest
from isogain.config.objective import better as better  # asked for here by all statistics
from isogain.record.config_yaml import GROUPS
from isogain.record.run_status import Status

LEVEL = 0.95
ORDER = (  # in a sentence
    *(Status.DIVERGED, Status.FAILED, Status.BROKEN, Status.LOST, Status.INTERRUPTED),
    *(Status.PREEMPTED, Status.RUNNING, Status.PENDING),
)


def aggregated(table: pd.DataFrame, by: Sequence[str], metric: str) -> pd.DataFrame:
    """A row a cell, the runs that agree in `by`: n, mean, std, sem, low, high, runs and `others`.

    n seeds that finished with a value (of several runs of one seed their mean counts once), sem = std/√n, low and high
    mean ± t(0.975; n − 1) sem. others: what became of the other runs, "2 diverged, 1 failed". Raises KeyError.
    """
    by = list(by)
    check(table, [*by, metric])
    rows = []
    for levels, cell in grouped(table, by):
        values = per_seed(cell, metric)
        rows.append({**dict(zip(by, levels, strict=True)), **spread(values.to_numpy())})
        rows[-1] |= {"runs": len(cell), "others": others(cell, metric)}
    return pd.DataFrame(rows)


def spread(values: np.ndarray) -> dict[str, float]:
    """n, mean, std, sem and the interval of independent values; NaN where there are too few."""
    n = len(values)
    mean = values.mean() if n else np.nan
    std = values.std(ddof=1) if n > 1 else np.nan
    sem = std / np.sqrt(max(n, 1))
    half = student.ppf((1 + LEVEL) / 2, n - 1) * sem if n > 1 else np.nan
    return {"n": n, "mean": mean, "std": std, "sem": sem, "low": mean - half, "high": mean + half}


def per_seed(cell: pd.DataFrame, metric: str) -> pd.Series:
    """The metric of the runs that finished, a mean a seed; a run that does not know its seed counts alone."""
    known = values(cell, metric).dropna()
    return known.groupby(seeds(cell.loc[known.index])).mean()


def values(table: pd.DataFrame, metric: str) -> pd.Series:
    """The metric of every run that finished with a finite number, NaN of all others: what counts, everywhere."""
    column = numbers(table, metric)
    return column.where((table["status"] == Status.FINISHED) & np.isfinite(column))


def seeds(table: pd.DataFrame) -> pd.Series:
    """Each run's seed, its folder where it has none, as text."""
    return table["seed"].astype(object).where(table["seed"].notna(), table["folder"]).map(str)


def numbers(table: pd.DataFrame, metric: str) -> pd.Series:
    """The column as floats, NaN where it holds none."""
    return pd.to_numeric(table[metric], errors="coerce").astype(float)


def others(cell: pd.DataFrame, metric: str) -> str:
    """Every run that is not in the mean, by what became of it."""
    finished = cell["status"] == Status.FINISHED
    counts = cell["status"][~finished].value_counts().to_dict()
    if without := int((finished & values(cell, metric).isna()).sum()):
        counts[f"without {metric}"] = without
    known = [status for status in ORDER if status in counts]
    return ", ".join(f"{counts[s]} {s}" for s in dict.fromkeys([*known, *counts]))


def check(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises KeyError with the nearest name for a column that is not there."""
    for name in columns:
        if name not in table:
            raise KeyError(f"{name}: no run has it; {nearest(name, table.columns)}")


def varied(table: pd.DataFrame) -> list[str]:
    """The options, but the seed, in which runs differ and which a command line set, or that depend on none."""
    overridden = [k for k in table.attrs.get("overridden", []) if k != "seed" and k in table]
    groups = [k for k in GROUPS if k in table and k not in overridden]
    return [k for k in [*overridden, *groups] if table[k].nunique(dropna=False) > 1]


def mixed(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """What varies within a cell, the runs that agree in `by`."""
    rest = [k for k in varied(table) if k not in by]
    if not by or not rest:
        return rest
    within = table.groupby(list(by), dropna=False)[rest].nunique(dropna=False).max()
    return [k for k in rest if within[k] > 1]


def methods(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What to compare where nobody says: the first group that varies, or the first option, against the others.

    Options of that group (reg.strength of reg) tell methods apart too.
    """
    names = varied(table)
    if not names:
        return [k for k in ("model", "init", "reg") if k in table], []
    first = next((k for k in ("reg", *GROUPS) if k in names), names[0])
    by = [first, *(k for k in names if k.startswith(f"{first}."))]
    return by, [k for k in names if k not in by]


def best(cells: pd.DataFrame, sign: int) -> pd.Series | None:
    """The cell with the best mean of those in which no run diverged, failed or broke; of all, where there is none.

    Of cells whose means are equal but for rounding the first.
    """
    known = cells[cells["mean"].notna()]
    whole = known[~known["others"].str.contains("diverged|failed|broken")]
    among = whole if len(whole) else known
    return first_best(among, sign) if len(among) and sign else None


def first_best(cells: pd.DataFrame, sign: int) -> pd.Series:
    """The first of the cells whose mean is the largest (sign 1) or the least (−1), but for rounding."""
    means = sign * cells["mean"]
    return cells[are_equal(means, means.max())].iloc[0]


def grouped(table: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple, pd.DataFrame]]:
    """The levels of `by` and the runs of each; what is absent is a level too."""
    if not by:
        return [((), table)]
    return list(table.groupby(list(by), dropna=False, sort=True))


def label(by: Sequence[str], levels: Sequence[object]) -> str:
    """gain, or, of several, reg=gain model.hidden=64; what a run does not have is left out."""
    if len(levels) == 1:
        return plain(levels[0])
    known = zip(by, levels, strict=True)
    return " ".join(f"{key}={plain(level)}" for key, level in known if level == level)


def plain(level: object) -> str:
    """A level as a user writes it: 16 rather than 16.0, which a column with gaps makes of it."""
    if level is None or level != level:
        return "–"
    whole = isinstance(level, float) and level.is_integer() and abs(level) < 1e15
    return f"{level:.0f}" if whole else str(level)
