"""A metric against the margin around the gain that singular values are allowed."""

from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label, groups
from isogain.analysis.plots.style import legend, line, page, styled, text, within_range, wrapped
from isogain.analysis.statistics.aggregate import aggregated, check, numbers, per_seed

MARGIN = "reg.margin"
FREE = "none"  # reg=none: no constraint at all


def margins(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that have a margin, and those without a regulariser, whose margin is set to infinity."""
    check(table, [MARGIN, "reg"])
    free = table["reg"] == FREE
    return table.assign(**{MARGIN: numbers(table, MARGIN).where(~free, np.inf)}).dropna(
        subset=[MARGIN]
    )


@styled
def margin(table: pd.DataFrame, by: tuple[str, ...] = (), metric: str = "test/acc") -> Any:
    """Mean and 95 % interval at each margin, evenly spaced, and every seed as a dot; a curve for each group."""
    table = margins(table)
    places = np.unique(table[MARGIN])
    figure, (axes,) = page(height=3.2)
    named = groups(table, by) if by else {"": table}
    for i, (name, runs) in enumerate(named.items()):
        shift, look = 0.08 * (i - (len(named) - 1) / 2), line(i)
        cells = aggregated(runs, [MARGIN], metric)
        at = np.searchsorted(places, cells[MARGIN]) + shift
        half = cells["high"] - cells["mean"]
        label = wrapped(text(name), 44) or "mean and 95 % interval"
        axes.errorbar(at, cells["mean"], half, capsize=3, lw=1.5, label=label, **look)
        for x, level in zip(at, cells[MARGIN], strict=True):
            seeds = per_seed(runs[runs[MARGIN] == level], metric)
            axes.plot([x + 0.03] * len(seeds), seeds, ".", color=look["color"], alpha=0.5, ms=4)
        _annotate(axes, at, cells["others"])
    names = [f"{p:g}" if np.isfinite(p) else "no\nconstraint" for p in places]
    axes.set_xticks(range(len(places)), names)
    axes.set(xlabel="margin of the singular values around the gain", ylabel=axis_label(metric))
    within_range(axes, metric)
    legend(figure)
    return figure


def _annotate(axes: Any, at: np.ndarray, notes: pd.Series) -> None:
    """Write at each place, upwards from the axis, how many runs have no value and why; nothing for an empty note."""
    for x, note in zip(at, notes, strict=True):
        if note:
            place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "size": 8}
            axes.annotate(note, (x, 0.01), ha="center", va="bottom", **place)
