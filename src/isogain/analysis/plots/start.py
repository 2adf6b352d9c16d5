"""The Jacobian's singular values at step 0 as they were measured, and the density that theory predicts."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.bands import FLOOR, SPECTRUM
from isogain.analysis.plots.groups import arrays_of, draw_reason, groups
from isogain.analysis.plots.style import COLOURS, page, styled, title, x_label

WIDE = 20  # 95th over 5th percentile, from which on a histogram is drawn over log s
BINS = 40
NOTHING = 1e-6  # a probability that is rounding
LEAST_SHARE = 0.005  # of values below the edges, from which on the legend mentions it


@styled
def start(table: pd.DataFrame) -> Any:
    """A panel for each run, on a scale of its own."""
    named = {name: Path(runs["folder"].iloc[0]) for name, runs in groups(table, ()).items()}
    histograms, missing = _histograms(named)
    figure, panels = page(len(named), height=3.0)
    for i, (axes, name) in enumerate(zip(panels, named, strict=True)):
        title(axes, name)
        if name in missing:
            draw_reason(axes, missing[name])
        else:
            draw_histogram(axes, histograms[name], COLOURS[i % len(COLOURS)])
    x_label(panels, r"singular values $s$ of $\partial h_L/\partial h_0$ at step 0")
    return figure


def _histograms(named: dict[str, Path]) -> tuple[dict[str, "Histogram"], dict[str, str]]:
    """Label -> histogram, and label -> why there is none; raises KeyError where no run has one."""
    histograms, missing = {}, {}
    for name, folder in named.items():
        try:
            histograms[name] = start_histogram(folder)
        except (KeyError, ValueError) as error:
            missing[name] = error.args[0]
    if not histograms:
        raise KeyError(next(iter(missing.values()), "no run"))
    return histograms, missing


class Histogram(NamedTuple):
    """Singular values s of the Jacobian at step 0: a histogram of the measured ones, and the law that theory predicts.

    Densities are those of s, or of ln s where `log`. edges (bins + 1,) and heights (bins,) belong to the measured
    values, of which the share `below` lies below the first edge; curve (2, points) is s and its predicted density,
    atoms (2, k) is s and its predicted probability. Curve and atoms may be empty.
    """

    edges: np.ndarray
    heights: np.ndarray
    below: float
    curve: np.ndarray
    atoms: np.ndarray
    log: bool


def start_histogram(folder: Path) -> Histogram:
    """The histogram of a run's spectra.npz at step 0.

    Raises KeyError where the spectrum was not measured at all, ValueError where it was not measured at step 0 or is not
    finite.
    """
    s, curve, atoms = _at_start(folder)
    if np.trapezoid(curve[1], curve[0]) < NOTHING:
        curve = curve[:, :0]
    log = bool(np.quantile(s, 0.05) * WIDE < np.quantile(s, 0.95))
    ends = np.concatenate([s, curve[0], atoms[0]])
    low, high = max(ends.min(), FLOOR if log else 0), ends.max()
    if high - low < 1e-3 * high:  # all but one value
        low, high = 0.99 * low, 1.01 * high
    edges = np.geomspace(low, high, BINS + 1) if log else np.linspace(low, high, BINS + 1)
    widths = np.diff(np.log(edges) if log else edges)
    heights = np.histogram(np.minimum(s, high), edges)[0] / (len(s) * widths)
    curve = curve[:, curve[0] >= low]
    if log:
        curve = np.stack([curve[0], curve[0] * curve[1]])
    return Histogram(edges, heights, float((s < low).mean()), curve, atoms, log)


def _at_start(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured singular values (k,), and theory's density (2, points) and atoms (2, k), which may be empty."""
    with arrays_of(folder) as arrays:
        measured = SPECTRUM in arrays and 0 not in arrays.event_shape(SPECTRUM)
        started = measured and arrays.steps(SPECTRUM)[0] == 0
        s = arrays.events(SPECTRUM, [0]).ravel() if started else None
        curve, atoms = (
            arrays.events(name, [0])[0].reshape(2, -1) if name in arrays else np.empty((2, 0))
            for name in ("theory/density", "theory/atoms")
        )
    if not measured:
        raise KeyError(f"{folder}: jacobian/spectrum was not measured")
    if s is None:
        raise ValueError(f"{folder}: the Jacobian was not measured at step 0")
    s = s[~np.isnan(s)]  # of examples that could not be resolved
    if not len(s) or not np.isfinite(s).all():
        raise ValueError(f"{folder}: its Jacobian at step 0 is not finite")
    return s, curve, atoms


def draw_histogram(axes: Any, histogram: Histogram, colour: str) -> None:
    """Draw the measured s as bars, the predicted density as a line over them, and its atoms as vertical lines."""
    axes.stairs(
        histogram.heights, histogram.edges, fill=True, color=colour, alpha=0.4, label="measured"
    )
    if histogram.curve.size:
        axes.plot(*histogram.curve, color="k", lw=1.5, label="theory")
    for s, mass in histogram.atoms.T:
        if s >= histogram.edges[0] and s > 0:
            axes.axvline(s, color="k", lw=1.5, ls="--", label=f"theory, {mass:.0%} at {s:.3g}")
    axes.set_ylim(0, 1.3 * _bar_height(histogram))
    axes.set_xmargin(0.03)
    axes.set_xscale("log" if histogram.log else "linear")
    axes.set_ylabel(r"density of $\ln s$" if histogram.log else r"density of $s$")
    note = (
        f"{histogram.below:.0%} of s below {histogram.edges[0]:.0e}"
        if histogram.below >= LEAST_SHARE
        else None
    )
    axes.legend(frameon=False, title=note)


def _bar_height(histogram: Histogram) -> float:
    """The height of the tallest bar without an atom in it, or of the tallest bar if all others are empty."""
    holds_atom = np.histogram(histogram.atoms[0], histogram.edges)[0] > 0
    free = histogram.heights[~holds_atom]
    return float(free.max() if free.any() else histogram.heights.max())
