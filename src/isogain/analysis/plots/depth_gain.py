"""Depth against gain: the metric at the end, and the steps to a value of it, with the critical gain."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label, edges
from isogain.analysis.plots.style import COLOURS, SEQUENTIAL, page, styled
from isogain.analysis.statistics.aggregate import check, grouped, numbers, others, per_seed
from isogain.analysis.statistics.curves import curves
from isogain.config.objective import known_sign
from isogain.record.run_status import Status

EMPTY = 0.88  # grey of a cell without a value
DARK = 1.5  # sum of red, green and blue below which a cell's value is written in white
ANNOTATED = 80  # cells, up to which each shows its value
SHARE = 0.9  # of the best value: the default of `reach`


class Grid(NamedTuple):
    """Rows and columns (increasing), values (rows, columns), NaN where there is none, and `reasons` in their place.

    reasons (rows, columns) holds a few words for each cell without a value, "" for the others.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    reasons: np.ndarray


def final(table: pd.DataFrame, rows: str, columns: str, metric: str) -> Grid:
    """The mean over seeds of the metric at the end of training."""

    def value(cell: pd.DataFrame) -> tuple[float, str]:
        of_seeds = per_seed(cell, metric)
        return (of_seeds.mean(), "") if len(of_seeds) else (np.nan, others(cell, metric))

    check(table, [rows, columns, metric])
    return _grid(table, rows, columns, value)


def time_to(table: pd.DataFrame, rows: str, columns: str, curve: str, reach: float) -> Grid:
    """The median over finished runs of the first step at which `curve` was logged at `reach` or better.

    Runs that never reach it count as infinitely late; a cell with an infinite median has the reason "never".
    """
    check(table, [rows, columns])
    sign, logged = known_sign(curve), curves(table, [curve])
    there = logged[sign * logged[curve] >= sign * reach].groupby("folder")["step"].min()

    def value(cell: pd.DataFrame) -> tuple[float, str]:
        known = cell[cell["status"] == Status.FINISHED]["folder"]
        if not len(known):
            return np.nan, others(cell.assign(there=0.0), "there")
        median = known.map(there).fillna(np.inf).median()
        return (median, "") if np.isfinite(median) else (np.nan, "never")

    return _grid(table, rows, columns, value)


@styled
def depth_gain(
    table: pd.DataFrame,
    rows: str = "model.depth",
    columns: str = "init.gain",
    metric: str = "test/acc",
    curve: str = "train/acc",
    reach: float | None = None,
) -> Any:
    """Two panels: the metric at the end, and the steps until `curve` reaches `reach`."""
    at_end = final(table, rows, columns, metric)
    if not np.isfinite(at_end.values).any():
        raise ValueError(f"{metric}: no run of the grid finished with it")
    reach = reach if reach is not None else default_reach(table, curve)
    steps_to = time_to(table, rows, columns, curve, reach)
    figure, panels = page(2, height=3.4, sharey=True)
    titles = (f"{axis_label(metric)} at the end", f"steps to {axis_label(curve)} {reach:.3g}")
    line = critical_gain(table, columns)
    maps = (SEQUENTIAL, f"{SEQUENTIAL}_r")  # what is good is light in both
    for axes, grid, title, shades in zip(panels, (at_end, steps_to), titles, maps, strict=True):
        _draw(figure, axes, grid, shades)
        axes.set(title=title, xlabel=_axis(columns))
        if line is not None and grid.columns[0] <= line <= grid.columns[-1]:
            axes.axvline(line, color=COLOURS[1], lw=2, ls="--", label=r"critical, $\chi = 1$")
    panels[0].set_ylabel(_axis(rows))
    if handles := panels[0].get_legend_handles_labels()[0]:
        figure.legend(handles=handles, loc="outside lower center", frameon=False)
    return figure


def default_reach(table: pd.DataFrame, curve: str) -> float:
    """SHARE of the best accuracy that any run logged, or of the way down from the largest to the smallest loss."""
    logged = curves(table, [curve])[curve]
    sign = known_sign(curve)
    best, worst = (logged.max(), 0.0) if sign > 0 else (logged.min(), logged.max())
    return float(f"{worst + SHARE * (best - worst):.2g}")


def critical_gain(table: pd.DataFrame, columns: str = "init.gain") -> float | None:
    """The gain at which χ = 1 for small signals without bias, 1/√E[φ'²]; None where the runs share no such gain.

    It is known for feed-forward networks of orthogonal or Gaussian weights; a recurrent network's depends on its input.
    """
    names = {k: set(table[k].dropna()) for k in ("model", "init", "model.activation") if k in table}
    known = columns == "init.gain" and names.get("model") == {"mlp"}
    if not known or not names.get("init", {""}) <= {"orthogonal", "gaussian", "glorot"}:
        return None
    if len(phi := names.get("model.activation", set())) != 1:
        return None
    from isogain.theory.meanfield import critical

    return float(critical(phi.pop(), 1e-10)[0])


def _grid(table: pd.DataFrame, rows: str, columns: str, value: Any) -> Grid:
    places = [np.unique(numbers(table, key).dropna()) for key in (rows, columns)]
    if not all(map(len, places)):
        raise ValueError(f"{rows} and {columns}: not numbers")
    values = np.full([len(p) for p in places], np.nan)
    reasons = np.full(values.shape, "no run", dtype=object)
    for at, cell in grouped(table.dropna(subset=[rows, columns]), [rows, columns]):
        i, j = (np.searchsorted(p, float(v)) for p, v in zip(places, at, strict=True))
        values[i, j], reasons[i, j] = value(cell)
    return Grid(*places, values, reasons)


def _draw(figure: Any, axes: Any, grid: Grid, shades: str) -> None:
    from matplotlib.patheffects import withStroke

    x, y = edges(grid.columns), np.arange(len(grid.rows) + 1) - 0.5
    image = axes.pcolormesh(
        x, y, np.ma.masked_invalid(grid.values), cmap=shades, edgecolors="w", lw=0.5
    )
    axes.set_facecolor((EMPTY,) * 3)
    axes.set_yticks(range(len(grid.rows)), [f"{row:g}" for row in grid.rows])
    axes.set_xticks(grid.columns, [f"{c:g}" for c in grid.columns])
    figure.colorbar(image, ax=axes, aspect=30, location="top")
    if grid.values.size > ANNOTATED:
        return
    for (i, j), value in np.ndenumerate(grid.values):
        cell = image.cmap(image.norm(value))[:3] if np.isfinite(value) else (EMPTY,) * 3
        label = f"{value:.3g}" if np.isfinite(value) else grid.reasons[i, j].replace(", ", "\n")
        around = [withStroke(linewidth=2.5, foreground=cell)]  # over the line, too
        look = {"color": "w" if sum(cell) < DARK else "k", "path_effects": around, "size": 8}
        axes.text((x[j] + x[j + 1]) / 2, i, label, ha="center", va="center", **look)


def _axis(name: str) -> str:
    known = {
        "model.depth": "depth $L$ (layers)",
        "init.gain": r"gain $\sigma_w$",
        "data.T": "length $T$ (time steps)",
    }
    return known.get(name, name)
