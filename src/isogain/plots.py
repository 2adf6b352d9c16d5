"""Figures from run folders: `python -m isogain.plots FOLDER [FOLDER ...] --out figure.png`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

FLOOR = 1e-12  # the least singular value shown: below lie those that float64 could not resolve
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
    """Draw the Jacobian's singular values over training for each run folder; exit code 1 with a line on an error."""
    parser = argparse.ArgumentParser(prog="python -m isogain.plots", description=main.__doc__)
    parser.add_argument(
        "folders", nargs="+", type=Path, help="run folders, each with a spectra.npz"
    )
    parser.add_argument("--out", type=Path, default=Path("spectra.png"), help="png, svg or pdf")
    options = parser.parse_args(arguments)
    try:
        spectra_figure(options.folders).savefig(options.out)
    except (OSError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
