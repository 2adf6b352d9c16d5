"""Curvature against isometry: the Fisher's largest eigenvalue over the Jacobian's largest singular value, squared."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import groups
from isogain.analysis.plots.style import COLOURS, MARKERS, legend, page, styled, text, wrapped
from isogain.analysis.statistics.aggregate import check, numbers
from isogain.analysis.statistics.curves import curves

LARGEST = "jacobian/log_max"
START = "/at_start/"  # in the name of what a summary has of step 0
KINDS = ("exact", "mc", "empirical")


class Points(NamedTuple):
    """folder, and σ²_max(J) and λ_max of every step at which both were measured; ρ of them and of their logarithms."""

    table: pd.DataFrame
    rho: float
    rho_log: float


def points(table: pd.DataFrame, metric: str) -> Points:
    """Over all runs and steps, or at step 0 for a metric at_start; a correlation of fewer than three points is NaN."""
    found, largest = _measured(table, metric)
    found = found.assign(x=np.exp(2 * found[largest]), y=found[metric])
    found = found[np.isfinite(found["x"]) & (found["y"] > 0)][["folder", "step", "x", "y"]]
    x, y = found["x"].to_numpy(), found["y"].to_numpy()
    return Points(found, pearson(x, y), pearson(np.log(x), np.log(y)))


def _measured(table: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """folder, step, the metric and the logarithm of σ_max beside it, and the latter's name."""
    if START not in metric:
        return curves(table, [LARGEST, metric]), LARGEST
    largest = LARGEST.replace("/", START)
    check(table, [largest, metric])
    values = {name: numbers(table, name) for name in (largest, metric)}
    return table[["folder"]].assign(step=0, **values).dropna(), largest


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's ρ, NaN of fewer than three points or where one does not vary."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


@styled
def fisher(table: pd.DataFrame, by: tuple[str, ...] = (), metric: str | None = None) -> Any:
    """A point a run and step, on logarithmic axes; ρ of the values and of their logarithms in the title, a group's own
    beside its name.
    """
    names = [metric] if metric else [f"fisher_{kind}/lambda_max" for kind in KINDS]
    metric = next((name for name in names if name in table), names[0])
    found = points(table, metric)
    figure, (axes,) = page(height=3.4)
    for i, (name, runs) in enumerate(groups(table, by).items()):
        here = found.table[found.table["folder"].isin(runs["folder"])]
        own = pearson(here["x"].to_numpy(), here["y"].to_numpy())
        name += f" (ρ = {own:.3f})" if by and np.isfinite(own) else ""
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        axes.plot(
            here["x"],
            here["y"],
            ls="",
            alpha=0.75,
            mec="w",
            mew=0.3,
            label=wrapped(text(name), 44),
            **look,
        )
    rho = f"Pearson ρ = {found.rho:.3f}, of the logarithms {found.rho_log:.3f}"
    axes.set_title(f"{rho}\n{len(found.table)} points of {found.table['folder'].nunique()} runs")
    axes.set(xscale="log", yscale="log", xlabel=r"$\sigma^2_{\max}$ of $\partial h_L/\partial h_0$")
    kind = metric.partition("/")[0].removeprefix("fisher_")
    axes.set_ylabel(rf"$\lambda_{{\max}}$ of the Fisher ({kind})")
    legend(figure)
    return figure
