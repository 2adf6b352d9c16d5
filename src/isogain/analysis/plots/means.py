"""A metric by method and condition: the mean over seeds, its 95 % interval, and every seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label
from isogain.analysis.plots.style import legend, line, page, styled, text, within_range, wrapped
from isogain.analysis.statistics.aggregate import aggregated, grouped, per_seed, plain

MOST = 40  # conditions, from which on their names do not fit
BESIDE = 60  # letters of names that fit side by side


@styled
def means(
    table: pd.DataFrame,
    by: tuple[str, ...] = (),
    against: tuple[str, ...] = (),
    metric: str = "test/acc",
) -> Any:
    """Conditions `against` to the right, or downwards where their names are long; a colour for each level of `by`.

    Without `against` the levels of `by` are the conditions.
    """
    if not against:
        by, against = (), by
    conditions = [_name(levels) for levels, _ in grouped(table, against)]
    if len(conditions) > MOST:
        raise ValueError(f"{len(conditions)} conditions do not fit: name fewer (--by, --against)")
    named = grouped(table, by)
    layout = _Layout.fitting(conditions, len(named), metric, ", ".join(against))
    for i, (levels, runs) in enumerate(named):
        cells = aggregated(runs, against, metric)
        at = _places(cells, against, conditions) + 0.5 * ((i + 0.5) / len(named) - 0.5)
        name = _name(levels) or "mean and 95 % interval"
        layout.draw_intervals(at, cells, line(i), wrapped(text(name), 60))
        for x, (_, cell) in zip(at, grouped(runs, against), strict=True):
            layout.draw_seeds(x, per_seed(cell, metric), line(i)["color"])
    layout.set_limits(metric)
    seed = f"{layout.dash}: a seed"
    title = f"{text(', '.join(by))}: mean and 95 % interval; {seed}" if by else seed
    legend(layout.figure, title)
    return layout.figure


def _name(levels: Iterable[object]) -> str:
    """The name of a condition by its levels alone: the axis label has the keys."""
    return ", ".join(map(plain, levels))


def _places(cells: pd.DataFrame, against: Sequence[str], conditions: list[str]) -> np.ndarray:
    """The position (cells,) of each cell's condition among `conditions`."""
    names = [_name(row) for row in cells[list(against)].itertuples(index=False)]
    return np.array([conditions.index(name) for name in names], dtype=float)


@dataclass
class _Layout:
    """Axes with conditions to the right and values upwards if `upright`, else with conditions downwards."""

    figure: Any
    axes: Any
    upright: bool

    @classmethod
    def fitting(cls, conditions: list[str], methods: int, metric: str, keys: str) -> "_Layout":
        upright = max(map(len, conditions)) * len(conditions) < BESIDE
        rows = len(conditions) * (1 + methods) / 2
        figure, (axes,) = page(height=3.2 if upright else 0.5 + 0.2 * rows)
        ticks = axes.set_xticks if upright else axes.set_yticks
        ticks(range(len(conditions)), [text(name) for name in conditions])
        labels = [text(keys), axis_label(metric)]
        axes.set(**dict(zip(("xlabel", "ylabel"), labels[:: 1 if upright else -1], strict=True)))
        return cls(figure, axes, upright)

    @property
    def dash(self) -> str:
        return "–" if self.upright else "|"

    def draw_intervals(
        self, at: np.ndarray, cells: pd.DataFrame, look: dict[str, Any], name: str
    ) -> None:
        """Draw the means with their intervals, and beside them how many runs have no value and why."""
        half, mean = cells["high"] - cells["mean"], cells["mean"]
        marks = look | {"ls": "", "mec": "w", "mew": 0.6, "ms": 6, "label": name}
        marks |= {"capsize": 2.5, "lw": 1.2}
        if self.upright:
            self.axes.errorbar(at, mean, half, **marks)
        else:
            self.axes.errorbar(mean, at, xerr=half, **marks)
        for x, note in zip(at, cells["others"], strict=True):
            if note:
                self._annotate(x, note, look["color"])

    def draw_seeds(self, at: float, values: Sequence[float], color: str) -> None:
        places = [at] * len(values)
        look = {"marker": "_" if self.upright else "|", "alpha": 0.4, "ms": 6, "zorder": 1}
        pair = (places, values) if self.upright else (values, places)
        self.axes.plot(*pair, color=color, ls="", **look)

    def set_limits(self, metric: str) -> None:
        if self.upright:
            within_range(self.axes, metric)
        else:
            self.axes.invert_yaxis()

    def _annotate(self, at: float, note: str, color: str) -> None:
        if self.upright:
            place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "ha": "center"}
            self.axes.annotate(note, (at, 0.01), va="bottom", size=8, color=color, **place)
        else:
            place = {"xycoords": ("axes fraction", "data"), "ha": "right"}
            self.axes.annotate(note, (0.99, at), va="center", size=8, color=color, **place)
