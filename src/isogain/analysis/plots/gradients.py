"""The norm of the signal's gradient at every layer or time step, over training."""

from typing import Any

import numpy as np
import pandas as pd

from isogain.analysis.plots.groups import (
    Events,
    counted_label,
    draw_reason,
    edges,
    events_by_group,
    groups,
)
from isogain.analysis.plots.style import SEQUENTIAL, page, styled, title, x_label

SIGNAL = "signal_grad/log"


def profile(events: Events) -> np.ndarray:
    """Mean over examples and runs of log10 ‖∂loss/∂h_l‖: (l, events), −inf where a gradient is 0."""
    return events.values.mean(axis=1).T / np.log(10)


@styled
def gradients(table: pd.DataFrame, by: tuple[str, ...] = ()) -> Any:
    """A panel for each run or group: place l = 0 … L upwards, steps to the right, one scale for all."""
    named = groups(table, by)
    signals, missing = events_by_group(named, SIGNAL)
    images = {name: profile(events) for name, events in signals.items()}
    finite = np.concatenate([image[np.isfinite(image)] for image in images.values()])
    if not len(finite):
        raise ValueError(f"{SIGNAL}: every gradient is 0")
    look = {"vmin": finite.min(), "vmax": finite.max(), "cmap": SEQUENTIAL, "rasterized": True}
    figure, panels = page(len(named))
    for axes, (name, runs) in zip(panels, named.items(), strict=True):
        title(axes, counted_label(name, runs))
        if name in missing:
            draw_reason(axes, missing[name])
            continue
        places = np.arange(len(images[name]) + 1) - 0.5
        image = np.ma.masked_invalid(images[name])
        drawn = axes.pcolormesh(edges(signals[name].steps), places, image, **look)
        axes.set_facecolor("0.8")  # where a gradient is 0
        axes.yaxis.get_major_locator().set_params(integer=True)
    x_label(panels, "optimiser steps")
    figure.supylabel("layer or time step $l$")
    label = r"$\log_{10}\,\|\partial\,\mathrm{loss}/\partial h_l\|$, mean"
    figure.colorbar(drawn, ax=panels, label=label, aspect=30)
    return figure
