"""The Jacobian's singular values over training, as quantile bands."""

from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import (
    Events,
    counted_label,
    draw_reason,
    events_by_group,
    groups,
)
from isogain.analysis.plots.style import COLOURS, page, styled, title, x_label

FLOOR = 1e-12  # the least singular value shown: below lie those that float64 could not resolve
PERCENTILES = (5, 25, 50, 75, 95, 100)
SPECTRUM = "jacobian/spectrum"


def percentiles(events: Events) -> np.ndarray:
    """Percentiles 5, 25, 50, 75, 95 and 100 over all examples and values: (events, 6)."""
    return np.percentile(events.values.reshape(len(events.steps), -1), PERCENTILES, axis=1).T


@styled
def bands(table: pd.DataFrame, by: tuple[str, ...] = ()) -> Any:
    """A panel for each run, or for each group with the values of all its runs together, on one scale."""
    named = groups(table, by)
    spectra, missing = events_by_group(named, SPECTRUM)
    figure, panels = page(len(named), sharey=True)
    for i, (axes, (name, runs)) in enumerate(zip(panels, named.items(), strict=True)):
        title(axes, counted_label(name, runs))
        if name in missing:
            draw_reason(axes, missing[name])
        else:
            _draw(axes, spectra[name], COLOURS[i % len(COLOURS)])
    panels[0].set_yscale("log")
    panels[0].set_ylim(bottom=max(panels[0].get_ylim()[0], FLOOR))
    x_label(panels, "optimiser steps")
    figure.supylabel(r"singular values of $\partial h_L/\partial h_0$")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def _draw(axes: Any, events: Events, colour: str) -> None:
    low, quarter, median, more, high, largest = np.maximum(percentiles(events), FLOOR / 10).T
    axes.fill_between(events.steps, low, high, color=colour, alpha=0.15, lw=0)
    axes.fill_between(events.steps, quarter, more, color=colour, alpha=0.35, lw=0)
    axes.plot(events.steps, median, color=colour, lw=1.6)
    axes.plot(events.steps, largest, color=colour, lw=1.2, ls=":")
    axes.axhline(1, color="0.4", lw=0.8)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color="0.3", lw=1.2, ls=":", label="largest"),
        Line2D([], [], color="0.3", lw=1.6, label="median"),
        Patch(color="0.3", alpha=0.45, lw=0, label="25 to 75 %"),
        Patch(color="0.3", alpha=0.15, lw=0, label="5 to 95 %"),
        Line2D([], [], color="0.4", lw=0.8, label="isometry"),
    ]
