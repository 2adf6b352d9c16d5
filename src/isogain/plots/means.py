"""A metric by method and condition: the mean over seeds, its 95 % interval, and every seed."""

from typing import Any

import numpy as np
import pandas as pd

from isogain.plots.runs import axis_label
from isogain.plots.style import legend, line, page, styled, text, within_range, wrapped
from isogain.results.aggregate import aggregated, grouped, label, per_seed, plain

MOST = 40  # conditions, from which on their names do not fit


@styled
def means(
    table: pd.DataFrame,
    by: tuple[str, ...] = (),
    against: tuple[str, ...] = (),
    metric: str = "test/acc",
) -> Any:
    """Conditions `against` to the right, a colour a level of `by`; without conditions the levels to the right."""
    if not against:
        by, against = (), by
    conditions = [label(against, levels) for levels, _ in grouped(table, against)]
    if len(conditions) > MOST:
        raise ValueError(f"{len(conditions)} conditions do not fit: name fewer (--by, --against)")
    figure, (axes,) = page(height=3.2)
    named = grouped(table, by)
    for i, (levels, runs) in enumerate(named):
        cells = aggregated(runs, against, metric)
        names = [label(against, row) for row in cells[list(against)].itertuples(index=False)]
        at = np.array([conditions.index(name) for name in names], dtype=float)
        at += 0.5 * ((i + 0.5) / len(named) - 0.5)
        name = ", ".join(map(plain, levels)) or "mean and 95 % interval"
        _draw(axes, at, cells, line(i), wrapped(text(name), 60))
        for x, (_, cell) in zip(at, grouped(runs, against), strict=True):
            values = per_seed(cell, metric)
            axes.plot(
                [x] * len(values), values, "_", color=line(i)["color"], alpha=0.4, ms=6, zorder=1
            )
    turned = 0 if max(map(len, conditions)) * len(conditions) < 60 else 30
    axes.set_xticks(
        range(len(conditions)),
        [wrapped(text(c), 24) for c in conditions],
        rotation=turned,
        ha="right" if turned else "center",
    )
    axes.set(xlabel=text(", ".join(against)), ylabel=axis_label(metric))
    within_range(axes, metric)
    told = f"{text(', '.join(by))}: mean and 95 % interval; –: a seed" if by else "–: a seed"
    legend(figure, told)
    return figure


def _draw(axes: Any, at: np.ndarray, cells: pd.DataFrame, look: dict[str, Any], name: str) -> None:
    half = cells["high"] - cells["mean"]
    axes.errorbar(
        at,
        cells["mean"],
        half,
        **(look | {"ls": "", "mec": "w", "mew": 0.6, "ms": 6}),
        capsize=2.5,
        lw=1.2,
        label=name,
    )
    for x, told in zip(at, cells["others"], strict=True):
        if told:
            place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "size": 8}
            axes.annotate(told, (x, 0.01), ha="center", va="bottom", color=look["color"], **place)
