"""A metric by method and condition: the mean over seeds, its 95 % interval, and every seed."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from isogain.plots.runs import axis_label
from isogain.plots.style import legend, line, page, styled, text, within_range, wrapped
from isogain.results.aggregate import aggregated, grouped, per_seed, plain

MOST = 40  # conditions, from which on their names do not fit
BESIDE = 60  # letters of names that fit side by side


@styled
def means(
    table: pd.DataFrame,
    by: tuple[str, ...] = (),
    against: tuple[str, ...] = (),
    metric: str = "test/acc",
) -> Any:
    """Conditions `against` to the right, or from the top down where their names are long; a colour a level of `by`.
    Without conditions the levels of `by` in their place.
    """
    if not against:
        by, against = (), by
    conditions = [_name(levels) for levels, _ in grouped(table, against)]
    if len(conditions) > MOST:
        raise ValueError(f"{len(conditions)} conditions do not fit: name fewer (--by, --against)")
    named = grouped(table, by)
    upright = max(map(len, conditions)) * len(conditions) < BESIDE
    rows = len(conditions) * (1 + len(named)) / 2
    figure, (axes,) = page(height=3.2 if upright else 0.5 + 0.2 * rows)
    for i, (levels, runs) in enumerate(named):
        cells = aggregated(runs, against, metric)
        names = [_name(row) for row in cells[list(against)].itertuples(index=False)]
        at = np.array([conditions.index(name) for name in names], dtype=float)
        at += 0.5 * ((i + 0.5) / len(named) - 0.5)
        name = _name(levels) or "mean and 95 % interval"
        _draw(axes, at, cells, line(i), wrapped(text(name), 60), upright)
        for x, (_, cell) in zip(at, grouped(runs, against), strict=True):
            values = per_seed(cell, metric)
            places = [x] * len(values)
            look = {"ls": "", "marker": "_" if upright else "|", "alpha": 0.4, "ms": 6, "zorder": 1}
            axes.plot(
                *((places, values) if upright else (values, places)),
                color=line(i)["color"],
                **look,
            )
    ticks, label = (axes.set_xticks, "xlabel") if upright else (axes.set_yticks, "ylabel")
    ticks(range(len(conditions)), [text(name) for name in conditions])
    axes.set(
        **{label: text(", ".join(against)), "ylabel" if upright else "xlabel": axis_label(metric)}
    )
    if upright:
        within_range(axes, metric)
    else:
        axes.invert_yaxis()
    seed = "–: a seed" if upright else "|: a seed"
    legend(figure, f"{text(', '.join(by))}: mean and 95 % interval; {seed}" if by else seed)
    return figure


def _name(levels: Iterable[object]) -> str:
    """Of a condition whose keys the axis names."""
    return ", ".join(map(plain, levels))


def _draw(
    axes: Any,
    at: np.ndarray,
    cells: pd.DataFrame,
    look: dict[str, Any],
    name: str,
    upright: bool,
) -> None:
    half, mean = cells["high"] - cells["mean"], cells["mean"]
    marks = look | {"ls": "", "mec": "w", "mew": 0.6, "ms": 6, "label": name}
    if upright:
        axes.errorbar(at, mean, half, **marks, capsize=2.5, lw=1.2)
    else:
        axes.errorbar(mean, at, xerr=half, **marks, capsize=2.5, lw=1.2)
    for x, told in zip(at, cells["others"], strict=True):
        if told and upright:
            place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "va": "bottom"}
            axes.annotate(told, (x, 0.01), ha="center", size=8, color=look["color"], **place)
        elif told:
            place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center"}
            axes.annotate(told, (0.99, x), size=8, color=look["color"], **place)
