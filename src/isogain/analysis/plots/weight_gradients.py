"""Gradient norms of the kernels, layer by layer or gate by gate, over training."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import counted, empty, groups
from isogain.analysis.plots.style import MARKERS, SEQUENTIAL, below, page, styled, title
from isogain.analysis.statistics.curves import read_metrics
from isogain.record.bounded import Damaged

MATRIX = re.compile(r"grad/\w+/\d{3}(/\w+)?$")  # a kernel's matrices are numbered: grad/kernel/003
NAMED = 8  # matrices, up to which each has its name in a legend
LIGHT = 0.9  # of the scale of shades: its end is hard to see on white


def norms(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean over runs, in the logarithm, of each matrix's gradient norm: a row a step, a column a matrix."""
    tables = []
    for folder in map(Path, runs["folder"]):
        try:
            rows = read_metrics(folder, MATRIX.match).set_index("step")
        except (FileNotFoundError, Damaged):
            continue  # said by whoever lists the runs
        tables.append(rows.dropna(how="all"))
    if not tables or not any(len(t.columns) for t in tables):
        raise KeyError(f"{runs['folder'].iloc[0]}: no gradient of a kernel in metrics.csv")
    with np.errstate(divide="ignore"):
        return np.exp(np.log(pd.concat(tables)).groupby(level=0).mean())


@styled
def weight_gradients(table: pd.DataFrame, by: tuple[str, ...] = ()) -> Any:
    """A panel a run, or a group; a curve a matrix, from dark (first) to light (last)."""
    named = groups(table, by)
    found, missing = _all(named)
    figure, panels = page(len(named), sharey=True)
    most = max(len(rows.columns) for rows in found.values())
    for axes, (name, runs) in zip(panels, named.items(), strict=True):
        title(axes, counted(name, runs))
        if name in missing:
            empty(axes, missing[name])
        else:
            _draw(axes, found[name], legend=most <= NAMED)
    panels[0].set_yscale("log")
    below(panels, "optimiser steps")
    figure.supylabel("2-norm of a kernel's gradient")
    if most > NAMED:
        _scale(figure, panels)
    return figure


def _all(named: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    found, missing = {}, {}
    for name, runs in named.items():
        try:
            found[name] = norms(runs)
        except KeyError as error:
            missing[name] = error.args[0]
    if not found:
        raise KeyError(next(iter(missing.values()), "no run"))
    return found, missing


def _draw(axes: Any, found: pd.DataFrame, legend: bool) -> None:
    from matplotlib import colormaps

    shades = colormaps[SEQUENTIAL](np.linspace(0, LIGHT, len(found.columns)))
    for i, (matrix, shade) in enumerate(zip(found, shades, strict=True)):
        marker = {"marker": MARKERS[i % len(MARKERS)], "markevery": max(len(found) // 6, 1)}
        look = marker if legend else {}
        axes.plot(found.index, found[matrix], color=shade, lw=1.2, label=matrix[5:], **look)
    if legend:
        axes.legend(frameon=False)


def _scale(figure: Any, panels: list) -> None:
    """Too many for legends: the place of the matrix as a scale of shades."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ListedColormap(colormaps[SEQUENTIAL](np.linspace(0, LIGHT, 64)))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), shades), ax=panels, aspect=30)
    bar.set_ticks([0, 1], labels=["first\nmatrix", "last"])
