"""Curvature against isometry: the Fisher's largest eigenvalue over the Jacobian's largest singular value, squared."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import groups
from isogain.analysis.plots.style import COLOURS, MARKERS, legend, page, styled, text, wrapped
from isogain.analysis.statistics.aggregate import check, numbers
from isogain.analysis.statistics.curves import curves

LARGEST = "jacobian/log_max"
START = "/at_start/"  # in the names of the metrics of step 0 in a summary
KINDS = ("exact", "mc", "empirical")


class Points(NamedTuple):
    """Pairs of σ²_max(J) and λ_max, and how they correlate.

    table: folder, step, x = σ²_max and y = λ_max, a row for every step of a run at which both were measured; rho:
    Pearson's ρ of x and y; rho_log: that of their logarithms.
    """

    table: pd.DataFrame
    rho: float
    rho_log: float


def points(table: pd.DataFrame, metric: str) -> Points:
    """The pairs of all runs and steps, or of step 0 alone for a metric `at_start`."""
    pairs, largest = _measured(table, metric)
    pairs = pairs.assign(x=np.exp(2 * pairs[largest]), y=pairs[metric])
    pairs = pairs[np.isfinite(pairs["x"]) & (pairs["y"] > 0)][["folder", "step", "x", "y"]]
    x, y = pairs["x"].to_numpy(), pairs["y"].to_numpy()
    return Points(pairs, pearson(x, y), pearson(np.log(x), np.log(y)))


def _measured(table: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """A table with folder, step, the metric and ln σ_max, and the name of the column that holds ln σ_max."""
    if START not in metric:
        return curves(table, [LARGEST, metric]), LARGEST
    largest = LARGEST.replace("/", START)
    check(table, [largest, metric])
    values = {name: numbers(table, name) for name in (largest, metric)}
    return table[["folder"]].assign(step=0, **values).dropna(), largest


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's ρ; NaN for fewer than three points, and where x or y is constant."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


@styled
def fisher(table: pd.DataFrame, by: tuple[str, ...] = (), metric: str | None = None) -> Any:
    """A point for each run and step, on logarithmic axes.

    The title shows ρ of the values and of their logarithms; the legend shows ρ within each group.
    """
    names = [metric] if metric else [f"fisher_{kind}/lambda_max" for kind in KINDS]
    metric = next((name for name in names if name in table), names[0])
    measured = points(table, metric)
    figure, (axes,) = page(height=3.4)
    for i, (name, runs) in enumerate(groups(table, by).items()):
        here = measured.table[measured.table["folder"].isin(runs["folder"])]
        rho = pearson(here["x"].to_numpy(), here["y"].to_numpy())
        name += f" (ρ = {rho:.3f})" if by and np.isfinite(rho) else ""
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        look |= {"ls": "", "alpha": 0.75, "mec": "w", "mew": 0.3}
        axes.plot(here["x"], here["y"], label=wrapped(text(name), 44), **look)
    correlation = f"Pearson ρ = {measured.rho:.3f}, of the logarithms {measured.rho_log:.3f}"
    axes.set_title(
        f"{correlation}\n{len(measured.table)} points of {measured.table['folder'].nunique()} runs"
    )
    axes.set(xscale="log", yscale="log", xlabel=r"$\sigma^2_{\max}$ of $\partial h_L/\partial h_0$")
    kind = metric.partition("/")[0].removeprefix("fisher_")
    axes.set_ylabel(rf"$\lambda_{{\max}}$ of the Fisher ({kind})")
    legend(figure)
    return figure
