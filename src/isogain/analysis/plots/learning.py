"""Learning curves: the mean over seeds with its 95 % interval, a curve a group."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label, counted, groups
from isogain.analysis.plots.style import (
    MOST,
    is_accuracy,
    legend,
    line,
    page,
    styled,
    text,
    within_range,
    wrapped,
)
from isogain.analysis.statistics.aggregate import seeds, spread
from isogain.analysis.statistics.curves import curves

METRICS = ("val/acc", "val/loss", "train/acc", "train/loss")  # the first that a run has
DECADES = 2  # of positive values, from which on their logarithms are averaged and drawn


class Curve(NamedTuple):
    """steps, mean, low and high (points,) over the seeds that finished; `ended`: last step and value of the others."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ended: np.ndarray


def curve(runs: pd.DataFrame, logged: pd.DataFrame, metric: str, log: bool = False) -> Curve:
    """Of a group: at all steps that every run which finished has passed, straight between those where it logged.

    With `log` the geometric mean and its interval.
    """
    logged = logged[logged["folder"].isin(runs["folder"])]
    done = set(runs["folder"][runs["status"] == "finished"])
    each = {f: rows.drop_duplicates("step", keep="last") for f, rows in logged.groupby("folder")}
    whole = [rows for folder, rows in each.items() if folder in done]
    ended = [rows[["step", metric]].iloc[-1] for f, rows in each.items() if f not in done]
    ends = np.array(ended, dtype=float).reshape(-1, 2)
    if not whole:
        return Curve(*np.empty((4, 0)), ends)
    first = max(rows["step"].iloc[0] for rows in whole)
    last = min(rows["step"].iloc[-1] for rows in whole)
    steps = np.unique(np.concatenate([rows["step"] for rows in whole]))
    steps = steps[(first <= steps) & (steps <= last)]
    into, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    values = [np.interp(steps, rows["step"], into(rows[metric])) for rows in whole]
    seed = dict(zip(runs["folder"], seeds(runs), strict=True))  # of one seed's runs the mean counts
    of_seed = pd.DataFrame(values).groupby([seed[r["folder"].iloc[0]] for r in whole]).mean()
    found = [spread(of_seed[i].to_numpy()) for i in of_seed]
    mean, low, high = (back([f[key] for f in found]) for key in ("mean", "low", "high"))
    return Curve(steps, mean, low, high, ends)


@styled
def learning(table: pd.DataFrame, by: tuple[str, ...] = (), metric: str | None = None) -> Any:
    """A curve a group; runs that did not finish end in a cross and are in no mean.

    Where positive values span more than two decades the mean is the geometric one and the axis logarithmic.
    """
    named = groups(table, by)
    if len(named) > MOST:
        raise ValueError(f"{len(named)} curves do not fit: say what to pool runs by (--by)")
    logged, metric = _logged(table, metric)
    log = not is_accuracy(metric) and _spans_decades(logged[metric].to_numpy(dtype=float))
    figure, (axes,) = page(height=3.2)
    for i, (name, runs) in enumerate(named.items()):
        found, look = curve(runs, logged, metric, log), line(i)
        every = max(len(found.steps) // 8, 1)
        name = wrapped(text(counted(name, runs)), 44)
        axes.plot(found.steps, found.mean, **look, markevery=every, lw=1.5, label=name)
        if np.isfinite(found.low).any():
            axes.fill_between(
                found.steps, found.low, found.high, color=look["color"], alpha=0.2, lw=0
            )
        axes.plot(*found.ended.T, "x", color=look["color"], ms=7, mew=1.5)
    axes.set(xlabel="optimiser steps", ylabel=axis_label(metric))
    axes.set_yscale("log" if log else "linear")
    within_range(axes, metric)
    mean = "geometric mean" if log else "mean"
    legend(figure, f"{mean} over seeds and its 95 % interval; ×: a run that stopped early")
    return figure


def _spans_decades(values: np.ndarray) -> bool:
    values = values[np.isfinite(values)]
    return bool(len(values)) and 0 < values.min() < 10**-DECADES * values.max()


def _logged(table: pd.DataFrame, metric: str | None) -> tuple[pd.DataFrame, str]:
    """The metric, or of METRICS the first that makes a curve: a run logged it at two steps."""
    for name in METRICS if metric is None else ():
        try:
            logged = curves(table, [name])
        except KeyError:
            continue
        if logged["folder"].duplicated().any():
            return logged, name
    name = metric or METRICS[-1]
    return curves(table, [name]), name
