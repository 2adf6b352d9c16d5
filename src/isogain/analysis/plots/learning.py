"""Learning curves: the mean over seeds with its 95 % interval, a curve a group."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label, counted_label, groups
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
from isogain.record.run_status import Status

METRICS = (
    "val/acc",
    "val/loss",
    "train/acc",
    "train/loss",
)  # in the order in which they are preferred
DECADES = 2  # of positive values, from which on their logarithms are averaged and drawn


class Curve(NamedTuple):
    """The learning curve of a group of runs.

    steps, mean, low and high (points,): the mean over seeds of the runs that finished, and its 95 % interval, NaN of a
    single seed. ended (runs, 2): last step and last value of each run that did not finish.
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ended: np.ndarray


def curve(runs: pd.DataFrame, logged: pd.DataFrame, metric: str, log: bool = False) -> Curve:
    """The curve of `runs`, whose values of `metric` are in `logged` (folder, step and the metric).

    Values are interpolated linearly between the steps at which a run logged them. Runs of one seed are averaged first,
    so that every seed counts once. With `log` values are interpolated and averaged in the logarithm: the mean is the
    geometric one. Runs that did not finish are in no mean.
    """
    histories = _histories(runs, logged)
    done = set(runs["folder"][runs["status"] == Status.FINISHED])
    finished = {folder: rows for folder, rows in histories.items() if folder in done}
    others = [rows[["step", metric]].iloc[-1] for f, rows in histories.items() if f not in done]
    ended = np.array(others, dtype=float).reshape(-1, 2)
    if not finished:
        return Curve(*np.empty((4, 0)), ended)
    steps = _common_steps(list(finished.values()))
    forward, inverse = (np.log, np.exp) if log else (np.asarray, np.asarray)
    values = [np.interp(steps, h["step"], forward(h[metric])) for h in finished.values()]
    summaries = [spread(values_at) for values_at in _seed_means(values, list(finished), runs)]
    mean, low, high = (inverse([s[key] for s in summaries]) for key in ("mean", "low", "high"))
    return Curve(steps, mean, low, high, ended)


def _histories(runs: pd.DataFrame, logged: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Folder -> the rows of `logged` of this run, the last one of each step."""
    of_runs = logged[logged["folder"].isin(runs["folder"])]
    by_folder = of_runs.groupby("folder")
    return {folder: rows.drop_duplicates("step", keep="last") for folder, rows in by_folder}


def _common_steps(histories: list[pd.DataFrame]) -> np.ndarray:
    """The steps at which any run logged, within the range of steps that every run covers."""
    first = max(rows["step"].iloc[0] for rows in histories)
    last = min(rows["step"].iloc[-1] for rows in histories)
    steps = np.unique(np.concatenate([rows["step"] for rows in histories]))
    return steps[(first <= steps) & (steps <= last)]


def _seed_means(
    values: list[np.ndarray], folders: list[str], runs: pd.DataFrame
) -> list[np.ndarray]:
    """For each point the means (seeds,) over the runs of a seed; `values` holds (points,) of the run in each folder."""
    seed_of = dict(zip(runs["folder"], seeds(runs), strict=True))
    means = pd.DataFrame(values).groupby([seed_of[folder] for folder in folders]).mean()
    return [means[point].to_numpy() for point in means]


@styled
def learning(table: pd.DataFrame, by: tuple[str, ...] = (), metric: str | None = None) -> Any:
    """A curve for each group; a run that did not finish is a cross at its last step, and is in no mean.

    Where values are positive and span more than two decades, the mean is the geometric one and the axis logarithmic.
    """
    named = groups(table, by)
    if len(named) > MOST:
        raise ValueError(f"{len(named)} curves do not fit: say what to pool runs by (--by)")
    logged, metric = _logged(table, metric)
    log = not is_accuracy(metric) and _spans_decades(logged[metric].to_numpy(dtype=float))
    figure, (axes,) = page(height=3.2)
    for i, (name, runs) in enumerate(named.items()):
        label = wrapped(text(counted_label(name, runs)), 44)
        _draw(axes, curve(runs, logged, metric, log), line(i), label)
    axes.set(xlabel="optimiser steps", ylabel=axis_label(metric))
    axes.set_yscale("log" if log else "linear")
    within_range(axes, metric)
    mean = "geometric mean" if log else "mean"
    legend(figure, f"{mean} over seeds and its 95 % interval; ×: a run that stopped early")
    return figure


def _draw(axes: Any, drawn: Curve, look: dict[str, Any], label: str) -> None:
    every = max(len(drawn.steps) // 8, 1)
    axes.plot(drawn.steps, drawn.mean, **look, markevery=every, lw=1.5, label=label)
    if np.isfinite(drawn.low).any():
        band = {"color": look["color"], "alpha": 0.2, "lw": 0}
        axes.fill_between(drawn.steps, drawn.low, drawn.high, **band)
    axes.plot(*drawn.ended.T, "x", color=look["color"], ms=7, mew=1.5)


def _spans_decades(values: np.ndarray) -> bool:
    """Whether all finite values are positive and span more than DECADES powers of ten."""
    values = values[np.isfinite(values)]
    return bool(len(values)) and 0 < values.min() < 10**-DECADES * values.max()


def _logged(table: pd.DataFrame, metric: str | None) -> tuple[pd.DataFrame, str]:
    """The logged values of `metric` and its name; by default of the first of METRICS that a run logged at two steps."""
    for name in METRICS if metric is None else ():
        try:
            logged = curves(table, [name])
        except KeyError:
            continue
        if logged["folder"].duplicated().any():
            return logged, name
    name = metric or METRICS[-1]
    return curves(table, [name]), name
