"""The Jacobian's singular values over training, as a heat map: a histogram of log s at every step."""

from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.bands import FLOOR, SPECTRUM
from isogain.analysis.plots.groups import (
    Events,
    counted_label,
    draw_reason,
    edges,
    events_by_group,
    groups,
)
from isogain.analysis.plots.style import COLOURS, SEQUENTIAL, page, styled, title, x_label

BINS = 48


def bins(panels: list[Events]) -> np.ndarray:
    """Edges (BINS + 1,) in geometric progression around all values of all panels that are at least FLOOR."""
    values = np.concatenate([events.values.ravel() for events in panels])
    seen = values[values >= FLOOR]
    if not len(seen):
        raise ValueError(f"no singular value is above {FLOOR:g}")
    low, high = seen.min(), seen.max()
    return np.geomspace(low / 1.1, high * 1.1, BINS + 1)


def shares(events: Events, at: np.ndarray) -> np.ndarray:
    """Share of the values in each bin at every step: (bins, events); values below the first edge are in no bin."""
    rows = events.values.reshape(len(events.steps), -1)
    return np.stack([np.histogram(row, at)[0] / len(row) for row in rows], axis=1)


@styled
def heatmap(table: pd.DataFrame, by: tuple[str, ...] = ()) -> Any:
    """A panel for each run, or for each group with the values of all its runs together; bins and shades are shared."""
    from matplotlib.colors import PowerNorm

    named = groups(table, by)
    spectra, missing = events_by_group(named, SPECTRUM)
    at = bins(list(spectra.values()))
    images = {name: 100 * shares(events, at) for name, events in spectra.items()}
    figure, panels = page(len(named), sharey=True)
    norm = PowerNorm(0.5, 0, max(image.max() for image in images.values()))  # small shares show
    for axes, (name, runs) in zip(panels, named.items(), strict=True):
        title(axes, counted_label(name, runs))
        if name in missing:
            draw_reason(axes, missing[name])
            continue
        image = np.ma.masked_equal(images[name], 0)
        look = {"norm": norm, "cmap": f"{SEQUENTIAL}_r", "rasterized": True}
        drawn = axes.pcolormesh(edges(spectra[name].steps), at, image, **look)
        axes.axhline(1, color=COLOURS[1], lw=1.2, ls="--")
    panels[0].set_yscale("log")
    x_label(panels, "optimiser steps")
    figure.supylabel(r"singular values of $\partial h_L/\partial h_0$; dashed: isometry")
    figure.colorbar(drawn, ax=panels, label="share of the values in a bin, %", aspect=30)
    return figure
