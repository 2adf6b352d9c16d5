"""The Jacobian's singular values at step 0 as they were measured, and the density that theory predicts."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.bands import FLOOR, SPECTRUM
from isogain.analysis.plots.groups import arrays_of, empty, groups
from isogain.analysis.plots.style import COLOURS, below, page, styled, title

WIDE = 20  # 95th over 5th percentile, from which on a histogram is drawn over log s
BINS = 40
NOTHING = 1e-6  # a probability that is rounding
SAID = 0.005  # the least share that is told


@styled
def start(table: pd.DataFrame) -> Any:
    """One panel a run, each on its own scale."""
    named = {name: Path(runs["folder"].iloc[0]) for name, runs in groups(table, ()).items()}
    found, missing = _all(named)
    figure, panels = page(len(named), height=3.0)
    for i, (axes, name) in enumerate(zip(panels, named, strict=True)):
        title(axes, name)
        if name in missing:
            empty(axes, missing[name])
        else:
            draw_histogram(axes, found[name], COLOURS[i % len(COLOURS)])
    below(panels, r"singular values $s$ of $\partial h_L/\partial h_0$ at step 0")
    return figure


def _all(named: dict[str, Path]) -> tuple[dict[str, "Histogram"], dict[str, str]]:
    found, missing = {}, {}
    for name, folder in named.items():
        try:
            found[name] = start_histogram(folder)
        except (KeyError, ValueError) as error:
            missing[name] = error.args[0]
    if not found:
        raise KeyError(next(iter(missing.values()), "no run"))
    return found, missing


class Histogram(NamedTuple):
    """The Jacobian's s at step 0 and the law that theory predicts, densities of s, or of log s where `log`.

    edges (bins + 1,) and heights (bins,) of what was measured, `below` the share of it that lies below the edges;
    curve (2, points): s and its density; atoms (2, k): s and its probability. The latter may be empty.
    """

    edges: np.ndarray
    heights: np.ndarray
    below: float
    curve: np.ndarray
    atoms: np.ndarray
    log: bool


def start_histogram(folder: Path) -> Histogram:
    """What a run's spectra.npz holds of step 0; raises ValueError where that was not measured."""
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
    """Singular values (k,), and of theory the density (2, points) and atoms (2, k), which may be empty."""
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


def draw_histogram(axes: Any, found: Histogram, colour: str) -> None:
    """Measured s as bars, the predicted density over them as a line, its atoms as vertical lines."""
    axes.stairs(found.heights, found.edges, fill=True, color=colour, alpha=0.4, label="measured")
    if found.curve.size:
        axes.plot(*found.curve, color="k", lw=1.5, label="theory")
    for s, mass in found.atoms.T:
        if s >= found.edges[0] and s > 0:
            axes.axvline(s, color="k", lw=1.5, ls="--", label=f"theory, {mass:.0%} at {s:.3g}")
    axes.set_ylim(0, 1.3 * _top(found))
    axes.set_xmargin(0.03)
    axes.set_xscale("log" if found.log else "linear")
    axes.set_ylabel(r"density of $\ln s$" if found.log else r"density of $s$")
    told = f"{found.below:.0%} of s below {found.edges[0]:.0e}" if found.below >= SAID else None
    axes.legend(frameon=False, title=told)


def _top(found: Histogram) -> float:
    """The tallest bar but for those that an atom lies in, where there are others."""
    holds_atom = np.histogram(found.atoms[0], found.edges)[0] > 0
    free = found.heights[~holds_atom]
    return float(free.max() if free.any() else found.heights.max())
