"""Depth against gain: the metric at the end, and the steps to a value of it, with the critical gain."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import axis_label, edges
from isogain.analysis.plots.style import COLOURS, SEQUENTIAL, page, styled
from isogain.analysis.statistics.aggregate import check, grouped, numbers, others, per_seed
from isogain.analysis.statistics.curves import curves
from isogain.config.objective import known_sign

EMPTY, DARK = (
    0.88,
    1.5,
)  # grey of a cell without a value; sum of red, green and blue that white is read on
ANNOTATED = 80  # cells, up to which each tells its value
SHARE = 0.9  # of the best mean, which `reach` is where nobody says


class Grid(NamedTuple):
    """Rows and columns (increasing), values (rows, columns), NaN where there is none, and what is said instead."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    said: np.ndarray


def final(table: pd.DataFrame, rows: str, columns: str, metric: str) -> Grid:
    """The mean over seeds of the metric at the end."""

    def value(cell: pd.DataFrame) -> tuple[float, str]:
        found = per_seed(cell, metric)
        return (found.mean(), "") if len(found) else (np.nan, others(cell, metric))

    check(table, [rows, columns, metric])
    return _grid(table, rows, columns, value)


def time_to(table: pd.DataFrame, rows: str, columns: str, curve: str, reach: float) -> Grid:
    """The median over runs of the first step at which `curve` was logged at `reach` or better; never is "never".

    Where only some runs get there, those that do not count as infinitely late.
    """
    check(table, [rows, columns])
    sign, logged = known_sign(curve), curves(table, [curve])
    there = logged[sign * logged[curve] >= sign * reach].groupby("folder")["step"].min()

    def value(cell: pd.DataFrame) -> tuple[float, str]:
        known = cell[cell["status"] == "finished"]["folder"]
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
    last = final(table, rows, columns, metric)
    if not np.isfinite(last.values).any():
        raise ValueError(f"{metric}: no run of the grid finished with it")
    reach = reach if reach is not None else default_reach(table, curve)
    soon = time_to(table, rows, columns, curve, reach)
    figure, panels = page(2, height=3.4, sharey=True)
    titles = (f"{axis_label(metric)} at the end", f"steps to {axis_label(curve)} {reach:.3g}")
    line = critical_gain(table, columns)
    maps = (SEQUENTIAL, f"{SEQUENTIAL}_r")  # what is good is light in both
    for axes, found, title, shades in zip(panels, (last, soon), titles, maps, strict=True):
        _draw(figure, axes, found, shades)
        axes.set(title=title, xlabel=_axis(columns))
        if line is not None and found.columns[0] <= line <= found.columns[-1]:
            axes.axvline(line, color=COLOURS[1], lw=2, ls="--", label=r"critical, $\chi = 1$")
    panels[0].set_ylabel(_axis(rows))
    if panels[0].get_legend_handles_labels()[0]:
        handles = panels[0].get_legend_handles_labels()[0]
        figure.legend(handles=handles, loc="outside lower center", frameon=False)
    return figure


def default_reach(table: pd.DataFrame, curve: str) -> float:
    """SHARE of the best value that any run logged, of accuracies; of losses, that much of the way down."""
    logged = curves(table, [curve])[curve]
    sign = known_sign(curve)
    best, worst = (logged.max(), 0.0) if sign > 0 else (logged.min(), logged.max())
    return float(f"{worst + SHARE * (best - worst):.2g}")


def critical_gain(table: pd.DataFrame, columns: str = "init.gain") -> float | None:
    """The gain at which χ = 1 for small signals without bias, 1/√E[φ'²]; None where the runs have no one such gain.

    Of feed-forward networks of orthogonal or Gaussian weights: a recurrent one's depends on its input.
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
    said = np.full(values.shape, "no run", dtype=object)
    for at, cell in grouped(table.dropna(subset=[rows, columns]), [rows, columns]):
        i, j = (np.searchsorted(p, float(v)) for p, v in zip(places, at, strict=True))
        values[i, j], said[i, j] = value(cell)
    return Grid(*places, values, said)


def _draw(figure: Any, axes: Any, found: Grid, shades: str) -> None:
    from matplotlib.patheffects import withStroke

    x, y = edges(found.columns), np.arange(len(found.rows) + 1) - 0.5
    image = axes.pcolormesh(
        x, y, np.ma.masked_invalid(found.values), cmap=shades, edgecolors="w", lw=0.5
    )
    axes.set_facecolor((EMPTY,) * 3)
    axes.set_yticks(range(len(found.rows)), [f"{row:g}" for row in found.rows])
    axes.set_xticks(found.columns, [f"{c:g}" for c in found.columns])
    figure.colorbar(image, ax=axes, aspect=30, location="top")
    if found.values.size > ANNOTATED:
        return
    for (i, j), value in np.ndenumerate(found.values):
        cell = image.cmap(image.norm(value))[:3] if np.isfinite(value) else (EMPTY,) * 3
        told = f"{value:.3g}" if np.isfinite(value) else found.said[i, j].replace(", ", "\n")
        around = [withStroke(linewidth=2.5, foreground=cell)]  # over the line, too
        look = {"color": "w" if sum(cell) < DARK else "k", "path_effects": around, "size": 8}
        axes.text((x[j] + x[j + 1]) / 2, i, told, ha="center", va="center", **look)


def _axis(name: str) -> str:
    known = {
        "model.depth": "depth $L$ (layers)",
        "init.gain": r"gain $\sigma_w$",
        "data.T": "length $T$ (time steps)",
    }
    return known.get(name, name)
