"""Gradient norms of the kernels, layer by layer or gate by gate, over training."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import counted_label, draw_reason, groups
from isogain.analysis.plots.style import MARKERS, SEQUENTIAL, page, styled, title, x_label
from isogain.analysis.statistics.curves import read_metrics
from isogain.record.bounded import Damaged

MATRIX = re.compile(r"grad/\w+/\d{3}(/\w+)?$")  # a kernel's matrices are numbered: grad/kernel/003
NAMED = 8  # matrices, up to which each has its name in a legend
LIGHT = 0.9  # of the scale of shades: its end is hard to see on white


def norms(runs: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over runs of each matrix's gradient norm: one row for a step, one column for a matrix.

    Raises KeyError where no run has logged one.
    """
    tables = []
    for folder in map(Path, runs["folder"]):
        try:
            rows = read_metrics(folder, MATRIX.match).set_index("step")
        except (FileNotFoundError, Damaged):
            continue  # the reason is reported where the runs are listed
        tables.append(rows.dropna(how="all"))
    if not tables or not any(len(t.columns) for t in tables):
        raise KeyError(f"{runs['folder'].iloc[0]}: no gradient of a kernel in metrics.csv")
    with np.errstate(divide="ignore"):
        return np.exp(np.log(pd.concat(tables)).groupby(level=0).mean())


@styled
def weight_gradients(table: pd.DataFrame, by: tuple[str, ...] = ()) -> Any:
    """A panel for each run or group, and in it a curve for each matrix, from dark (first) to light (last)."""
    named = groups(table, by)
    norms_of, missing = _norms_by_group(named)
    figure, panels = page(len(named), sharey=True)
    most = max(len(rows.columns) for rows in norms_of.values())
    for axes, (name, runs) in zip(panels, named.items(), strict=True):
        title(axes, counted_label(name, runs))
        if name in missing:
            draw_reason(axes, missing[name])
        else:
            _draw(axes, norms_of[name], legend=most <= NAMED)
    panels[0].set_yscale("log")
    x_label(panels, "optimiser steps")
    figure.supylabel("2-norm of a kernel's gradient")
    if most > NAMED:
        _colour_bar(figure, panels)
    return figure


def _norms_by_group(
    named: dict[str, pd.DataFrame],
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Label -> norms of its runs, and label -> why there are none; raises KeyError where no group has any."""
    norms_of, missing = {}, {}
    for name, runs in named.items():
        try:
            norms_of[name] = norms(runs)
        except KeyError as error:
            missing[name] = error.args[0]
    if not norms_of:
        raise KeyError(next(iter(missing.values()), "no run"))
    return norms_of, missing


def _draw(axes: Any, table: pd.DataFrame, legend: bool) -> None:
    from matplotlib import colormaps

    shades = colormaps[SEQUENTIAL](np.linspace(0, LIGHT, len(table.columns)))
    for i, (matrix, shade) in enumerate(zip(table, shades, strict=True)):
        marker = {"marker": MARKERS[i % len(MARKERS)], "markevery": max(len(table) // 6, 1)}
        look = marker if legend else {}
        axes.plot(table.index, table[matrix], color=shade, lw=1.2, label=matrix[5:], **look)
    if legend:
        axes.legend(frameon=False)


def _colour_bar(figure: Any, panels: list) -> None:
    """A colour bar from the first to the last matrix, for more matrices than a legend can hold."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ListedColormap(colormaps[SEQUENTIAL](np.linspace(0, LIGHT, 64)))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), shades), ax=panels, aspect=30)
    bar.set_ticks([0, 1], labels=["first\nmatrix", "last"])
