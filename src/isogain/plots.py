"""Figures from run folders: `python -m isogain.plots FOLDER [FOLDER ...] --out figure.png`."""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf

FLOOR = 1e-12  # the least singular value shown: below lie those that float64 could not resolve
WIDE = 20  # 95th over 5th percentile, from which on a histogram is drawn over log s
BINS = 40
NOTHING = 1e-6  # a probability that is rounding
SAID = 0.005  # the least share that is told
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
)  # Okabe and Ito 2008: told apart when colour-blind


def spectrum_bands(folder: Path, name: str = "jacobian/spectrum") -> tuple[np.ndarray, np.ndarray]:
    """Steps (events,) and percentiles 5, 25, 50, 75, 95 and 100 of the spectrum at each (events, 6)."""
    with np.load(folder / "spectra.npz") as arrays:
        values, steps = arrays[name], arrays[f"{name}/step"]
    return steps, np.percentile(values.reshape(len(steps), -1), (5, 25, 50, 75, 95, 100), axis=1).T


def draw_spectrum(axes: Any, folder: Path, label: str, colour: str) -> None:
    """The Jacobian's singular values over training: bands, median and the largest."""
    steps, bands = spectrum_bands(folder)
    low, quarter, median, three_quarters, high, largest = np.maximum(bands, FLOOR / 10).T
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
    axes.fill_between(steps, quarter, three_quarters, color=colour, alpha=0.35, lw=0)
    axes.plot(steps, median, color=colour, lw=2)
    axes.plot(steps, largest, color=colour, lw=1.2, ls=":")
    axes.axhline(1, color="0.4", lw=0.8)
    axes.set_title(label, fontsize=11)
    axes.set_xlabel("optimiser steps")
    axes.set_yscale("log")


def spectra_figure(folders: Sequence[Path]) -> Any:
    """One panel a run, side by side on one scale; a matplotlib Figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(folders) + 0.6, 4), layout="constrained", dpi=160)
    panels = figure.subplots(1, len(folders), sharey=True, squeeze=False)[0]
    for i, (axes, folder) in enumerate(zip(panels, folders, strict=True)):
        draw_spectrum(axes, folder, run_label(folder), COLOURS[i % len(COLOURS)])
    panels[0].set_ylabel(r"singular values of $\partial h_L/\partial h_0$")
    panels[0].set_ylim(bottom=FLOOR)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False)
    return figure


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
    with np.load(folder / "spectra.npz") as arrays:
        if arrays["jacobian/spectrum/step"][0] != 0:
            raise ValueError(f"{folder}: the Jacobian was not measured at step 0")
        s = arrays["jacobian/spectrum"][0].ravel()
        curve, atoms = (
            arrays[name][0] if name in arrays else np.empty((2, 0))
            for name in ("theory/density", "theory/atoms")
        )
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


def draw_histogram(axes: Any, folder: Path, label: str, colour: str) -> None:
    """Measured s as bars, the predicted density over them as a line, its atoms as vertical lines."""
    found = start_histogram(folder)
    axes.stairs(found.heights, found.edges, fill=True, color=colour, alpha=0.4, label="measured")
    if found.curve.size:
        axes.plot(*found.curve, color="k", lw=1.5, label="theory")
    for s, mass in found.atoms.T:
        if s >= found.edges[0] and s > 0:
            axes.axvline(s, color="k", lw=1.5, ls="--", label=f"theory, {mass:.0%} at {s:.3g}")
    axes.set_ylim(0, 1.3 * _top(found))
    axes.set_xmargin(0.03)
    axes.set_title(textwrap.fill(label, 48), fontsize=10)
    axes.set_xscale("log" if found.log else "linear")
    axes.set_xlabel(r"singular values $s$ of $\partial h_L/\partial h_0$ at step 0")
    axes.set_ylabel(r"density of $\ln s$" if found.log else r"density of $s$")
    told = f"{found.below:.0%} of s below {found.edges[0]:.0e}" if found.below >= SAID else None
    axes.legend(frameon=False, title=told, fontsize=9, title_fontsize=9)


def _top(found: Histogram) -> float:
    """The tallest bar but for those that an atom lies in, where there are others."""
    holds_atom = np.histogram(found.atoms[0], found.edges)[0] > 0
    free = found.heights[~holds_atom]
    return float(free.max() if free.any() else found.heights.max())


def histograms_figure(folders: Sequence[Path]) -> Any:
    """One panel a run, side by side, each on its own scale; a matplotlib Figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(folders) + 0.4, 4), layout="constrained", dpi=160)
    panels = figure.subplots(1, len(folders), squeeze=False)[0]
    for i, (axes, folder) in enumerate(zip(panels, folders, strict=True)):
        draw_histogram(axes, folder, run_label(folder), COLOURS[i % len(COLOURS)])
    return figure


FIGURES = {"training": spectra_figure, "start": histograms_figure}


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color="0.3", lw=1.2, ls=":", label="largest"),
        Line2D([], [], color="0.3", lw=2, label="median"),
        Patch(color="0.3", alpha=0.45, lw=0, label="25 to 75 %"),
        Patch(color="0.3", alpha=0.15, lw=0, label="5 to 95 %"),
        Line2D([], [], color="0.4", lw=0.8, label="isometry"),
    ]


def run_label(folder: Path) -> str:
    """What tells a run from others: its overrides, and the accuracy that it reached."""
    overrides = OmegaConf.to_container(OmegaConf.load(folder / "overrides.yaml"))
    shown = [o for o in overrides if not o.startswith(("out=", "logger", "callbacks", "trainer"))]
    return " ".join(shown) or folder.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the Jacobian's singular values over training for each run folder, or at its start with what theory predicts;
    exit code 1 with a line on an error.
    """
    parser = argparse.ArgumentParser(prog="python -m isogain.plots", description=main.__doc__)
    parser.add_argument(
        "folders", nargs="+", type=Path, help="run folders, each with a spectra.npz"
    )
    parser.add_argument("--out", type=Path, default=Path("spectra.png"), help="png, svg or pdf")
    parser.add_argument(
        "--figure", choices=FIGURES, default="training", help="bands, or a histogram"
    )
    options = parser.parse_args(arguments)
    try:
        FIGURES[options.figure](options.folders).savefig(options.out)
    except (OSError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
